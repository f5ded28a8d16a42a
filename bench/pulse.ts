/**
 * Pulse: what 20,000 tcp checks at 10 s cost the process that makes them, and how late they start, once with all targets
 * well and once with a tenth of them black-holed. Targets are addresses of 127.0.0.0/8; their server is a process apart.
 *
 *     node bench/pulse.ts [--targets 20000] [--interval 10] [--seconds 25] [--scheduled 100000]
 *
 * It ends with 1 where a verdict is wrong or a target was not checked, never for a time.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeSync } from 'node:fs'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { CheckSpec, Schedule } from '../src/pulse/check.ts'
import { effectiveWeight, initialHealth, observe, pace, type Health } from '../src/pulse/health.ts'
import { makePulse, realProbes } from '../src/pulse/pulse.ts'

export interface Load {
  readonly targets: number
  readonly intervalMs: number
  readonly seconds: number
  /** Every so many targets one hangs; 0: none. */
  readonly blackholedOneIn: number
}

export interface Figures {
  /** CPU time of this process by wall time, in per cent of a core, from the second interval on. */
  readonly cpuPercent: number
  readonly checks: number
  readonly checksPerCpuSecond: number
  /** Start of a check of a well target after the moment it was due, in ms. */
  readonly late: { readonly p50: number; readonly p99: number; readonly max: number }
  readonly mostInFlight: number
  /** What is not as it must be; empty when all is well. */
  readonly wrong: readonly string[]
}

interface Peer {
  readonly port: number
  close(): Promise<void>
}

const timeoutMs = 5000
const configured = 100
const limits = { rise: 1, fall: 1, window: 100 }

/** Runs the checks for so many seconds. The first interval, in which targets get their phase, is not measured. */
export async function measurePulses({
  targets,
  intervalMs,
  seconds,
  blackholedOneIn,
}: Load): Promise<Figures> {
  const well = await startPeer('open')
  const hole = blackholedOneIn === 0 ? null : await startBlackHole()
  const health: Health[] = Array.from({ length: targets }, initialHealth)
  const lastEnd = new Float64Array(targets)
  const indexOf = new Map<CheckSpec, number>()
  const late: number[] = []
  const wrong: string[] = []
  let measuring = false
  let checks = 0
  let mostInFlight = 0
  const isBlack = (index: number): boolean => hole !== null && index % blackholedOneIn === 0

  const pulse = makePulse<number>({
    probes: {
      ...realProbes,
      tcp: (check, done) => {
        const index = indexOf.get(check) ?? -1
        const due = (lastEnd[index] ?? 0) + intervalMs
        if (measuring && !isBlack(index) && due > intervalMs) late.push(performance.now() - due)
        mostInFlight = Math.max(mostInFlight, pulse.inFlight)
        return realProbes.tcp(check, done)
      },
    },
    onResult: (index, result, at) => {
      lastEnd[index] = performance.now()
      const next = observe(health[index] ?? initialHealth(), result, at, limits)
      health[index] = next
      pulse.setPace(index, pace(next, configured))
      if (measuring) checks++
      const expected = isBlack(index) ? 'no answer within 5 s' : ''
      if (result.reason !== expected && wrong.length < 10)
        wrong.push(`${address(index)}: "${result.reason}" instead of "${expected}"`)
    },
    onUndecided: (index, reason) => wrong.push(`${address(index)}: no verdict, ${reason}`),
  })
  for (let index = 0; index < targets; index++) {
    const port = isBlack(index) && hole !== null ? hole.port : well.port
    const check: CheckSpec = { kind: 'tcp', address: address(index), port, timeoutMs }
    indexOf.set(check, index)
    pulse.set(index, {
      check,
      intervalMs,
      fastIntervalMs: Math.min(2000, intervalMs),
      backoffMs: 0,
      firstWithinMs: intervalMs,
    })
  }

  const warmUpMs = intervalMs + (hole === null ? 0 : timeoutMs)
  await sleep(warmUpMs)
  measuring = true
  mostInFlight = 0
  const cpu = process.cpuUsage()
  const begin = performance.now()
  await sleep(Math.max(1000, seconds * 1000 - warmUpMs))
  const wall = (performance.now() - begin) * 1000
  const used = process.cpuUsage(cpu)
  measuring = false
  pulse.close()
  await well.close()
  await hole?.close()

  health.forEach((seen, index) => {
    const expected = isBlack(index) ? 0 : configured
    if ((seen.at === 0 || effectiveWeight(configured, seen) !== expected) && wrong.length < 10) {
      wrong.push(
        `${address(index)}: ${seen.at === 0 ? 'never checked' : `weight ${effectiveWeight(configured, seen)}`}`,
      )
    }
  })
  late.sort((a, b) => a - b)
  const at = (share: number): number => late[Math.min(late.length - 1, Math.floor(late.length * share))] ?? 0
  const cpuSeconds = (used.user + used.system) / 1e6
  return {
    cpuPercent: (100 * (used.user + used.system)) / wall,
    checks,
    checksPerCpuSecond: checks / cpuSeconds,
    late: { p50: at(0.5), p99: at(0.99), max: at(1) },
    mostInFlight,
    wrong,
  }
}

/** Bytes of heap that one scheduled check takes, its CheckSpec and address included. */
export function bytesPerCheck(count: number): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const pulse = makePulse<number>({ onResult: () => {} })
  collect()
  const before = process.memoryUsage().heapUsed
  for (let index = 0; index < count; index++) {
    const check: Schedule['check'] = { kind: 'tcp', address: address(index), port: 80, timeoutMs }
    pulse.set(index, {
      check,
      intervalMs: 3_600_000,
      fastIntervalMs: 2000,
      backoffMs: 0,
      firstWithinMs: 3_600_000,
    })
  }
  collect()
  const bytes = (process.memoryUsage().heapUsed - before) / count
  pulse.close()
  return bytes
}

/** 127.1.0.0 and up. */
const address = (index: number): string => `127.${1 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`

async function startPeer(kind: 'open' | 'hung'): Promise<Peer> {
  const child = spawn(process.execPath, [import.meta.filename, '--serve', kind], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  const close = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  return { port: Number(line.toString()), close }
}

/**
 * A listener that hangs: its process stands still, so nothing is accepted, and its backlog is full, so the kernel drops
 * every further SYN (tcp(7), tcp_abort_on_overflow).
 */
async function startBlackHole(): Promise<Peer> {
  const peer = await startPeer('hung')
  const fillers: Socket[] = []
  const close = async (): Promise<void> => {
    for (const filler of fillers) filler.destroy()
    await peer.close()
  }
  for (let i = 0; i < 64; i++) {
    const socket = connect(peer.port, '127.0.0.1')
    socket.on('error', () => {})
    fillers.push(socket)
    const answered = await Promise.race([once(socket, 'connect').then(() => true), sleep(300, false)])
    if (!answered) return { port: peer.port, close }
  }
  await close()
  throw new Error(
    'the listener takes connections although its process stands still: nothing to black-hole with',
  )
}

/** The peers' side; each ends when its parent has. */
function serve(kind: string): void {
  const parent = process.ppid
  const server = createServer((socket) => socket.on('error', () => {}).resume())
  server.listen({ host: '0.0.0.0', port: 0, backlog: kind === 'hung' ? 1 : 4096 }, () => {
    writeSync(1, `${(server.address() as AddressInfo).port}\n`)
    if (kind === 'hung') {
      const never = new Int32Array(new SharedArrayBuffer(4))
      while (process.ppid === parent) Atomics.wait(never, 0, 0, 1000)
    }
    setInterval(() => process.ppid === parent || process.exit(), 1000)
  })
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      serve: { type: 'string' },
      targets: { type: 'string', default: '20000' },
      interval: { type: 'string', default: '10' },
      seconds: { type: 'string', default: '25' },
      scheduled: { type: 'string', default: '100000' },
    },
  })
  if (values.serve !== undefined) {
    serve(values.serve)
    return
  }
  const targets = Number(values.targets)
  const intervalMs = Number(values.interval) * 1000
  const seconds = Number(values.seconds)
  process.stdout.write(
    `memory: ${bytesPerCheck(Number(values.scheduled)).toFixed(0)} bytes of heap a check at ${values.scheduled}\n`,
  )
  for (const [name, blackholedOneIn] of [
    ['all well', 0],
    ['one in ten black-holed', 10],
  ] as const) {
    const figures = await measurePulses({ targets, intervalMs, seconds, blackholedOneIn })
    const { p50, p99, max } = figures.late
    process.stdout.write(
      `${targets} tcp checks at ${values.interval} s, ${name}: ${figures.cpuPercent.toFixed(1)} % of a core, ` +
        `${figures.checksPerCpuSecond.toFixed(0)} checks a CPU-second (${figures.checks} checks), ` +
        `well targets late by p50 ${p50.toFixed(1)}, p99 ${p99.toFixed(1)}, max ${max.toFixed(1)} ms, ` +
        `at most ${figures.mostInFlight} in flight\n`,
    )
    for (const line of figures.wrong) process.stdout.write(`  wrong: ${line}\n`)
    if (figures.wrong.length > 0) process.exitCode = 1
  }
}

if (import.meta.main) await main()
