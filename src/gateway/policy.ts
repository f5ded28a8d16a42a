import type {
  Answer,
  Decision,
  Exchange,
  ExchangeEnd,
  ProxyPolicy,
  ProxyRequest,
  Upstream,
  UpstreamNumber,
} from '../proxy/http/policy.ts'
import { Piece } from '../proxy/http/headPiece.ts'
import { Waiting, type Line } from '../proxy/http/waiting.ts'
import type { Board } from './board.ts'
import { ByteTable, hashBytes } from './byteTable.ts'
import { fieldHash } from './fieldHash.ts'
import { ForwardingFields, finalHostLine } from './forwarding.ts'
import { PassedNodes, watchedFields } from './passedNodes.ts'
import { Refusals } from './refusals.ts'
import { requestText } from '../proxy/http/requestText.ts'
import type { Route } from './route.ts'
import { allFull, noneUsable, select } from './selection.ts'
import type { Statistics } from './statistics.ts'
import { readTarget, type Target } from './target.ts'

/** What a gateway is told once. */
export interface GatewayIdentity {
  /** Own zone first. */
  readonly zones: readonly string[]
  /** In the headers; a token of RFC 9110. */
  readonly node: string
  /** Answers while no function is known. */
  readonly dummy: boolean
  /** Addresses of the other gateways, whose bare X-Forwarded-For is believed. */
  readonly unsignedPeers: readonly string[]
  /** With it hops are signed and believed; null: they are neither. */
  readonly hopKey: Uint8Array | null
  /** Gateways that a request may pass on its way, the first included. */
  readonly hopLimit: number
}

export interface GatewayPolicyOptions extends GatewayIdentity {
  readonly board: Board
  readonly statistics: Statistics
  /** Exchanges of the proxy are below this. */
  readonly exchanges: number
  /** Milliseconds since the epoch, with fractions. */
  readonly now: () => number
  /** Has a waiting exchange decided anew (HttpProxy.resume). */
  readonly resume: (exchange: Exchange) => void
  /** A place has come free for which somebody waits in another Worker. */
  readonly room: () => void
  readonly ejected: (instance: string, milliseconds: number) => void
  /** A version that was replaced or removed is not in use any more. */
  readonly released: (version: number) => void
}

/** An instance as the proxy knows it, with the header line that names it. */
interface NumberedUpstream extends Upstream {
  readonly finalHost: Piece
  readonly text: string
}

interface Version {
  readonly route: Route
  /** Exchanges that go by it. */
  users: number
  isCurrent: boolean
  readonly line: Line
}

const hostAt = watchedFields.indexOf('host')

const slash = Uint8Array.of(0x2f)
const nothing = new Uint8Array(0)
const noInstances: readonly UpstreamNumber[] = []

/** Statuses by which a server says that it cannot serve now. */
const isUnavailable = (status: number): boolean => status >= 502 && status <= 504

/** Functions: where each request goes, and what is told about its way. One Worker's; what is shared lies in the board. */
export class GatewayPolicy implements ProxyPolicy {
  readonly ownRequestFields: readonly string[]
  readonly watchedRequestFields = watchedFields
  readonly #options: GatewayPolicyOptions
  readonly #fields: ForwardingFields
  readonly #refusals: Refusals
  readonly #passed: PassedNodes
  readonly #functions = new ByteTable<Version>()
  readonly #upstreams: (NumberedUpstream | undefined)[] = []
  readonly #target: Target = { kind: 'invalid', nameAt: 0, nameEnd: 0 }

  readonly #waiting: Waiting

  // By exchange.
  readonly #version: (Version | null)[]
  readonly #member: Int32Array
  /** Instances that have failed it, and are not asked again. */
  readonly #tried: (readonly UpstreamNumber[])[]
  readonly #retries: Uint8Array
  readonly #hash: Uint32Array
  readonly #decidedAt: Float64Array

  constructor(options: GatewayPolicyOptions) {
    const { exchanges, node, zones, unsignedPeers, hopKey, hopLimit } = options
    this.#options = options
    this.#fields = new ForwardingFields(node)
    this.#refusals = new Refusals(zones[0] ?? '')
    this.#passed = new PassedNodes({
      node,
      ownField: this.#fields.host,
      unsignedPeers,
      hopKey,
      hopLimit,
      exchanges,
    })
    this.#waiting = new Waiting(options.board, exchanges, options.resume)
    this.ownRequestFields = this.#fields.own
    this.#version = Array<null>(exchanges).fill(null)
    this.#member = new Int32Array(exchanges)
    this.#tried = Array.from({ length: exchanges }, () => noInstances)
    this.#retries = new Uint8Array(exchanges)
    this.#hash = new Uint32Array(exchanges)
    this.#decidedAt = new Float64Array(exchanges)
  }

  /** A new instance, or another address of one. */
  setUpstream(upstream: UpstreamNumber, text: string, address: string, port: number): void {
    this.#upstreams[upstream] = {
      // Requests under way may go by a version of when its name did resolve.
      address: address === '' ? (this.#upstreams[upstream]?.address ?? '') : address,
      port,
      host: new Piece(Buffer.from(text)),
      finalHost: finalHostLine(text),
      text,
    }
  }

  /** New requests go by this version. */
  setFunction(route: Route): void {
    const name = Buffer.from(route.name)
    const before = this.#functions.get(name, 0, name.length)
    const line = before?.line ?? { number: route.fn, exchanges: new Set(), upstreams: new Set() }
    line.upstreams = new Set(route.members.map(({ upstream }) => upstream))
    this.#functions.set(name, { route, users: 0, isCurrent: true, line })
    if (before !== undefined) this.#replaced(before)
    this.#waiting.call(line)
  }

  removeFunction(name: string): void {
    const bytes = Buffer.from(name)
    const before = this.#functions.get(bytes, 0, bytes.length)
    if (before === undefined) return
    this.#functions.delete(bytes)
    this.#replaced(before)
    this.#waiting.call(before.line)
  }

  upstream(upstream: UpstreamNumber): Upstream {
    return this.#upstreams[upstream]!
  }

  decide(exchange: Exchange, request: ProxyRequest, decision: Decision): void {
    const now = this.#options.now()
    if (this.#waiting.until(exchange) === 0) {
      this.#decidedAt[exchange] = now
      this.#tried[exchange] = noInstances
      this.#retries[exchange] = 0
      this.#passed.begin(exchange)
    }
    const version = this.#find(request, decision)
    if (version !== null) {
      this.#hold(exchange, version)
      this.#route(exchange, version.route, request, decision, now)
    }
    if (decision.action === 'wait') return
    this.#waiting.leave(exchange)
    if (decision.action === 'refuse') this.#letGo(exchange)
  }

  next(exchange: Exchange, _upstream: UpstreamNumber, _error: number): UpstreamNumber {
    const version = this.#version[exchange]!
    const { route } = version
    const { board, statistics } = this.#options
    const failed = this.#member[exchange]!
    const retries = this.#retries[exchange]!
    if (retries >= route.retries) return -1
    const now = this.#options.now()
    const tried = [...this.#tried[exchange]!, route.members[failed]!.upstream]
    const { isGateway } = route.members[failed]!
    // The path is written for instances, or for gateways, already.
    const others = route.members.filter((other) => other.isGateway !== isGateway)
    const member = select(
      route,
      this.#passed.choice(exchange, route),
      board,
      now,
      this.#hash[exchange]!,
      others.length === 0 ? tried : [...tried, ...others.map(({ upstream }) => upstream)],
    )
    if (member < 0) return -1
    const { upstream, row } = route.members[member]!
    this.#failed(route, failed, now)
    board.release(route.members[failed]!.upstream)
    this.#tried[exchange] = tried
    this.#retries[exchange] = retries + 1
    this.#member[exchange] = member
    statistics.retried(row)
    return upstream
  }

  requestFields(
    exchange: Exchange,
    request: ProxyRequest,
    upstream: UpstreamNumber,
    into: Uint8Array,
    at: number,
  ): number {
    const { finalHost } = this.#upstreams[upstream]!
    const now = this.#decidedAt[exchange]!
    const { bytes, from, end } = this.#passed.chain(exchange, request)
    const to = this.#fields.writeRequest(into, at, bytes, from, end, now, finalHost)
    const { isGateway } = this.#version[exchange]!.route.members[this.#member[exchange]!]!
    return isGateway ? this.#passed.writeHop(exchange, request, now, into, to) : to
  }

  responseFields(exchange: Exchange, upstream: UpstreamNumber, into: Uint8Array, at: number): number {
    const { finalHost } = this.#upstreams[upstream]!
    return this.#fields.writeResponse(into, at, this.#decidedAt[exchange]!, finalHost)
  }

  responded(exchange: Exchange, _upstream: UpstreamNumber, status: number, milliseconds: number): void {
    const { route } = this.#version[exchange]!
    const member = this.#member[exchange]!
    const { row, upstream } = route.members[member]!
    this.#options.statistics.responded(row, status, milliseconds)
    if (isUnavailable(status)) this.#failed(route, member, this.#options.now())
    else this.#options.board.succeeded(upstream)
  }

  ended(exchange: Exchange, end: ExchangeEnd): void {
    const version = this.#version[exchange]!
    const { route, line } = version
    if (this.#waiting.until(exchange) > 0) {
      this.#waiting.leave(exchange)
      if (end.outcome === 'expired') this.#options.statistics.missed(route.fn, 'expired')
      this.#letGo(exchange)
      return
    }
    const member = this.#member[exchange]!
    const { upstream, row } = route.members[member]!
    const { outcome } = end
    this.#options.statistics.passed(row, end.requestBytes, end.responseBytes)
    if (outcome === 'refused' || outcome === 'timeout' || outcome === 'broken')
      this.#failed(route, member, this.#options.now())
    this.#options.board.release(upstream)
    this.#letGo(exchange)
    if (this.#waiting.isElsewhere) this.#options.room()
    this.#waiting.released(upstream, line)
  }

  /** Places may have come free in other Workers: the first of each line is tried again. To be called now and then. */
  sweep(): void {
    this.#waiting.sweep()
  }

  /** The function that a request is for; null: `decision` has the answer. */
  #find(request: ProxyRequest, decision: Decision): Version | null {
    const { bytes, targetAt, targetEnd } = request
    const target = this.#target
    readTarget(bytes, targetAt, targetEnd, target)
    const version =
      target.kind === 'function' ? this.#functions.get(bytes, target.nameAt, target.nameEnd) : undefined
    if (version !== undefined) return version
    decision.action = 'refuse'
    decision.answer = this.#answerWithout(request)
    return null
  }

  #answerWithout(request: ProxyRequest): Answer {
    const { bytes, targetAt, targetEnd } = request
    const uri = requestText(bytes, targetAt, targetEnd)
    const { kind, nameAt, nameEnd } = this.#target
    if (this.#options.dummy && this.#functions.size === 0) {
      const host = request.find(hostAt) ? requestText(bytes, request.valueAt, request.valueEnd) : ''
      return this.#refusals.dummy(uri, host)
    }
    switch (kind) {
      case 'function':
        return this.#refusals.unknown(requestText(bytes, nameAt, nameEnd))
      case 'moved':
        return this.#refusals.moved(uri)
      case 'not-a-function':
        return this.#refusals.notAFunction(uri)
      case 'invalid':
        return this.#refusals.invalid(uri)
      default:
        return kind satisfies never
    }
  }

  /** Fills the decision for a request of this function. */
  #route(exchange: Exchange, route: Route, request: ProxyRequest, decision: Decision, now: number): void {
    const { board, statistics } = this.#options
    decision.action = 'refuse'
    this.#passed.read(exchange, route, request, now)
    const choice = this.#passed.choice(exchange, route)
    if (choice.order.length === 0) {
      const isLoop = route.all.order.length > 0
      statistics.missed(route.fn, isLoop ? 'loops' : 'unavailable')
      decision.answer = isLoop ? this.#refusals.loop : this.#refusals.empty(route.name)
      return
    }
    if (route.method === 'hash') this.#hash[exchange] = hashOf(request, route.hashHeader)
    let member = select(route, choice, board, now, this.#hash[exchange]!, noInstances)
    // A place that came free before this one was seen to wait is nobody else's to call out.
    if (member === allFull && this.#join(exchange, route, now))
      member = select(route, choice, board, now, this.#hash[exchange]!, noInstances)
    if (member === allFull) {
      this.#wait(exchange, route, decision, now)
    } else if (member === noneUsable) {
      statistics.missed(route.fn, 'unavailable')
      decision.answer = this.#refusals.unavailable
    } else {
      this.#forward(exchange, route, member, request, decision)
    }
  }

  #forward(
    exchange: Exchange,
    route: Route,
    member: number,
    request: ProxyRequest,
    decision: Decision,
  ): void {
    const { upstream, row, isGateway } = route.members[member]!
    this.#member[exchange] = member
    this.#options.statistics.requested(row)
    decision.action = 'forward'
    decision.upstream = upstream
    // Another gateway reads the path itself.
    if (isGateway) return
    const { nameEnd } = this.#target
    decision.targetSkip = nameEnd - request.targetAt
    const hasPath = nameEnd < request.targetEnd && request.bytes[nameEnd] === slash[0]
    decision.targetPrefix = hasPath ? nothing : slash
  }

  /** @returns true: it waits from now on */
  #join(exchange: Exchange, { queue, waitMs }: Route, now: number): boolean {
    if (this.#waiting.until(exchange) > 0 || waitMs <= 0) return false
    return this.#waiting.join(exchange, this.#version[exchange]!.line, queue, now + waitMs)
  }

  #wait(exchange: Exchange, route: Route, decision: Decision, now: number): void {
    const until = this.#waiting.until(exchange)
    decision.answer = this.#refusals.full
    if (until === 0) this.#options.statistics.missed(route.fn, 'overloaded')
    else if (until <= now) this.#options.statistics.missed(route.fn, 'expired')
    else {
      this.#waiting.stay(exchange)
      decision.action = 'wait'
      decision.waitMs = until - now
    }
  }

  /** A failure of a member; the last one that is left is never ejected. */
  #failed(route: Route, member: number, now: number): void {
    const { board, statistics, ejected } = this.#options
    const { upstream, row, text } = route.members[member]!
    statistics.failed(row)
    const failures = board.failed(upstream)
    if (route.ejection === null || failures < route.ejection.failures) return
    const isLast = route.members.every(
      (other) => other.upstream === upstream || !other.isResolved || board.isEjected(other.upstream, now),
    )
    if (isLast) return
    const milliseconds = board.eject(upstream, now, route.ejection.baseMs, route.ejection.maxMs)
    if (milliseconds > 0) ejected(text, milliseconds)
  }

  #hold(exchange: Exchange, version: Version): void {
    if (this.#version[exchange] === version) return
    version.users++
    this.#letGo(exchange)
    this.#version[exchange] = version
  }

  #letGo(exchange: Exchange): void {
    const version = this.#version[exchange] ?? null
    if (version === null) return
    this.#version[exchange] = null
    version.users--
    this.#releaseUnused(version)
  }

  #replaced(version: Version): void {
    version.isCurrent = false
    this.#releaseUnused(version)
  }

  #releaseUnused(version: Version): void {
    if (!version.isCurrent && version.users === 0) this.#options.released(version.route.version)
  }
}

/** What method hash goes by: the first field of this name, else the client's address. */
function hashOf(request: ProxyRequest, header: string): number {
  const { client, clientLength, bytes, targetEnd } = request
  const hash = header === '' ? 0 : fieldHash(bytes, targetEnd, header)
  return hash === 0 ? hashBytes(client, 0, clientLength) : hash
}
