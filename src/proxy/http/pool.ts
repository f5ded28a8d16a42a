import type { Connection } from '../stream.ts'
import type { UpstreamNumber } from './policy.ts'

const none = -1

/**
 * Idle connections by upstream, the one used last first: that is the least likely to be stale, and those that are not needed
 * grow old and end. Lists of numbers in typed arrays.
 */
export class Pool {
  readonly #first: Int32Array
  readonly #idle: Int32Array
  readonly #after: Int32Array
  readonly #before: Int32Array
  /** Which upstream's list a connection is in; -1: none. */
  readonly #upstream: Int32Array
  readonly #most: number

  /** @param most idle connections of one upstream */
  constructor(upstreams: number, connections: number, most: number) {
    this.#first = new Int32Array(upstreams).fill(none)
    this.#idle = new Int32Array(upstreams)
    this.#after = new Int32Array(connections).fill(none)
    this.#before = new Int32Array(connections).fill(none)
    this.#upstream = new Int32Array(connections).fill(none)
    this.#most = most
  }

  /** @returns false: there are enough */
  put(upstream: UpstreamNumber, connection: Connection): boolean {
    const idle = this.#idle[upstream] as number
    if (idle >= this.#most) return false
    const first = this.#first[upstream] as number
    this.#after[connection] = first
    this.#before[connection] = none
    if (first !== none) this.#before[first] = connection
    this.#first[upstream] = connection
    this.#upstream[connection] = upstream
    this.#idle[upstream] = idle + 1
    return true
  }

  /** @returns -1: there is none */
  take(upstream: UpstreamNumber): Connection {
    const connection = this.#first[upstream] as number
    if (connection !== none) this.remove(connection)
    return connection
  }

  /** Takes one out of whichever list it is in. */
  remove(connection: Connection): void {
    const upstream = this.#upstream[connection] as number
    if (upstream === none) return
    const after = this.#after[connection] as number
    const before = this.#before[connection] as number
    if (before === none) this.#first[upstream] = after
    else this.#after[before] = after
    if (after !== none) this.#before[after] = before
    this.#upstream[connection] = none
    this.#idle[upstream] = (this.#idle[upstream] as number) - 1
  }

  idle(upstream: UpstreamNumber): number {
    return this.#idle[upstream] as number
  }
}
