import { flagBit } from '../../model/names.ts'
import type { ProxyRequest, UpstreamNumber } from '../../proxy/http/policy.ts'
import { requestText } from '../../proxy/http/requestText.ts'
import type { Line } from '../../proxy/http/waiting.ts'
import type { StreamListener } from '../../proxy/stream.ts'
import type { Transport } from '../../proxy/transport.ts'
import type { ServiceCounters, VirtualService } from '../plane.ts'
import type { Context } from './context.ts'
import { readForwarded, type Forwarded, type ForwardedValues } from './forwarded.ts'
import type { HttpFront } from './httpFront.ts'
import { HttpSettings } from './httpSettings.ts'
import type { Member } from './roster.ts'
import { Service } from './service.ts'

/** A service of HTTP/1.1: each request is scheduled for itself, on whatever connection of its client it comes. */
export class HttpService extends Service {
  readonly #openFront: () => Promise<HttpFront>
  readonly #numbers = new Map<Member, UpstreamNumber>()
  #front: HttpFront | null = null
  #listener: StreamListener | null = null
  #settings: HttpSettings
  #line: Line | null = null
  /** -1: none of its requests has been without a backend. */
  #unserved = -1
  /** As in `QueueCounters`. */
  overloaded = 0
  expired = 0

  constructor(
    spec: VirtualService,
    context: Context,
    transport: Transport,
    openFront: () => Promise<HttpFront>,
  ) {
    super(spec, context, transport)
    this.#openFront = openFront
    this.#settings = new HttpSettings(spec.http)
  }

  async open(): Promise<void> {
    this.#front = await this.#openFront()
    this.#line = { ...this.#front.newLine(), isPicky: isPicky(this.spec) }
    this.#listener = await this.#front.listen(this)
  }

  override update(after: VirtualService): void {
    this.#settings = new HttpSettings(after.http)
    super.update(after)
    if (this.#line === null) return
    this.#line.isPicky = isPicky(after)
    // There may be more places.
    this.#front?.call(this.#line)
  }

  get settings(): HttpSettings {
    return this.#settings
  }

  /** Requests that wait for a backend. */
  get line(): Line | null {
    return this.#line
  }

  override counters(): ServiceCounters {
    const { overloaded, expired } = this
    const waiting = this.#line?.exchanges.size ?? 0
    return { ...super.counters(), queue: { waiting, overloaded, expired } }
  }

  override zero(): void {
    super.zero()
    this.overloaded = this.expired = 0
  }

  /** Requests under way go on, and so do tunnels; their connections end with them. */
  close(): void {
    this.#listener?.close()
    this.#listener = null
    this.#front?.dismiss(this)
    this.#letGo([...this.#numbers.keys()])
    this.#letUnservedGo()
    this.forget()
  }

  /** Requests to removed backends go on. */
  protected removed(members: readonly Member[]): void {
    this.#letGo(members)
  }

  /** A request begins that goes to the member. @returns what stands for it; -1: there are no numbers left */
  begin(member: Member): UpstreamNumber {
    if (this.#front === null) return -1
    const { upstreams } = this.#front
    const number =
      this.#numbers.get(member) ?? upstreams.add(member.destination, this.#nameOf(member.destination.id))
    if (number < 0) return -1
    this.#numbers.set(member, number)
    upstreams.begun(number)
    // The last request of a client whose service has been closed while it asked.
    if (this.#listener === null) this.#letGo([member])
    return number
  }

  /** The number by which the access log knows its requests that no backend was had for; -1: there is none. */
  unservedAs(): number {
    if (this.#front === null) return -1
    if (this.#unserved < 0) this.#unserved = this.#front.unserved.add(this.#nameOf('-'))
    const number = this.#unserved
    // As in `begin`.
    if (this.#listener === null) this.#letUnservedGo()
    return number
  }

  /** What the request says of where it comes from; null: it does not come from a trusted proxy. */
  forwarded(request: ProxyRequest, peer: string): Forwarded | null {
    const settings = this.#settings
    if (!settings.isTrusted(peer)) return null
    const values: ForwardedValues = [valueOf(request, 0), valueOf(request, 1), valueOf(request, 2)]
    return readForwarded(values, peer, (address) => settings.isTrusted(address))
  }

  /** As in the paths of the API, which have no blanks: its name in the access log. */
  #nameOf(backend: string): string {
    return `${encodeURIComponent(this.spec.id)}/${encodeURIComponent(backend)}`
  }

  #letUnservedGo(): void {
    if (this.#unserved >= 0) this.#front?.unserved.remove(this.#unserved)
    this.#unserved = -1
  }

  #letGo(members: Iterable<Member>): void {
    for (const member of members) {
      const number = this.#numbers.get(member)
      if (number === undefined) continue
      this.#numbers.delete(member)
      this.#front?.upstreams.remove(number)
    }
  }
}

/** A client waits for the backend that its hash gives, also while others have room. */
const isPicky = ({ scheduler, flags }: VirtualService): boolean =>
  (scheduler === 'sh' || scheduler === 'mh') && (flags & flagBit.fallback) === 0

/** @param field of `forwardedFields` */
function valueOf(request: ProxyRequest, field: number): string {
  let value = ''
  for (let isThere = request.find(field); isThere; isThere = request.findNext()) {
    const one = requestText(request.bytes, request.valueAt, request.valueEnd)
    value = value === '' ? one : `${value},${one}`
  }
  return value
}
