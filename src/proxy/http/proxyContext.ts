import type { Connection, StreamEvents, StreamTransport } from '../stream.ts'
import type { ClientConnection } from './connectionClient.ts'
import type { UpstreamConnection } from './connectionUpstream.ts'
import { Head } from './head.ts'
import { FieldNames } from './headNames.ts'
import { droppedKinds } from './headWrite.ts'
import type { Decision, ExchangeEnd, ProxyPolicy } from './policy.ts'
import { Pool } from './pool.ts'
import { unavailable } from './proxyAnswers.ts'
import type { ProxyCounters } from './proxyCounters.ts'
import type { AccessLog } from './proxyLog.ts'
import { type ProxyOptions, type SlotLayout, slotLayout } from './proxyOptions.ts'
import { RequestView } from './proxyRequest.ts'

interface ContextParts {
  readonly transport: StreamTransport
  readonly policy: ProxyPolicy
  readonly options: ProxyOptions
  readonly counters: ProxyCounters
  readonly log: AccessLog | null
  readonly upstreamEvents: StreamEvents
  readonly clientClosed: () => void
}

/**
 * What the connections of one proxy share. Heads, decision and the like are used by one of them at a time, within one event;
 * what is needed for longer stands in the connection itself.
 */
export class ProxyContext {
  readonly transport: StreamTransport
  readonly arena: Uint8Array
  readonly policy: ProxyPolicy
  readonly options: ProxyOptions
  readonly layout: SlotLayout
  readonly counters: ProxyCounters
  readonly log: AccessLog | null
  /** For all upstream connections. */
  readonly upstreamEvents: StreamEvents

  readonly pool: Pool
  /** Kinds of fields that are not passed on. */
  readonly droppedOfRequests: Uint8Array
  readonly droppedOfResponses: Uint8Array
  readonly requestHead: Head
  readonly responseHead: Head
  readonly request: RequestView
  readonly decision: Decision
  readonly end: ExchangeEnd
  /** By number of the connection; made when a number is first used, and used again. */
  readonly clients: (ClientConnection | null)[]
  readonly upstreams: (UpstreamConnection | null)[]
  /** When each connection is due, in milliseconds of the transport's clock; Infinity: never. */
  readonly deadlines: Float64Array
  /** How often each upstream number was retired: connections of an earlier time are not kept. */
  readonly retirements: Uint32Array
  /** As of the event that is being handled. */
  now: number
  stopping = false
  openClients = 0
  /** Counts down to the next request that is logged. */
  untilLogged = 1

  readonly clientClosed: () => void
  #wall = 0
  #wallAt = -1

  constructor(parts: ContextParts) {
    const { transport, policy, options } = parts
    const slots = Math.floor(transport.arena.length / transport.slotBytes)
    this.transport = transport
    this.arena = transport.arena
    this.policy = policy
    this.options = options
    this.layout = slotLayout(transport.slotBytes, options)
    this.counters = parts.counters
    this.log = parts.log
    this.upstreamEvents = parts.upstreamEvents
    this.clientClosed = parts.clientClosed
    this.pool = new Pool(options.upstreams, slots, options.idlePerUpstream)
    const names = new FieldNames([...new Set([...policy.watchedRequestFields, ...policy.ownRequestFields])])
    const noNames = new FieldNames()
    this.droppedOfRequests = droppedKinds(names, policy.ownRequestFields)
    this.droppedOfResponses = droppedKinds(noNames)
    this.requestHead = new Head(names, options.head)
    this.responseHead = new Head(noNames, options.head)
    this.request = new RequestView(this.arena, this.requestHead, policy.watchedRequestFields)
    this.decision = {
      action: 'refuse',
      answer: unavailable,
      upstream: -1,
      targetSkip: 0,
      targetPrefix: nothing,
      waitMs: 0,
    }
    this.end = {
      upstream: -1,
      outcome: 'completed',
      status: 0,
      requestBytes: 0,
      responseBytes: 0,
      milliseconds: 0,
    }
    this.clients = Array<ClientConnection | null>(slots).fill(null)
    this.upstreams = Array<UpstreamConnection | null>(slots).fill(null)
    this.deadlines = new Float64Array(slots).fill(Infinity)
    this.retirements = new Uint32Array(options.upstreams)
    this.now = transport.now()
  }

  /** To be called at the beginning of an event whose time matters. */
  tick(): void {
    this.now = this.transport.now()
  }

  /** Milliseconds since the epoch: the system is asked once for all events of one time. */
  wallClock(): number {
    if (this.now !== this.#wallAt) {
      this.#wallAt = this.now
      this.#wall = Date.now()
    }
    return this.#wall
  }

  due(connection: Connection, milliseconds: number): void {
    this.deadlines[connection] = this.now + milliseconds
  }

  never(connection: Connection): void {
    this.deadlines[connection] = Infinity
  }

  /** The decision, ready to be made. */
  undecided(): Decision {
    const decision = this.decision
    decision.action = 'refuse'
    decision.answer = unavailable
    decision.upstream = -1
    decision.targetSkip = 0
    decision.targetPrefix = nothing
    return decision
  }
}

const nothing = new Uint8Array(0)
