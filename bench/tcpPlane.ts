/**
 * CPU of the userspace plane alone, without the daemon, per connection, per message and per MB: to compare what carries the
 * bytes. Load and backend are processes of their own. The peers' figures: bench/tcp.ts.
 *
 *     node bench/tcpPlane.ts [ROUNDS] [portable | ring]
 */
import { plainDestination, plainService } from '../src/planes/plain.ts'
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { openUserspace } from '../src/planes/userspace/plane.ts'
import { portable } from '../src/proxy/portable/transport.ts'
import { openRingTransport } from '../src/proxy/ring/transport.ts'
import { freePort } from '../src/planes/freePort.ts'

const requestSize = 64
const bulk = Buffer.alloc(64 * 1024)

/** Answers each request of 64 bytes with as many bytes as its first four say. */
async function backend(): Promise<void> {
  const server = createServer({ noDelay: true }, (socket) => {
    let held: Buffer = Buffer.alloc(0)
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      held = held.length === 0 ? chunk : Buffer.concat([held, chunk])
      for (; held.length >= requestSize; held = held.subarray(requestSize)) {
        for (let left = held.readUInt32BE(0); left > 0; left -= bulk.length)
          socket.write(bulk.subarray(0, Math.min(left, bulk.length)))
      }
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  process.send?.((server.address() as AddressInfo).port)
}

type Carrier = 'portable' | 'ring'

async function proxy(port: number, to: number, carrier: Carrier): Promise<void> {
  const plane = openUserspace({ openTransport: carrier === 'ring' ? openRingTransport : () => portable })
  const service = plainService({
    address: '127.0.0.1',
    port,
    destinations: [plainDestination('127.0.0.1', { port: to })],
  })
  const [outcome] = await plane.apply([{ key: service.id, before: null, after: service }])
  if (outcome?.ok !== true) throw outcome?.error ?? new Error('no outcome')
}

/** One connection: so many requests, each for so many bytes, one after the other. */
function converse(port: number, requests: number, bytes: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = Buffer.alloc(requestSize)
    request.writeUInt32BE(bytes)
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    let received = 0
    let left = requests
    socket.on('error', reject)
    socket.on('close', () => resolve())
    socket.on('data', (chunk) => {
      received += chunk.length
      if (received < bytes) return
      received = 0
      if (--left === 0) socket.end()
      else socket.write(request)
    })
    socket.write(request)
  })
}

interface Load {
  readonly unit: string
  readonly clients: number
  readonly connections: number
  readonly requests: number
  readonly bytes: number
  /** How many units one connection is. */
  readonly units: number
}

const loads: readonly Load[] = [
  { unit: 'connection', clients: 32, connections: 6400, requests: 1, bytes: 100, units: 1 },
  { unit: 'message', clients: 64, connections: 64, requests: 1000, bytes: 100, units: 1000 },
  { unit: 'MB', clients: 4, connections: 8, requests: 100, bytes: 1 << 20, units: 100 },
]

async function run(port: number, { clients, connections, requests, bytes }: Load): Promise<void> {
  const each = Math.ceil(connections / clients)
  const client = async (): Promise<void> => {
    for (let i = 0; i < each; i++) await converse(port, requests, bytes)
  }
  await Promise.all(Array.from({ length: clients }, client))
}

/** User and system time of a process in microseconds (proc(5): /proc/pid/stat, fields 14 and 15, hundredths of a second). */
function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) * 10_000
}

const self = fileURLToPath(import.meta.url)

async function forked(...args: string[]): Promise<{ child: ChildProcess; port: number }> {
  const child = fork(self, args)
  const [port] = (await once(child, 'message')) as [number]
  return { child, port }
}

async function answers(port: number): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    try {
      return await converse(port, 1, 1)
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  throw new Error(`nothing answers on port ${port}`)
}

async function main(rounds: number, carrier: Carrier): Promise<void> {
  const { child: server, port: to } = await forked('backend')
  const least = loads.map(() => Infinity)
  try {
    for (let round = 0; round < rounds; round++) {
      const port = await freePort()
      const proxy = fork(self, ['proxy', String(port), String(to), carrier])
      await answers(port)
      for (const [index, load] of loads.entries()) {
        // Once at a quarter first: compiled code, grown buffers.
        await run(port, { ...load, connections: Math.max(load.clients, load.connections / 4) })
        const before = cpuOf(proxy.pid ?? 0)
        await run(port, load)
        const cost = (cpuOf(proxy.pid ?? 0) - before) / load.connections / load.units
        least[index] = Math.min(least[index] ?? Infinity, cost)
      }
      proxy.kill()
      await once(proxy, 'exit')
    }
  } finally {
    server.kill()
  }
  for (const [index, { unit }] of loads.entries()) {
    console.log(`${least[index]?.toFixed(1)} CPU µs per ${unit} (least of ${rounds} rounds)`)
  }
}

function carrierOf(name = 'ring'): Carrier {
  if (name === 'portable' || name === 'ring') return name
  throw new Error(`what carries the bytes is portable or ring, not ${name}`)
}

const [role, first, second, third] = process.argv.slice(2)
if (role === 'backend') await backend()
else if (role === 'proxy') await proxy(Number(first), Number(second), carrierOf(third))
else await main(Number(role ?? 3), carrierOf(first))
