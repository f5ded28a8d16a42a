import { connectBounds, type DestinationCounters, type Rates, type TrafficCounters } from '../plane.ts'
import { combine, noRates, ratesAfter, type Estimated, type Estimator } from './estimator.ts'

const sum = (a: number, b: number): number => a + b

/** Counters of one destination. A TCP packet is a chunk as it was read from a socket; a UDP packet is a datagram. */
export class Tally implements TrafficCounters, Estimated {
  connections = 0
  packetsIn = 0
  packetsOut = 0
  bytesIn = 0
  bytesOut = 0
  active = 0
  inactive = 0
  errors = 0
  #connects = 0
  #connectSum = 0
  #buckets: Float64Array | null = null
  #rates = noRates
  /** What was counted at the last estimate; null: at rest, so that nobody looks. */
  #before: Rates | null = null

  get rates(): Rates {
    return this.#rates
  }

  get atRest(): boolean {
    return this.#before === null
  }

  /** To be called at rest, before traffic comes. */
  watchedBy(estimator: Estimator): void {
    this.#before = this.#counted()
    estimator.watch(this)
  }

  /** At rest with nothing open and no rate left. */
  estimated(seconds: number): boolean {
    const counted = this.#counted()
    this.#rates = ratesAfter(this.#rates, this.#before ?? counted, counted, seconds)
    const quiet = this.#rates === noRates
    this.#before = quiet && this.active + this.inactive === 0 ? null : counted
    return this.#before !== null
  }

  received(bytes: number): void {
    this.packetsIn++
    this.bytesIn += bytes
  }

  returned(bytes: number): void {
    this.packetsOut++
    this.bytesOut += bytes
  }

  connectedIn(microseconds: number): void {
    this.#connects++
    this.#connectSum += microseconds
    const at = connectBounds.findIndex((bound) => microseconds <= bound)
    this.#buckets ??= new Float64Array(connectBounds.length)
    if (at >= 0) this.#buckets[at] = (this.#buckets[at] ?? 0) + 1
  }

  /** Goes on for both: the other one is counted no more. */
  absorb(other: Tally, estimator: Estimator): void {
    if (this.#before === null && other.#before !== null) this.watchedBy(estimator)
    if (this.#before !== null) this.#before = combine(this.#before, other.#before ?? other.#counted(), sum)
    estimator.forget(other)
    this.add(other)
  }

  add(other: Tally): void {
    this.connections += other.connections
    this.packetsIn += other.packetsIn
    this.packetsOut += other.packetsOut
    this.bytesIn += other.bytesIn
    this.bytesOut += other.bytesOut
    this.active += other.active
    this.inactive += other.inactive
    this.errors += other.errors
    if (other.#rates !== noRates) this.#rates = combine(this.#rates, other.#rates, sum)
  }

  /** Counts from zero; what is open stays open. */
  zero(): void {
    this.connections = this.packetsIn = this.packetsOut = this.bytesIn = this.bytesOut = this.errors = 0
    this.#connects = this.#connectSum = 0
    this.#buckets = null
    this.#rates = noRates
    if (this.#before !== null) this.#before = noRates
  }

  traffic(): TrafficCounters {
    const { connections, packetsIn, packetsOut, bytesIn, bytesOut, active, inactive, errors, rates } = this
    return { connections, packetsIn, packetsOut, bytesIn, bytesOut, active, inactive, errors, rates }
  }

  /** With the connect times where they were measured. */
  counters(): DestinationCounters {
    if (this.#buckets === null) return this.traffic()
    return {
      ...this.traffic(),
      connect: { count: this.#connects, sum: this.#connectSum, buckets: [...this.#buckets] },
    }
  }

  #counted(): Rates {
    const { connections, packetsIn, packetsOut, bytesIn, bytesOut } = this
    return { connections, packetsIn, packetsOut, bytesIn, bytesOut }
  }
}
