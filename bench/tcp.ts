import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { cpus, release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Endpoint } from '../lab/client.ts'
import { startActor } from '../lab/process.ts'
import { treeCpuSeconds } from './processTree.ts'
import { listening, proxies } from './tcpProxies.ts'
import type { BenchTraffic } from './tcpTraffic.ts'
import { freePort } from '../src/planes/freePort.ts'

/**
 * CPU of TCP proxies per message, connection and megabyte, side by side on loopback, in interleaved rounds (A B C A B C).
 *
 * CPU is compared, not what is done in a second: the load generator shares the processors and bounds the rate.
 */
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    quick: { type: 'boolean', default: false },
  },
})
const rounds = values.quick ? 2 : Number(values.rounds)
if (!Number.isInteger(rounds) || rounds < 1 || rounds > 50)
  throw new Error('--rounds is a whole number from 1 to 50')

interface Subject {
  readonly name: string
  readonly at: Endpoint
  /** null: no proxy in between. */
  readonly pid: number | null
}

interface Load {
  /** What CPU is divided by. */
  readonly unit: string
  readonly units: number
  run(client: BenchTraffic, at: Endpoint): Promise<{ seconds: number; failed: number }>
}

const size = values.quick
  ? { connections: 500, each: 50, transfers: 2, megabytes: 32 }
  : { connections: 4000, each: 500, transfers: 150, megabytes: 512 }
const clients = 64
const transferClients = 4
const loads: readonly Load[] = [
  {
    unit: 'message',
    units: clients * size.each,
    run: (client, at) => client.messages(at, clients, size.each, 64),
  },
  {
    unit: 'connection',
    units: size.connections,
    run: (client, at) => client.connections(at, size.connections, 32),
  },
  {
    unit: 'MB, answers of 1 MB',
    units: transferClients * size.transfers,
    run: (client, at) => client.messages(at, transferClients, size.transfers, 2 ** 20),
  },
  {
    unit: 'MB, one transfer',
    units: size.megabytes,
    run: async (client, at) => ({ seconds: await client.bulk(at, size.megabytes * 2 ** 20), failed: 0 }),
  },
]

interface Sample {
  readonly cpu: number
  readonly rate: number
}

const median = (numbers: readonly number[]): number => {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return ((sorted[middle] ?? NaN) + (sorted[(sorted.length - 1) >> 1] ?? NaN)) / 2
}

async function measure({ at, pid }: Subject, load: Load, client: BenchTraffic): Promise<Sample> {
  const cpu = (): number => (pid === null ? NaN : treeCpuSeconds(pid))
  const before = cpu()
  const { seconds, failed } = await load.run(client, at)
  if (failed > 0) throw new Error(`${failed} of ${load.units} to ${at.address}:${at.port} failed`)
  return { cpu: ((cpu() - before) / load.units) * 1e6, rate: load.units / seconds }
}

/** Rounds of one load over all. The ratio to a peer is the median of the rounds' ratios, since rounds drift. */
async function compare(subjects: readonly Subject[], load: Load, client: BenchTraffic): Promise<string> {
  const samples = subjects.map((): Sample[] => [])
  // The first round warms caches and compilers and is not counted.
  for (const subject of subjects) await measure(subject, load, client)
  for (let round = 0; round < rounds; round++) {
    for (const [n, subject] of subjects.entries()) samples[n]?.push(await measure(subject, load, client))
  }
  const peers = subjects.flatMap(({ name, pid }, n) => (pid === null || name === 'torb' ? [] : [{ name, n }]))
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  const header = [`per ${load.unit}`, 'CPU µs', ...peers.map(({ name }) => `to ${name}`), 'a second']
  return [
    row(header),
    row(header.map(() => '---')),
    ...subjects.map(({ name, pid }, own) => {
      const of = (n: number, key: keyof Sample): number[] => samples[n]?.map((sample) => sample[key]) ?? []
      const ratio = (n: number): string =>
        median(of(own, 'cpu').map((cpu, round) => cpu / (of(n, 'cpu')[round] ?? NaN))).toFixed(2)
      return row([
        name,
        pid === null ? '' : median(of(own, 'cpu')).toFixed(1),
        ...peers.map(({ n }) => (pid === null ? '' : ratio(n))),
        median(of(own, 'rate')).toFixed(0),
      ])
    }),
    '',
  ].join('\n')
}

const directory = mkdtempSync(join(tmpdir(), 'torb-bench-'))
const running: ChildProcess[] = []
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
try {
  const module = new URL('tcpTraffic.ts', import.meta.url)
  const keep = (child: ChildProcess): void => void running.push(child)
  const server = await startActor<BenchTraffic>(module, [], keep)
  const client = await startActor<BenchTraffic>(module, [], keep)
  const backends: Endpoint[] = []
  for (const address of ['127.0.0.11', '127.0.0.12'])
    backends.push({ address, port: await server.serve(address) })
  const [first] = backends
  if (first === undefined) throw new Error('there are two backends')

  const subjects: Subject[] = []
  for (const proxy of proxies) {
    const missing = proxy.missing()
    if (missing !== null) {
      console.log(`${proxy.name} is left out: ${missing}`)
      continue
    }
    const at = { address: '127.0.0.1', port: await freePort('127.0.0.1') }
    const own = join(directory, proxy.name.replace(' ', '-'))
    mkdirSync(own)
    const child = await proxy.start(own, at, backends)
    running.push(child)
    await listening(at, child)
    subjects.push({ name: proxy.name, at, pid: child.pid ?? 0 })
  }
  subjects.push({ name: 'direct', at: first, pid: null })

  const system = `Node ${process.version}, Linux ${release()}, ${cpus().length} × ${cpus()[0]?.model.trim() ?? 'CPU'}`
  console.log(`${rounds} rounds; ${clients} clients that stay, 32 that connect anew; ${system}\n`)
  for (const load of loads) console.log(await compare(subjects, load, client))
} finally {
  for (const child of running) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    child.kill('SIGTERM')
    const forced = setTimeout(() => child.kill('SIGKILL'), 3000)
    await once(child, 'exit')
    clearTimeout(forced)
  }
  rmSync(directory, { recursive: true, force: true })
}
