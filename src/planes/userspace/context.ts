import type { Wheel } from '../../proxy/wheel.ts'
import type { Estimator } from './estimator.ts'
import type { Places } from './places.ts'

/** Idle time-outs in seconds, by IPVS's names: open TCP, half-closed TCP, UDP. */
export interface Timeouts {
  readonly tcp: number
  readonly tcpfin: number
  readonly udp: number
}

/** The part of a logger (pino's) that is used here. */
export interface PlaneLog {
  info(text: string): void
  warn(fields: object, text: string): void
}

/** The access log of http services: where it is, and of how many requests one is in it. */
export interface AccessLogOptions {
  readonly path: string
  readonly every: number
}

/** What the services of one plane share. */
export interface Context {
  readonly wheel: Wheel
  readonly estimator: Estimator
  /** Milliseconds of a clock that never goes back, with fractions. */
  readonly clock: () => number
  readonly random: () => number
  readonly timeouts: Timeouts
  readonly connectTimeoutMs: number
  /** null: there is none. */
  readonly accessLog: (AccessLogOptions & { readonly complain: (text: string) => void }) | null
  /** File descriptors of listeners, connections and flows. */
  readonly descriptors: Places
  readonly flows: Places
  readonly templates: Places
  /** Says what goes wrong again and again, but not each time. */
  readonly complain: (service: string, what: string) => void
}
