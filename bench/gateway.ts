import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { cpus, release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Endpoint } from '../lab/client.ts'
import { startActor } from '../lab/process.ts'
import { bodies, startStatic, type SinkActor } from './gatewayBackends.ts'
import { drive, idleClients, loads, type Load, type Outcome } from './gatewayLoads.ts'
import { gatewayProxies, type BenchFunction } from './gatewayProxies.ts'
import { treeCpuSeconds, treeResidentBytes } from './processTree.ts'
import { listening } from './tcpProxies.ts'
import { freePort } from '../src/planes/freePort.ts'

/**
 * CPU of HTTP proxies per request, side by side on loopback, in interleaved rounds (A B C A B C); latencies and errors;
 * memory of idle clients.
 *
 * CPU is compared, not requests per second: load and instances share the processors and bound the rate.
 */
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    idle: { type: 'string', default: '4000' },
    loads: { type: 'string', default: loads.map(({ name }) => name).join() },
    proxies: { type: 'string', default: gatewayProxies.map(({ name }) => name).join() },
  },
})

function count(flag: 'rounds' | 'seconds' | 'idle', most: number): number {
  const number = Number(values[flag])
  if (Number.isInteger(number) && number >= 1 && number <= most) return number
  throw new Error(`--${flag} is a whole number from 1 to ${most}, not ${values[flag]}`)
}

function chosen<T extends { readonly name: string }>(flag: 'loads' | 'proxies', all: readonly T[]): T[] {
  return values[flag].split(',').map((wanted) => {
    const found = all.find(({ name }) => name === wanted)
    if (found !== undefined) return found
    throw new Error(`--${flag} knows ${all.map(({ name }) => name).join(', ')}, not ${wanted}`)
  })
}

const rounds = count('rounds', 50)
const seconds = count('seconds', 60)
const idle = count('idle', 8000)
const chosenLoads = chosen('loads', loads)

interface Subject {
  readonly name: string
  readonly at: Endpoint
  readonly pid: number
}

type Sample = Outcome & { readonly cpu: number }

const median = (numbers: readonly number[]): number => {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return ((sorted[middle] ?? NaN) + (sorted[(sorted.length - 1) >> 1] ?? NaN)) / 2
}

async function measure({ at, pid }: Subject, load: Load): Promise<Sample> {
  const before = treeCpuSeconds(pid)
  const outcome = await drive(load, at, seconds)
  return { ...outcome, cpu: ((treeCpuSeconds(pid) - before) / outcome.requests) * 1e6 }
}

/** Rounds of one load over all subjects. The ratio to a peer is the median of the rounds' ratios, since rounds drift. */
async function compare(subjects: readonly Subject[], load: Load): Promise<string> {
  const samples = subjects.map((): Sample[] => [])
  for (let round = 0; round < rounds; round++) {
    for (const [n, subject] of subjects.entries()) samples[n]?.push(await measure(subject, load))
  }
  const of = (name: string): readonly Sample[] =>
    samples[subjects.findIndex((one) => one.name === name)] ?? []
  const ratio = (own: readonly Sample[], peer: string): string => {
    const ratios = of(peer).map(({ cpu }, round) => (own[round]?.cpu ?? NaN) / cpu)
    return ratios.length === 0 ? '' : median(ratios).toFixed(2)
  }
  const rows = subjects.map(({ name }) => {
    const own = of(name)
    const middle = (key: keyof Sample): number => median(own.map((sample) => sample[key]))
    return [
      name,
      middle('cpu').toFixed(1),
      ratio(own, 'nginx'),
      ratio(own, 'go'),
      middle('p50').toFixed(2),
      middle('p99').toFixed(2),
      median(own.map((sample) => sample.requests / sample.seconds)).toFixed(0),
      String(own.reduce((sum, { errors }) => sum + errors, 0)),
    ]
  })
  const header = [
    load.name,
    'CPU µs/request',
    'to nginx',
    'to Go',
    'p50 ms',
    'p99 ms',
    'requests/s',
    'errors',
  ]
  return table(header, rows)
}

/** Memory that idle clients take, once each subject has served a hundred: what these cost comes once. */
async function memory(subjects: readonly Subject[], path: string): Promise<string> {
  const rows: string[][] = []
  for (const { name, at, pid } of subjects) {
    ;(await idleClients(at, path, 100))[Symbol.dispose]()
    const before = treeResidentBytes(pid)
    using _clients = await idleClients(at, path, idle)
    const after = treeResidentBytes(pid)
    const megabytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1)
    rows.push([name, ((after - before) / 1024 / idle).toFixed(2), megabytes(before), megabytes(after)])
  }
  return table([`${idle} idle clients`, 'KB/client', 'MB without', 'MB with'], rows)
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return `${[header, header.map(() => '---'), ...rows].map(line).join('\n')}\n`
}

/** Throws unless the proxy passes every body whole. */
async function check({ name, at }: Subject): Promise<void> {
  const asked = async (path: string, bytes: number, body?: string): Promise<void> => {
    const url = `http://${at.address}:${at.port}${path}`
    const response = await fetch(url, body === undefined ? {} : { method: 'POST', body })
    const received = (await response.arrayBuffer()).byteLength
    if (response.status !== 200 || received !== bytes) {
      throw new Error(
        `${name} answered ${path} with status ${response.status} and ${received} of ${bytes} bytes`,
      )
    }
  }
  for (const [body, bytes] of Object.entries(bodies)) await asked(`/function/static/${body}`, bytes)
  await asked('/function/sink/', 'ok'.length, 'x'.repeat(65_536))
}

const directory = mkdtempSync(join(tmpdir(), 'torb-bench-'))
const running: ChildProcess[] = []
const keep = (child: ChildProcess): void => void running.push(child)
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
try {
  const addresses = ['127.0.0.11', '127.0.0.12']
  const sinks = await startActor<SinkActor>(new URL('gatewayBackends.ts', import.meta.url), [], keep)
  const weigh = (endpoint: Endpoint, n: number) => ({ ...endpoint, weight: n === 0 ? 3 : 1 })
  const files = await startStatic(join(directory, 'static'), addresses, keep)
  const takers = await Promise.all(
    addresses.map(async (address) => ({ address, port: await sinks.sink(address) })),
  )
  const functions: BenchFunction[] = [
    { name: 'static', instances: files.map(weigh) },
    { name: 'sink', instances: takers.map(weigh) },
  ]

  const subjects: Subject[] = []
  for (const proxy of chosen('proxies', gatewayProxies)) {
    const missing = proxy.missing()
    if (missing !== null) {
      console.log(`${proxy.name} is left out: ${missing}`)
      continue
    }
    const at = { address: '127.0.0.1', port: await freePort('127.0.0.1') }
    const own = join(directory, proxy.name)
    mkdirSync(own)
    const child = await proxy.start(own, at, functions)
    keep(child)
    await listening(at, child)
    const subject = { name: proxy.name, at, pid: child.pid ?? 0 }
    await check(subject)
    subjects.push(subject)
  }

  const system = `Node ${process.version}, Linux ${release()}, ${cpus().length} × ${cpus()[0]?.model.trim() ?? 'CPU'}`
  console.log(`${rounds} rounds of ${seconds} s, interleaved; ${system}\n`)
  console.log(await memory(subjects, '/function/static/small'))
  for (const load of chosenLoads) {
    // Warms caches and compilers, and is not counted; compilers take most of their time at the first load.
    const warmUps = rounds === 1 ? 0 : load === chosenLoads[0] ? 3 : 1
    for (let time = 0; time < warmUps; time++) for (const subject of subjects) await measure(subject, load)
    console.log(await compare(subjects, load))
  }
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
