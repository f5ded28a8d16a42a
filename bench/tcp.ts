import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { cpus, release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Endpoint } from '../lab/client.ts'
import { startActor } from '../lab/process.ts'
import { cpuSeconds, freePort, listening, proxies } from './tcpProxies.ts'
import type { BenchTraffic } from './tcpTraffic.ts'

/**
 * CPU of TCP proxies per connection and per megabyte, side by side on loopback, in interleaved rounds (A B C A B C).
 *
 * CPU is compared, not connections per second: the load generator shares the processors and bounds the rate.
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
const connections = values.quick ? 500 : 4000
const concurrency = 32
const bulkBytes = (values.quick ? 32 : 256) * 2 ** 20

interface Subject {
  readonly name: string
  readonly at: Endpoint
  /** null: no proxy in between. */
  readonly pid: number | null
  readonly samples: { cpuConnection: number[]; cpuMegabyte: number[]; rate: number[]; throughput: number[] }
}

const median = (numbers: readonly number[]): number => {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? NaN)
    : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2
}

async function measure({ at, pid, samples }: Subject, client: BenchTraffic): Promise<void> {
  const cpu = (): number => (pid === null ? 0 : cpuSeconds(pid))
  const before = cpu()
  const { seconds, failed } = await client.connections(at, connections, concurrency)
  if (failed > 0)
    throw new Error(`${failed} of ${connections} connections to ${at.address}:${at.port} failed`)
  const between = cpu()
  const bulkSeconds = await client.bulk(at, bulkBytes)
  const after = cpu()
  const megabytes = bulkBytes / 2 ** 20
  samples.cpuConnection.push(((between - before) / connections) * 1e6)
  samples.cpuMegabyte.push(((after - between) / megabytes) * 1e6)
  samples.rate.push(connections / seconds)
  samples.throughput.push(megabytes / bulkSeconds)
}

function table(subjects: readonly Subject[]): string {
  const peers = subjects.filter(({ name, pid }) => pid !== null && name !== 'torb')
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  const of = (subject: Subject, key: keyof Subject['samples']): number => median(subject.samples[key])
  const ratios = (subject: Subject, key: 'cpuConnection' | 'cpuMegabyte'): string[] =>
    peers.map((peer) => (subject.pid === null ? '' : (of(subject, key) / of(peer, key)).toFixed(2)))
  const to = peers.map(({ name }) => `to ${name}`)
  const header = ['proxy', 'CPU µs/connection', ...to, 'CPU µs/MB', ...to, 'connections/s', 'MB/s']
  return [
    row(header),
    row(header.map(() => '---')),
    ...subjects.map((subject) =>
      row([
        subject.name,
        subject.pid === null ? '' : of(subject, 'cpuConnection').toFixed(1),
        ...ratios(subject, 'cpuConnection'),
        subject.pid === null ? '' : of(subject, 'cpuMegabyte').toFixed(0),
        ...ratios(subject, 'cpuMegabyte'),
        of(subject, 'rate').toFixed(0),
        of(subject, 'throughput').toFixed(0),
      ]),
    ),
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

  const empty = (): Subject['samples'] => ({ cpuConnection: [], cpuMegabyte: [], rate: [], throughput: [] })
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
    subjects.push({ name: proxy.name, at, pid: child.pid ?? 0, samples: empty() })
  }
  subjects.push({ name: 'direct', at: first, pid: null, samples: empty() })

  // The first round warms caches and compilers and is not counted.
  for (const subject of subjects) await measure({ ...subject, samples: empty() }, client)
  for (let round = 0; round < rounds; round++) for (const subject of subjects) await measure(subject, client)
  const system = `Node ${process.version}, Linux ${release()}, ${cpus().length} × ${cpus()[0]?.model.trim() ?? 'CPU'}`
  console.log(
    `${rounds} rounds, ${connections} connections (${concurrency} at a time), ${bulkBytes >> 20} MB; ${system}\n`,
  )
  console.log(table(subjects))
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
