import { connectBounds, type DestinationCounters, type TrafficCounters } from '../plane.ts'

/** Counters of one destination. A TCP packet is a chunk as it was read from a socket; a UDP packet is a datagram. */
export class Tally implements TrafficCounters {
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

  add(other: TrafficCounters): void {
    this.connections += other.connections
    this.packetsIn += other.packetsIn
    this.packetsOut += other.packetsOut
    this.bytesIn += other.bytesIn
    this.bytesOut += other.bytesOut
    this.active += other.active
    this.inactive += other.inactive
    this.errors += other.errors
  }

  /** Counts from zero; what is open stays open. */
  zero(): void {
    this.connections = this.packetsIn = this.packetsOut = this.bytesIn = this.bytesOut = this.errors = 0
    this.#connects = this.#connectSum = 0
    this.#buckets = null
  }

  traffic(): TrafficCounters {
    const { connections, packetsIn, packetsOut, bytesIn, bytesOut, active, inactive, errors } = this
    return { connections, packetsIn, packetsOut, bytesIn, bytesOut, active, inactive, errors }
  }

  /** With the connect times where they were measured. */
  counters(): DestinationCounters {
    if (this.#buckets === null) return this.traffic()
    return {
      ...this.traffic(),
      connect: { count: this.#connects, sum: this.#connectSum, buckets: [...this.#buckets] },
    }
  }
}
