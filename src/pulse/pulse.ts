import type { CheckResult, CheckSpec, Pace, Probe, Pulse, Running, Schedule, Undecided } from './check.ts'
import { Deadlines } from './deadlines.ts'
import { gap, type Timing } from './gap.ts'
import { http } from './http.ts'
import { none } from './none.ts'
import { noAnswer } from './reasons.ts'
import { tcp } from './tcp.ts'
import { told } from './told.ts'
import { udp } from './udp.ts'

export type Probes = { readonly [Kind in CheckSpec['kind']]: Probe<Extract<CheckSpec, { kind: Kind }>> }

export interface PulseSettings<Key> {
  /** At the end of each check; `at` in milliseconds since the epoch. It may call the pulse. */
  readonly onResult: (key: Key, result: CheckResult, at: number) => void
  /** A check that came to no verdict for want of something on this machine; it is repeated at the fast interval. */
  readonly onUndecided?: (key: Key, reason: string) => void
  /** Checks open at once. Give about a quarter of the soft limit of descriptors. */
  readonly maxInFlight?: number
  readonly probes?: Probes
  /** Milliseconds since the epoch that never go backwards. */
  readonly now?: () => number
  /** Uniform in [0, 1). */
  readonly random?: () => number
  /** Calls back once after so many milliseconds; returns how to call it off. */
  readonly timer?: (ms: number, fire: () => void) => () => void
}

export const realProbes: Probes = { none, told, tcp, udp, http }

const defaultMaxInFlight = 4096
/** Checks started before other work of the process gets its turn: about 3 ms. */
const startsPerTurn = 64
/**
 * A timer that comes later than this means that the process stood still. Answers may lie unread in its sockets then, so
 * checks that seem to be out of time get as much again.
 */
const stallMs = 100
/** setTimeout takes a signed 32-bit number. */
const maxDelayMs = 2 ** 31 - 1

const steadyNow = (): number => performance.timeOrigin + performance.now()

const setTimer = (ms: number, fire: () => void): (() => void) => {
  const timer = setTimeout(fire, ms)
  return () => clearTimeout(timer)
}

/**
 *            due                 room                      verdict or time-out
 *   waiting ─────► queued ──────────────► running ────────────────────────────► waiting
 *
 * A target is in one heap at a time: waiting and running ones in `clock` (start, time-out), queued ones in the queue of
 * their kind.
 */
interface Target<Key> {
  readonly key: Key
  check: CheckSpec
  timing: Timing
  pace: Pace
  state: 'waiting' | 'queued' | 'running'
  /** When it is due, or was while it is queued. */
  at: number
  position: number
  /** End of the last check; 0: none yet. */
  endedAt: number
  /** The last check failed: the next one may well last to its time-out. */
  suspect: boolean
  /** Failures since it is Down, for the back-off. */
  failures: number
  /** Its first check came early, with those of all others; the second is to scatter. */
  scatter: boolean
  running: Running | null
}

/**
 * All checks on one timer.
 *
 * Targets whose last check failed take at most half of the room in flight, so that black-holed ones, each of which holds its
 * place up to the time-out, never keep the others waiting.
 */
export function makePulse<Key>(settings: PulseSettings<Key>): Pulse<Key> {
  return new Scheduler(settings)
}

class Scheduler<Key> implements Pulse<Key> {
  readonly #onResult: PulseSettings<Key>['onResult']
  readonly #onUndecided: NonNullable<PulseSettings<Key>['onUndecided']>
  readonly #probes: Probes
  readonly #now: () => number
  readonly #random: () => number
  readonly #timer: NonNullable<PulseSettings<Key>['timer']>
  readonly #room: number
  readonly #roomForSuspects: number

  readonly #targets = new Map<Key, Target<Key>>()
  /** Equal timings are kept once. */
  readonly #timings = new Map<string, Timing>()
  readonly #clock = new Deadlines<Target<Key>>()
  readonly #queue = new Deadlines<Target<Key>>()
  readonly #suspectQueue = new Deadlines<Target<Key>>()
  #running = 0
  #runningSuspects = 0

  #wakeAt = Infinity
  #callOff = (): void => {}
  #inTurn = false
  #closed = false

  constructor({
    onResult,
    onUndecided = () => {},
    maxInFlight = defaultMaxInFlight,
    probes = realProbes,
    now = steadyNow,
    random = Math.random,
    timer = setTimer,
  }: PulseSettings<Key>) {
    this.#onResult = onResult
    this.#onUndecided = onUndecided
    this.#probes = probes
    this.#now = now
    this.#random = random
    this.#timer = timer
    this.#room = Math.max(1, maxInFlight)
    this.#roomForSuspects = Math.max(1, this.#room >> 1)
  }

  get size(): number {
    return this.#targets.size
  }

  get inFlight(): number {
    return this.#running
  }

  set(key: Key, schedule: Schedule): void {
    if (this.#closed) return
    const timing = this.#intern(schedule)
    const known = this.#targets.get(key)
    if (known !== undefined) {
      if (known.timing === timing && sameCheck(known.check, schedule.check)) return
      this.#remove(known)
    }
    const pace = known?.pace ?? 'normal'
    const firstWithinMs =
      pace === 'normal' ? schedule.firstWithinMs : Math.min(schedule.firstWithinMs, schedule.fastIntervalMs)
    const target: Target<Key> = {
      key,
      check: schedule.check,
      timing,
      pace,
      state: 'waiting',
      at: this.#now() + this.#random() * firstWithinMs,
      position: 0,
      endedAt: 0,
      suspect: false,
      failures: 0,
      scatter: schedule.firstWithinMs < schedule.intervalMs,
      running: null,
    }
    this.#targets.set(key, target)
    this.#clock.add(target)
    this.#arm()
  }

  setPace(key: Key, pace: Pace): void {
    const target = this.#targets.get(key)
    if (target === undefined || target.pace === pace) return
    target.pace = pace
    target.failures = 0
    if (target.state !== 'waiting' || target.endedAt === 0) return
    this.#clock.delete(target)
    this.#wait(target)
    this.#arm()
  }

  delete(key: Key): void {
    const target = this.#targets.get(key)
    if (target === undefined) return
    this.#targets.delete(key)
    this.#remove(target)
    this.#arm()
  }

  close(): void {
    this.#closed = true
    for (const target of this.#targets.values()) {
      target.running?.cancel()
      target.running = null
    }
    this.#targets.clear()
    for (const heap of [this.#clock, this.#queue, this.#suspectQueue]) heap.clear()
    this.#running = this.#runningSuspects = 0
    this.#callOff()
    this.#wakeAt = Infinity
  }

  #intern({ intervalMs, fastIntervalMs, backoffMs }: Schedule): Timing {
    const name = `${intervalMs} ${fastIntervalMs} ${backoffMs}`
    const known = this.#timings.get(name)
    if (known !== undefined) return known
    const timing = { intervalMs, fastIntervalMs, backoffMs }
    this.#timings.set(name, timing)
    return timing
  }

  /** Time-outs and starts, as far as they are due and there is room. */
  #turn(): void {
    const now = this.#now()
    const stalled = now - this.#wakeAt > stallMs
    this.#wakeAt = Infinity
    this.#inTurn = true
    try {
      for (let due = this.#clock.first; due !== undefined && due.at <= now; due = this.#clock.first) {
        if (due.state === 'waiting') this.#enqueue(due)
        else if (stalled) this.#postpone(due, now + stallMs)
        else this.#timeOut(due)
      }
      for (let starts = 0; starts < startsPerTurn; starts++) {
        const next = this.#next()
        if (next === undefined) break
        this.#start(next)
      }
    } finally {
      this.#inTurn = false
      this.#arm()
    }
  }

  #enqueue(target: Target<Key>): void {
    this.#clock.delete(target)
    target.state = 'queued'
    this.#queueOf(target).add(target)
  }

  #postpone(target: Target<Key>, at: number): void {
    this.#clock.delete(target)
    target.at = at
    this.#clock.add(target)
  }

  /** The longest due of those that there is room for. */
  #next(): Target<Key> | undefined {
    if (this.#running >= this.#room) return undefined
    const trusted = this.#queue.first
    const suspect = this.#runningSuspects < this.#roomForSuspects ? this.#suspectQueue.first : undefined
    if (trusted === undefined || suspect === undefined) return trusted ?? suspect
    return trusted.at <= suspect.at ? trusted : suspect
  }

  #queueOf(target: Target<Key>): Deadlines<Target<Key>> {
    return target.suspect ? this.#suspectQueue : this.#queue
  }

  #start(target: Target<Key>): void {
    this.#queueOf(target).delete(target)
    target.state = 'running'
    this.#running++
    if (target.suspect) this.#runningSuspects++
    const { check } = target
    target.at = this.#now() + ('timeoutMs' in check ? check.timeoutMs : Infinity)
    this.#clock.add(target)
    const running: Running = this.#probe(check, (result) => {
      if (target.running === running) this.#finish(target, result)
    })
    target.running = running
  }

  #probe(check: CheckSpec, done: (result: CheckResult | Undecided) => void): Running {
    switch (check.kind) {
      case 'none':
        return this.#probes.none(check, done)
      case 'told':
        return this.#probes.told(check, done)
      case 'tcp':
        return this.#probes.tcp(check, done)
      case 'udp':
        return this.#probes.udp(check, done)
      case 'http':
        return this.#probes.http(check, done)
      default:
        return check satisfies never
    }
  }

  #timeOut(target: Target<Key>): void {
    target.running?.cancel()
    this.#finish(target, noAnswer('timeoutMs' in target.check ? target.check.timeoutMs : 0))
  }

  #finish(target: Target<Key>, result: CheckResult | Undecided): void {
    this.#clock.delete(target)
    this.#stopped(target)
    target.endedAt = this.#now()
    if (result.up !== null) {
      target.suspect = !result.up
      if (target.pace === 'down' && !result.up) target.failures++
    }
    this.#wait(target, result.up === null)
    // The books are closed before the owner, who may call back, hears of it.
    if (result.up === null) this.#onUndecided(target.key, result.reason)
    else this.#onResult(target.key, result, target.endedAt)
    this.#arm()
  }

  #wait(target: Target<Key>, undecided = false): void {
    target.state = 'waiting'
    target.at = target.endedAt + (undecided ? target.timing.fastIntervalMs : gap(target, this.#random))
    this.#clock.add(target)
  }

  /** Takes it out of whatever it is in, without a result. */
  #remove(target: Target<Key>): void {
    if (target.state === 'queued') this.#queueOf(target).delete(target)
    else this.#clock.delete(target)
    if (target.state !== 'running') return
    target.running?.cancel()
    this.#stopped(target)
  }

  #stopped(target: Target<Key>): void {
    target.running = null
    this.#running--
    if (target.suspect) this.#runningSuspects--
  }

  #arm(): void {
    if (this.#inTurn) return
    const now = this.#now()
    const due = this.#next() === undefined ? (this.#clock.first?.at ?? Infinity) : now
    if (due >= this.#wakeAt) return
    this.#callOff()
    this.#wakeAt = Math.max(due, now)
    this.#callOff = this.#timer(Math.min(Math.max(Math.ceil(due - now), 1), maxDelayMs), () => this.#turn())
  }
}

function sameCheck(a: CheckSpec, b: CheckSpec): boolean {
  const other: Readonly<Record<string, unknown>> = { ...b }
  const entries = Object.entries(a)
  return (
    entries.length === Object.keys(other).length && entries.every(([name, value]) => other[name] === value)
  )
}
