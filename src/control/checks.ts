import { complaints } from '../model/complaints.ts'
import { parseInterval } from '../model/duration.ts'
import type { PulseOptions } from '../model/pulse.ts'
import type { DestinationCheck } from '../planes/plane.ts'
import type { CheckResult, CheckSpec, Schedule } from '../pulse/check.ts'
import type { Log } from './events.ts'

/** GORB: a TCP check waits 5 s, an HTTP check 2 s. */
const tcpTimeoutMs = 5000
const httpTimeoutMs = 2000
/** OVN's monitor waits 3 s too. */
const udpWaitMs = 3000
const fastIntervalMs = 2000
/** After a restart the first check comes within this, however long the interval. */
const firstSoonMs = 2000

/** Who is checked. */
export interface CheckedPlace {
  /** As it was given, for the Host header. */
  readonly host: string
  readonly address: string
  readonly port: number
}

/**
 * When and what a pulse checks.
 *
 * @param soon the first check does not wait for the interval
 * @param ask what to ask where somebody else checks
 */
export function scheduleOf(
  pulse: PulseOptions,
  place: CheckedPlace,
  soon: boolean,
  ask: (() => CheckResult | null) | null = null,
): Schedule {
  const intervalMs = parseInterval(pulse.interval)
  return {
    check: ask === null ? checkOf(pulse, place) : { kind: 'told', ask },
    intervalMs,
    fastIntervalMs: Math.min(
      intervalMs,
      pulse.fast_interval === undefined ? fastIntervalMs : parseInterval(pulse.fast_interval),
    ),
    backoffMs: pulse.backoff === undefined ? 0 : parseInterval(pulse.backoff),
    // To ask costs nothing.
    firstWithinMs: soon || ask !== null ? Math.min(intervalMs, firstSoonMs) : intervalMs,
  }
}

/** The same for a plane that carries it out itself. @param decides whether its verdict counts at once */
export function checkOfPlane(pulse: PulseOptions, decides: boolean): DestinationCheck {
  const { type, interval, rise = 1, fall = 1 } = pulse
  return { type, intervalMs: parseInterval(interval), timeoutMs: timeoutOf(pulse), rise, fall, decides }
}

function timeoutOf({ type, timeout, args }: PulseOptions): number {
  if (timeout !== undefined) return parseInterval(timeout)
  if (type === 'udp') return udpWaitMs
  if (type === 'http') return args?.timeout === undefined ? httpTimeoutMs : args.timeout * 1000
  return tcpTimeoutMs
}

function checkOf(pulse: PulseOptions, { host, address, port }: CheckedPlace): CheckSpec {
  const timeoutMs = timeoutOf(pulse)
  const { args } = pulse
  switch (pulse.type) {
    case 'none':
      return { kind: 'none' }
    case 'tcp':
      return { kind: 'tcp', address, port, timeoutMs }
    case 'udp':
      return { kind: 'udp', address, port, waitMs: timeoutMs }
    case 'http':
      return {
        kind: 'http',
        scheme: args?.scheme ?? 'http',
        address: args?.host ?? address,
        port: args?.port ?? port,
        host: args?.host ?? host,
        method: args?.method ?? 'GET',
        path: args?.path ?? '/',
        expect: args?.expect ?? 200,
        timeoutMs,
      }
    default:
      return pulse.type satisfies never
  }
}

/**
 * Says from time to time that checks come to no verdict. Our own shortage says nothing of who is checked: its health stays
 * as it is.
 */
export function undecidedChecks(log: Log, now: () => number): (who: object, reason: string) => void {
  const due = complaints(now)
  return (who, reason) => {
    if (reason === '' || due() === null) return
    log.warn(who, `health checks cannot be made: ${reason}`)
  }
}
