import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Figures, Show } from '../show.ts'
import { startGateway, startInstances, overTransports, type RunningGateway } from './processes.ts'
import { BINARY, WebSocketClient } from './webSocket.ts'

const path = '/function/ws/chat'
const messageBytes = 256 * 1024
const mebibyte = 1024 * 1024
/** What a gateway may grow by while one tunnel carries whatever it carries; node:net's buffers live until a collection. */
const mostGrowth = { ring: 16 * mebibyte, portable: 128 * mebibyte } as const

/** Growth within a round that is no growth, and rounds until it must be so small. */
const settled = mebibyte
const mostRounds = 12

/** WebSockets through the gateway: a gigabyte there and back, and thousands of tunnels at once. */
export const gatewayTunnels: Show = {
  about:
    'function gateway: a WebSocket echoes 1 GB unchanged in bounded memory; 5,000 at once each have their own, and leave nothing',
  async run(size) {
    const [bytes, tunnels] = size === 'full' ? [2 ** 30, 5000] : [8 * mebibyte, 150]
    return overTransports(size, async (transport) => {
      const [instances, gateway] = await Promise.all([startInstances(), startGateway({ transport })])
      await using _instances = instances
      await using _gateway = gateway
      await gateway.actor.put('ws', { ips: [await instances.actor.echo('127.0.0.1')], weights: [1] })
      return {
        ...(await echoed(gateway, bytes, mostGrowth[transport])),
        ...(await many(gateway, tunnels, () => instances.actor.tunnels())),
      }
    })
  },
}

/** Messages of one tunnel, sent as fast as they are taken and compared with what comes back. */
async function echoed(gateway: RunningGateway, bytes: number, growth: number): Promise<Figures> {
  const sent = createHash('sha256')
  const got = createHash('sha256')
  let gotBytes = 0
  const all = Promise.withResolvers<void>()
  const client = await WebSocketClient.open(gateway.port, path, (opcode, payload) => {
    if (opcode !== BINARY) return
    got.update(payload)
    gotBytes += payload.length
    if (gotBytes >= bytes) all.resolve()
  })
  client.socket.on('close', () =>
    all.reject(new Error(`the tunnel ended after ${gotBytes} of ${bytes} bytes`)),
  )
  const before = gateway.residentBytes()
  const cpuBefore = gateway.cpuSeconds()
  let most = before
  const watching = setInterval(() => (most = Math.max(most, gateway.residentBytes())), 200)
  const begin = performance.now()
  try {
    const message = randomBytes(messageBytes)
    for (let at = 0; at < bytes; at += messageBytes) {
      // Each message is another one: their order counts.
      message.writeDoubleLE(at)
      const payload = new Uint8Array(message)
      sent.update(payload)
      if (!client.send(BINARY, payload)) await Promise.race([once(client.socket, 'drain'), all.promise])
    }
    await all.promise
  } finally {
    clearInterval(watching)
  }
  const seconds = (performance.now() - begin) / 1000
  const cpu = gateway.cpuSeconds() - cpuBefore
  most = Math.max(most, gateway.residentBytes())
  if (gotBytes !== bytes || got.digest('hex') !== sent.digest('hex'))
    throw new Error(`the echo of ${bytes} bytes is ${gotBytes} bytes, or others`)
  if (most > before + growth)
    throw new Error(`the gateway grew by ${mebibytes(most - before)} with one tunnel`)
  await client.close()
  return {
    'echoed, verified': mebibytes(bytes),
    'there and back': `${((2 * bytes) / mebibyte / seconds).toFixed(0)} MiB/s`,
    'CPU of the gateway': `${((cpu * 1e6) / ((2 * bytes) / mebibyte)).toFixed(0)} µs/MiB`,
    'memory before / most': `${mebibytes(before)} / ${mebibytes(most)}`,
  }
}

/**
 * Tunnels that are all open at the same time, round after round until memory grows no more: a slot that was a client's may be
 * an instance's next time, and has then memory for both.
 */
async function many(gateway: RunningGateway, count: number, open: () => Promise<number>): Promise<Figures> {
  const descriptors = gateway.descriptors()
  const before = gateway.residentBytes()
  const after = [before]
  let most = 0
  do {
    if (after.length > mostRounds)
      throw new Error(
        `memory after rounds of ${count} tunnels keeps growing: ${after.map(mebibytes).join(', ')}`,
      )
    const clients = await Promise.all(
      Array.from({ length: count }, (_, index) => opened(gateway.port, index)),
    )
    const there = await open()
    if (there !== count) throw new Error(`${there} of ${count} tunnels are open`)
    await Promise.all(clients.map(({ echo }) => echo()))
    most = gateway.residentBytes()
    await Promise.all(clients.map(({ client }) => client.close()))
    await gone(gateway, descriptors, count)
    after.push(gateway.residentBytes())
  } while ((after.at(-1) ?? 0) - (after.at(-2) ?? 0) > settled)
  return {
    'tunnels at once, each with its own echo': count,
    'memory of a tunnel, once it has settled': `${((most - before) / count / 1024).toFixed(1)} KiB`,
    'memory before, and after each round': after.map(mebibytes).join(', '),
    'descriptors before / after': `${descriptors} / ${gateway.descriptors()}`,
  }
}

/** A tunnel whose echo is compared with what it sent. */
async function opened(
  port: number,
  index: number,
): Promise<{ client: WebSocketClient; echo: () => Promise<void> }> {
  const text = `tunnel ${index}`
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const client = await WebSocketClient.open(port, path, (opcode, payload) => {
    const came = Buffer.from(payload).toString()
    if (opcode !== BINARY) return
    if (came === text) resolve()
    else reject(new Error(`${text} got ${JSON.stringify(came)}`))
  })
  client.socket.on('close', () => reject(new Error(`${text} ended`)))
  // Where nobody has come to wait for it yet.
  promise.catch(() => undefined)
  const echo = (): Promise<void> => {
    client.send(BINARY, new Uint8Array(Buffer.from(text)))
    return promise
  }
  return { client, echo }
}

/** Waits until clients and their descriptors have gone. */
async function gone(gateway: RunningGateway, descriptors: number, count: number): Promise<void> {
  for (let i = 0; ; i++) {
    const clients = (await gateway.actor.counters()).reduce((sum, worker) => sum + worker.clients, 0)
    if (clients === 0 && gateway.descriptors() <= descriptors) return
    if (i > 1000)
      throw new Error(
        `of ${count} tunnels ${clients} stay, ${gateway.descriptors()} descriptors instead of ${descriptors}`,
      )
    await sleep(10)
  }
}

const mebibytes = (bytes: number): string => `${(bytes / mebibyte).toFixed(1)} MiB`
