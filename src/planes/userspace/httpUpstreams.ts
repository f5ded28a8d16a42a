import type { Upstream, UpstreamNumber } from '../../proxy/http/policy.ts'

interface Numbered extends Upstream {
  readonly name: string
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

  /**
   * Numbers that were used before come last, and the one that has been free for longest first: the access log asks for the
   * name of a number a little later.
   *
   * @returns -1: none is left
   */
  add({ address, port }: { readonly address: string; readonly port: number }, name: string): UpstreamNumber {
    const isFresh = this.#numbered.length < this.#limit
    const number = isFresh ? this.#numbered.length : (this.#free.shift() ?? -1)
    if (number < 0) return -1
    // Connections that were kept after it was removed are still to its former backend.
    if (number < this.#numbered.length) this.#retire(number)
    this.#numbered[number] = { address, port, host: null, name, users: 0, isGone: false }
    return number
  }

  get(number: UpstreamNumber): Upstream {
    return this.#at(number)
  }

  nameOf(number: UpstreamNumber): string {
    return this.#at(number).name
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
