import type { Upstream, UpstreamNumber } from '../../proxy/http/policy.ts'
import { Numbers } from './numbers.ts'

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
  readonly #retire: (upstream: UpstreamNumber) => void
  readonly #numbered: Numbered[] = []
  readonly #numbers: Numbers

  /** @param retire HttpProxy.retire */
  constructor(limit: number, retire: (upstream: UpstreamNumber) => void) {
    this.#numbers = new Numbers(limit)
    this.#retire = retire
  }

  /** @returns -1: there are no numbers left */
  add({ address, port }: { readonly address: string; readonly port: number }, name: string): UpstreamNumber {
    const number = this.#numbers.take()
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
    if (numbered.isGone && numbered.users === 0) this.#numbers.give(number)
  }

  /** Its backend is gone: requests under way go on. */
  remove(number: UpstreamNumber): void {
    const numbered = this.#at(number)
    numbered.isGone = true
    this.#retire(number)
    if (numbered.users === 0) this.#numbers.give(number)
  }

  #at(number: UpstreamNumber): Numbered {
    const numbered = this.#numbered[number]
    if (numbered === undefined) throw new RangeError(`upstream ${number} stands for no backend`)
    return numbered
  }
}
