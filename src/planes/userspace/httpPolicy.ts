import type {
  Decision,
  Exchange,
  ExchangeEnd,
  ProxyPolicy,
  ProxyRequest,
  Upstream,
  UpstreamNumber,
} from '../../proxy/http/policy.ts'
import { OwnCounts, Waiting, type Line } from '../../proxy/http/waiting.ts'
import type { Ends } from '../../proxy/transport.ts'
import type { Template } from './affinity.ts'
import { forwardedFields, hostLimit, type Forwarded } from './forwarded.ts'
import type { HttpService } from './httpService.ts'
import type { HttpUpstreams } from './httpUpstreams.ts'
import type { Member } from './roster.ts'
import type { Choice } from './service.ts'

const none: readonly Member[] = []

/** A client's connection, and where its request under way goes. */
interface Client {
  service: HttpService
  ends: Ends
  /** Of the request under way: what a trusted proxy tells, and from whom it comes then. */
  forwarded: Forwarded | null
  asker: Ends
  member: Member | null
  template: Template | null
  upstream: UpstreamNumber
  /** The request has been counted at its member. */
  isCounted: boolean
  /** Could not be had for this request. */
  tried: readonly Member[]
}

const protoAndFor = Buffer.from('X-Forwarded-Proto: http\r\nX-Forwarded-For: ')
const hostName = Buffer.from('\r\nX-Forwarded-Host: ')
const lineEnd = Buffer.from('\r\n')

export interface HttpPolicyParts {
  readonly upstreams: HttpUpstreams
  /** Exchanges of the proxy are below this. */
  readonly exchanges: number
  /** Milliseconds of a clock that never goes back, with fractions. */
  readonly clock: () => number
  /** HttpProxy.resume */
  readonly resume: (exchange: Exchange) => void
}

/** Requests of http services: each goes where its service's scheduler says, and is counted there. */
export class HttpPolicy implements ProxyPolicy {
  readonly ownRequestFields = forwardedFields
  readonly watchedRequestFields = forwardedFields
  readonly #upstreams: HttpUpstreams
  /** By exchange. */
  readonly #clients: (Client | undefined)[] = []
  readonly #waiting: Waiting
  readonly #clock: () => number

  constructor({ upstreams, exchanges, clock, resume }: HttpPolicyParts) {
    this.#upstreams = upstreams
    this.#clock = clock
    this.#waiting = new Waiting(new OwnCounts(), exchanges, resume)
  }

  /** There may be places for those in the line. */
  call(line: Line): void {
    this.#waiting.call(line)
  }

  /** The requests of this exchange are the service's from now on. */
  accepted(exchange: Exchange, service: HttpService, ends: Ends): void {
    const client = this.#clients[exchange]
    if (client === undefined) {
      const nobody = {
        forwarded: null,
        asker: ends,
        member: null,
        template: null,
        upstream: -1,
        isCounted: false,
        tried: none,
      }
      this.#clients[exchange] = { service, ends, ...nobody }
    } else {
      client.service = service
      client.ends = ends
    }
  }

  /** Exchanges that were last the service's. */
  *exchangesOf(service: HttpService): Generator<Exchange> {
    for (const [exchange, client] of this.#clients.entries()) if (client?.service === service) yield exchange
  }

  upstream(upstream: UpstreamNumber): Upstream {
    return this.#upstreams.get(upstream)
  }

  clientOf(exchange: Exchange, request: ProxyRequest): string | null {
    const client = this.#client(exchange)
    const { service, ends } = client
    const forwarded = service.forwarded(request, ends.remoteAddress)
    client.forwarded = forwarded
    client.asker = forwarded === null ? ends : { ...ends, remoteAddress: forwarded.client }
    return forwarded?.client ?? null
  }

  unservedAs(exchange: Exchange): number {
    return this.#client(exchange).service.unservedAs()
  }

  decide(exchange: Exchange, _request: ProxyRequest, decision: Decision): void {
    const client = this.#client(exchange)
    const { service } = client
    client.tried = none
    if (this.#begin(client)) {
      decision.action = 'forward'
      decision.upstream = client.upstream
    } else if (this.#waits(exchange, service, decision)) return
    else service.roster.rest.errors++
    this.#waiting.leave(exchange)
  }

  /** Nobody can have the request now. @returns true: it waits until somebody can */
  #waits(exchange: Exchange, service: HttpService, decision: Decision): boolean {
    const { roster, settings, line } = service
    const waiting = this.#waiting
    const now = this.#clock()
    if (line === null || !roster.isFull) return false
    if (
      waiting.until(exchange) === 0 &&
      !waiting.join(exchange, line, settings.queue, now + settings.waitMs)
    ) {
      service.overloaded++
      return false
    }
    const left = waiting.until(exchange) - now
    if (left <= 0) {
      service.expired++
      return false
    }
    waiting.stay(exchange)
    decision.action = 'wait'
    decision.waitMs = left
    return true
  }

  next(exchange: Exchange): UpstreamNumber {
    const client = this.#client(exchange)
    const { member, template, upstream } = client
    if (member === null) return -1
    client.tried = [...client.tried, member]
    if (!this.#begin(client)) return -1
    member.tally.errors++
    this.#leave(client.service, member, template, upstream)
    return client.upstream
  }

  connected(exchange: Exchange, _upstream: UpstreamNumber, milliseconds: number): void {
    this.#client(exchange).member?.tally.connectedIn(milliseconds * 1000)
  }

  requestFields(
    exchange: Exchange,
    request: ProxyRequest,
    _upstream: UpstreamNumber,
    into: Uint8Array,
    at: number,
  ): number {
    const client = this.#client(exchange)
    if (!client.isCounted && client.member !== null) {
      client.isCounted = true
      client.member.tally.connections++
      client.member.tally.received(request.headEnd - request.methodAt)
    }
    const { forwarded } = client
    const first = forwarded === null ? protoAndFor : protoAndChain(forwarded)
    let end = put(first, 0, first.length, into, at)
    end = put(request.client, 0, request.clientLength, into, end)
    const { bytes, hostAt, hostEnd } = request
    const told = forwarded?.host ?? null
    if (told !== null) {
      end = put(hostName, 0, hostName.length, into, end)
      end = put(Buffer.from(told, 'latin1'), 0, told.length, into, end)
    } else if (hostEnd > hostAt && hostEnd - hostAt <= hostLimit) {
      end = put(hostName, 0, hostName.length, into, end)
      end = put(bytes, hostAt, hostEnd, into, end)
    }
    return put(lineEnd, 0, lineEnd.length, into, end)
  }

  responseFields(_exchange: Exchange, _upstream: UpstreamNumber, _into: Uint8Array, at: number): number {
    return at
  }

  responded(): void {}

  ended(exchange: Exchange, { outcome, requestBytes, responseBytes }: ExchangeEnd): void {
    const client = this.#client(exchange)
    const { service, member, template, upstream } = client
    if (member === null) {
      this.#waiting.leave(exchange)
      if (outcome === 'expired') {
        service.expired++
        service.roster.rest.errors++
      }
      return
    }
    const { tally } = member
    if (outcome === 'refused' || outcome === 'timeout' || outcome === 'broken') tally.errors++
    // Torb's own want of connections is not the backend's.
    if (outcome === 'exhausted') service.roster.rest.errors++
    tally.bytesIn += requestBytes
    if (responseBytes > 0) tally.returned(responseBytes)
    client.member = client.template = null
    this.#leave(service, member, template, upstream)
    if (service.line !== null) this.#waiting.released(upstream, service.line)
  }

  #client(exchange: Exchange): Client {
    const client = this.#clients[exchange]
    if (client === undefined) throw new RangeError(`exchange ${exchange} is no service's`)
    return client
  }

  /** Gives the request to a member that was not tried. @returns false: there is none */
  #begin(client: Client): boolean {
    const { service } = client
    const choice: Choice | null = service.choose(client.asker, client.tried)
    if (choice === null) return false
    const upstream = service.begin(choice.member)
    if (upstream < 0) {
      service.context.complain(service.spec.id, 'there are too many backends of http services: 503')
      return false
    }
    client.member = choice.member
    client.template = choice.template
    client.upstream = upstream
    client.isCounted = false
    choice.template?.opened()
    service.roster.opened(choice.member)
    return true
  }

  #leave(service: HttpService, member: Member, template: Template | null, upstream: UpstreamNumber): void {
    service.roster.closed(member, true)
    template?.closed()
    this.#upstreams.ended(upstream)
  }
}

function protoAndChain({ proto, chain }: Forwarded): Buffer {
  const before = chain === '' ? '' : `${chain}, `
  return Buffer.from(`X-Forwarded-Proto: ${proto ?? 'http'}\r\nX-Forwarded-For: ${before}`, 'latin1')
}

function put(bytes: Uint8Array, from: number, end: number, into: Uint8Array, at: number): number {
  let to = at
  for (let index = from; index < end; index++) into[to++] = bytes[index] as number
  return to
}
