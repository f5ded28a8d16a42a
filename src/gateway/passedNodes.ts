import type { Exchange, ProxyRequest } from '../proxy/http/policy.ts'
import { fieldHash } from './fieldHash.ts'
import { chainLimit } from './forwarding.ts'
import { hopField, nodeMark, readHop, signHop } from './hop.ts'
import { requestText } from '../proxy/http/requestText.ts'
import type { Choice, Route } from './route.ts'

/** Header fields by which gateways tell of a request's way, watched by the proxy. */
export const watchedFields = [hopField, 'x-forwarded-for', 'host'] as const
const hopAt = watchedFields.indexOf(hopField)
const chainAt = watchedFields.indexOf('x-forwarded-for')

const none: readonly string[] = []
/** Marks of a request that came from a gateway which does not sign. */
const unsigned: readonly string[] = ['']

export interface PassedNodesOptions {
  readonly node: string
  /** The field that only this node adds, in lower case. */
  readonly ownField: string
  readonly unsignedPeers: readonly string[]
  readonly hopKey: Uint8Array | null
  readonly hopLimit: number
  readonly exchanges: number
}

/** The chain of addresses that a forwarded request bears. */
interface Chain {
  bytes: Uint8Array
  from: number
  end: number
}

/** Which gateways each request under way has passed; what nobody vouches for is passed over. */
export class PassedNodes {
  readonly #options: PassedNodesOptions
  readonly #mark: string
  readonly #peers: ReadonlySet<string>
  readonly #marks: (readonly string[])[]
  readonly #isForwarded: Uint8Array
  readonly #chain: Chain = { bytes: new Uint8Array(0), from: 0, end: 0 }

  constructor(options: PassedNodesOptions) {
    this.#options = options
    this.#mark = nodeMark(options.node)
    this.#peers = new Set(options.unsignedPeers)
    this.#marks = Array.from({ length: options.exchanges }, () => none)
    this.#isForwarded = new Uint8Array(options.exchanges)
  }

  begin(exchange: Exchange): void {
    this.#marks[exchange] = none
    this.#isForwarded[exchange] = 0
  }

  read(exchange: Exchange, route: Route, request: ProxyRequest, now: number): void {
    const { hopKey, unsignedPeers, ownField } = this.#options
    if (hopKey !== null && request.find(hopAt)) {
      const sent = requestText(request.bytes, request.valueAt, request.valueEnd)
      const marks = readHop(hopKey, sent, Math.floor(now / 1000), signedPart(request))
      if (marks !== null) {
        this.#marks[exchange] = marks
        this.#isForwarded[exchange] = 1
        return
      }
    }
    const hasGateways = route.all.position !== route.local.position
    if ((unsignedPeers.length === 0 && !hasGateways) || !request.find(chainAt)) return
    if (
      request.valueEnd > request.valueAt &&
      this.#peers.has(requestText(request.client, 0, request.clientLength))
    ) {
      this.#marks[exchange] = unsigned
      this.#isForwarded[exchange] = 1
    }
    // Without a common key loops end here. Whoever makes this up only keeps his request from other gateways.
    if (hasGateways && fieldHash(request.bytes, request.targetEnd, ownField) !== 0)
      this.#marks[exchange] = [this.#mark]
  }

  /** A request that has passed this gateway before, or as many as it may, goes to no further one. */
  choice(exchange: Exchange, route: Route): Choice {
    const marks = this.#marks[exchange]!
    if (marks.length === 0) return route.all
    return marks.length >= this.#options.hopLimit || marks.includes(this.#mark) ? route.local : route.all
  }

  /** What stands in X-Forwarded-For behind this node: the client, or the chain that a gateway passed on. Valid until the next call. */
  chain(exchange: Exchange, request: ProxyRequest): Readonly<Chain> {
    const chain = this.#chain
    if (
      this.#isForwarded[exchange] === 1 &&
      request.find(chainAt) &&
      request.valueEnd - request.valueAt <= chainLimit
    ) {
      chain.bytes = request.bytes
      chain.from = request.valueAt
      chain.end = request.valueEnd
    } else {
      chain.bytes = request.client
      chain.from = 0
      chain.end = request.clientLength
    }
    return chain
  }

  /** Writes the hop header for the next gateway, where there is a key to sign it with. @returns the end */
  writeHop(exchange: Exchange, request: ProxyRequest, now: number, into: Uint8Array, at: number): number {
    const { hopKey } = this.#options
    if (hopKey === null) return at
    const marks = [...this.#marks[exchange]!, this.#mark]
    const hop = signHop(hopKey, marks, Math.floor(now / 1000), signedPart(request))
    return at + Buffer.from(into.buffer, into.byteOffset).write(`X-Torb-Hop: ${hop}\r\n`, at, 'latin1')
  }
}

/** What the hop header vouches for besides itself: method and target. */
function signedPart({ bytes, methodAt, methodEnd, targetAt, targetEnd }: ProxyRequest): string {
  return `${requestText(bytes, methodAt, methodEnd)}\n${requestText(bytes, targetAt, targetEnd)}`
}
