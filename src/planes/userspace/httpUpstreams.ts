import type { Upstream, UpstreamNumber } from '../../proxy/http/policy.ts'

interface Numbered extends Upstream {
  /** Requests that go by it. */
  users: number
  isGone: boolean
}

/**
 * The numbers by which the HTTP proxy knows backends. One stands for another backend only when its own is gone and the last
 * request to that has ended.
 */
export class HttpUpstreams {
  readonly #limit: number
  readonly #retire: (upstream: UpstreamNumber) => void
  readonly #numbered: Numbered[] = []
  readonly #free: UpstreamNumber[] = []

  /** @param retire HttpProxy.retire */
  constructor(limit: number, retire: (upstream: UpstreamNumber) => void) {
    this.#limit = limit
    this.#retire = retire
  }

  /** @returns -1: none is left */
  add({ address, port }: { readonly address: string; readonly port: number }): UpstreamNumber {
    const number = this.#free.pop() ?? this.#numbered.length
    if (number >= this.#limit) return -1
    // Connections that were kept after it was removed are still to its former backend.
    if (number < this.#numbered.length) this.#retire(number)
    this.#numbered[number] = { address, port, host: null, users: 0, isGone: false }
    return number
  }

  get(number: UpstreamNumber): Upstream {
    return this.#at(number)
  }

  begun(number: UpstreamNumber): void {
    this.#at(number).users++
  }

  ended(number: UpstreamNumber): void {
    const numbered = this.#at(number)
    numbered.users--
    if (numbered.isGone && numbered.users === 0) this.#free.push(number)
  }

  /** Its backend is gone: requests under way go on. */
  remove(number: UpstreamNumber): void {
    const numbered = this.#at(number)
    numbered.isGone = true
    this.#retire(number)
    if (numbered.users === 0) this.#free.push(number)
  }

  #at(number: UpstreamNumber): Numbered {
    const numbered = this.#numbered[number]
    if (numbered === undefined) throw new RangeError(`upstream ${number} stands for no backend`)
    return numbered
  }
}
