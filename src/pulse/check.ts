/**
 * The seam of the pulse room: what a check is asked and what it answers. The room knows neither services nor planes;
 * whoever schedules a check gives it a key of his own.
 *
 * `address` is where to connect: an IP address, or a name that is resolved at each check.
 */
export type CheckSpec =
  | { readonly kind: 'none' }
  /** Somebody else checks, and says when asked; null: he does not know yet. */
  | { readonly kind: 'told'; readonly ask: () => CheckResult | null }
  | { readonly kind: 'tcp'; readonly address: string; readonly port: number; readonly timeoutMs: number }
  /** Silence is success: `waitMs` is how long an error is waited for. */
  | { readonly kind: 'udp'; readonly address: string; readonly port: number; readonly waitMs: number }
  | {
      readonly kind: 'http'
      readonly scheme: 'http' | 'https'
      readonly address: string
      readonly port: number
      /** Host header, and SNI where it is a name; '' for the address. */
      readonly host: string
      readonly method: string
      readonly path: string
      readonly expect: number
      readonly timeoutMs: number
    }

export interface CheckResult {
  readonly up: boolean
  /** One short clause for people: `connection refused`, `status 503, expected 200`, `no answer within 5 s`. Empty when up. */
  readonly reason: string
}

/** No verdict: this machine, not the target, was short of something (descriptors, memory). `reason` is empty where nothing is wrong. */
export interface Undecided {
  readonly up: null
  readonly reason: string
}

/**
 * One kind of check. Calls back exactly once, never synchronously; `cancel` ends it without a call. The limit of
 * `timeoutMs` is kept by whoever starts the probe.
 */
export type Probe<Spec extends CheckSpec = CheckSpec> = (
  spec: Spec,
  done: (result: CheckResult | Undecided) => void,
) => Running

export interface Running {
  cancel(): void
}

export interface Schedule {
  readonly check: CheckSpec
  /** From the end of one check to the start of the next. */
  readonly intervalMs: number
  /** The same while the backend is Down or regaining weight; never above intervalMs. */
  readonly fastIntervalMs: number
  /** While Down the gap doubles from the fast interval up to this, with ±10 % jitter. 0: no back-off. */
  readonly backoffMs: number
  /** Delay of the first check is uniform in [0, this). */
  readonly firstWithinMs: number
}

/** `normal`: Up at full weight. `recovering`: Up below it. `down`. The owner tells after each result. */
export type Pace = 'normal' | 'recovering' | 'down'

/** All checks of one Torb: one timer, a bound on checks in flight. */
export interface Pulse<Key> {
  /** Starts checking, or replaces the schedule: an equal one changes nothing. */
  set(key: Key, schedule: Schedule): void
  setPace(key: Key, pace: Pace): void
  delete(key: Key): void
  readonly size: number
  readonly inFlight: number
  close(): void
}
