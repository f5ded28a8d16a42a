import type { Rates } from '../plane.ts'

/** Milliseconds from one estimate to the next, as in the kernel. */
export const estimateMs = 2000
/** The finest that the kernel's fixed point holds (2^-10 a second); what is less counts as nothing. */
const resolution = 2 ** -10

export const noRates: Rates = { connections: 0, packetsIn: 0, packetsOut: 0, bytesIn: 0, bytesOut: 0 }

/**
 * A rate after so many seconds in which so many came: in two seconds it moves by a quarter of the difference
 * (net/netfilter/ipvs/ip_vs_est.c). A timer that comes late moves it by as much as those it stands for.
 *
 * @param kept share of the old rate that is left after these seconds
 */
export function estimate(rate: number, count: number, seconds: number, kept = keptAfter(seconds)): number {
  const now = count / seconds
  const next = now + (rate - now) * kept
  return next < resolution ? 0 : next
}

const keptAfter = (seconds: number): number => 0.75 ** (seconds / (estimateMs / 1000))

/** The rates after so many seconds in which the counters went from `before` to `now`; `noRates` itself where nothing is left. */
export function ratesAfter(rates: Rates, before: Rates, now: Rates, seconds: number): Rates {
  const kept = keptAfter(seconds)
  const connections = estimate(rates.connections, now.connections - before.connections, seconds, kept)
  const packetsIn = estimate(rates.packetsIn, now.packetsIn - before.packetsIn, seconds, kept)
  const packetsOut = estimate(rates.packetsOut, now.packetsOut - before.packetsOut, seconds, kept)
  const bytesIn = estimate(rates.bytesIn, now.bytesIn - before.bytesIn, seconds, kept)
  const bytesOut = estimate(rates.bytesOut, now.bytesOut - before.bytesOut, seconds, kept)
  if (connections + packetsIn + packetsOut + bytesIn + bytesOut === 0) return noRates
  return { connections, packetsIn, packetsOut, bytesIn, bytesOut }
}

/** Field by field. */
export const combine = (a: Rates, b: Rates, of: (a: number, b: number) => number): Rates => ({
  connections: of(a.connections, b.connections),
  packetsIn: of(a.packetsIn, b.packetsIn),
  packetsOut: of(a.packetsOut, b.packetsOut),
  bytesIn: of(a.bytesIn, b.bytesIn),
  bytesOut: of(a.bytesOut, b.bytesOut),
})

/** What has rates of its own. */
export interface Estimated {
  /** Moves its rates on by so many seconds. @returns false when it is at rest, and stays so until it is watched anew */
  estimated(seconds: number): boolean
}

/** One timer for everything that has traffic; what is at rest costs nothing. */
export class Estimator {
  readonly #clock: () => number
  readonly #watched = new Set<Estimated>()
  #at = 0
  #timer: NodeJS.Timeout | null = null

  /** @param clock milliseconds of a clock that never goes back */
  constructor(clock: () => number) {
    this.#clock = clock
  }

  get size(): number {
    return this.#watched.size
  }

  /** To be called before the first of its traffic is counted. */
  watch(one: Estimated): void {
    if (this.#watched.size === 0) this.#start()
    this.#watched.add(one)
  }

  forget(one: Estimated): void {
    if (this.#watched.delete(one) && this.#watched.size === 0) this.stop()
  }

  /** The estimator's own timer calls this. */
  tick(): void {
    const now = this.#clock()
    const seconds = (now - this.#at) / 1000
    if (seconds <= 0) return
    this.#at = now
    for (const one of this.#watched) if (!one.estimated(seconds)) this.forget(one)
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  #start(): void {
    this.#at = this.#clock()
    this.#timer ??= setInterval(() => this.tick(), estimateMs).unref()
  }
}
