import { EPIPE, mayReceive } from '../stream.ts'
import { advance, beginBody, Body } from './body.ts'
import type { ClientConnection } from './connectionClient.ts'
import { UpstreamConnection } from './connectionUpstream.ts'
import {
  beginHead,
  BY_LENGTH,
  DELETE,
  DONE,
  GET,
  HEAD,
  type Head,
  NO_BODY,
  OPTIONS,
  PUT,
  REFUSED,
  TRACE,
} from './head.ts'
import { type Answer, type Outcome, type UpstreamNumber } from './policy.ts'
import { Account } from './proxyAccount.ts'
import {
  badGateway,
  gatewayTimeout,
  refusals,
  requestTimeout,
  tooLarge,
  unavailable,
} from './proxyAnswers.ts'
import type { ProxyContext } from './proxyContext.ts'
import { counter } from './proxyCounters.ts'
import { scanRequest } from './scanner.ts'

const OVER = 0
/** The policy has said so. */
const WAITING = 1
/** An upstream is at work, or is being connected. */
const FORWARDING = 2
/** After a 101: no HTTP any more. */
const TUNNELLING = 3

const requests = counter('requests')
const refused = counter('refused')
const reused = counter('reused')
const stale = counter('stale')
const retries = counter('retries')
const timeouts = counter('timeouts')
const connectFailures = counter('connectFailures')

/** ETIMEDOUT (asm-generic/errno.h), negated. */
const timedOut = -110
/** ENOMEM, ENFILE, EMFILE, ENOBUFS: this side has no socket left, which no other upstream changes. */
const exhaustion = new Set([12, 23, 24, 105])

/**
 * A request from its head to the end of its response. Each client has one, used for one request after the other.
 *
 *     WAITING ⇄ (decide) ─► FORWARDING ─┬─► OVER
 *                                       └─► TUNNELLING ─► OVER
 *
 * While a request may have to be sent again it stays whole in the client's slot; once a part of its body has been streamed past,
 * the slot is used over and over.
 */
export class ProxyExchange {
  readonly client: ClientConnection
  readonly #context: ProxyContext
  readonly #account: Account
  #phase = OVER
  #upstream: UpstreamConnection | null = null

  method = 0
  minor = 0
  upgrade = false
  targetSkip = 0
  targetPrefix: Uint8Array = new Uint8Array(0)
  /** All of the request has been received. */
  whole = false
  #headAt = 0
  /** The part of the body that came with the head. */
  firstBodyAt = 0
  firstBodyEnd = 0
  readonly #body = new Body()
  /** It sends its body only where it is told to, which has not happened. */
  #isUntold = false
  #streamed = false
  /** The upstream takes no more. */
  #isDeaf = false
  /** Bytes of the final response have gone to the client. */
  #answering = false
  #attempts = 0
  #waitAnswer: Answer = unavailable

  constructor(client: ClientConnection, context: ProxyContext) {
    this.client = client
    this.#context = context
    this.#account = new Account(client.number, context)
  }

  // ── The request ───────────────────────────────────────────────────────────────────────────────────────────────

  /** The head is complete, and in the shared one. */
  begin(head: Head): void {
    const { client } = this
    const { counters, options, arena } = this.#context
    this.#headAt = client.begin
    this.method = head.method
    this.minor = head.minor
    this.upgrade = head.upgrade
    this.#isUntold = head.expectsContinue
    this.whole = this.#streamed = this.#answering = this.#isDeaf = false
    this.#attempts = 0
    this.#account.open(head, client.address, client.addressLength)
    counters.add(requests, 1)
    if (head.framing === BY_LENGTH && head.contentLength > options.bodyBytes) return this.#refuse(tooLarge)
    beginBody(this.#body, head)
    const outcome = advance(this.#body, arena, head.end, client.end)
    if (outcome === REFUSED) return this.#refuse(refusals[this.#body.refusal] ?? badGateway)
    this.whole = outcome === DONE
    this.firstBodyAt = head.end
    this.firstBodyEnd = client.begin = this.#body.at
    this.#account.requestBytes = this.firstBodyEnd - head.end
    if (this.firstBodyEnd > head.end) this.#isUntold = false
    this.#decide()
  }

  /** Whether so long a head may be put in front of the body: over the received one, which is then not needed again. */
  canPutHead(bytes: number): boolean {
    const { transport } = this.#context
    return !isIdempotent(this.method) && this.firstBodyAt - bytes >= transport.slotOf(this.client.number)
  }

  /** The policy has found a place for it. */
  resume(): void {
    if (this.#phase !== WAITING) return
    this.#context.tick()
    this.scanAgain()
    this.#decide()
  }

  /** Scans its head, which lies where it was, into the shared one: in between that had other requests. */
  scanAgain(): void {
    const { requestHead, arena } = this.#context
    beginHead(requestHead, this.#headAt)
    scanRequest(requestHead, arena, this.firstBodyAt)
    this.#tellClient()
  }

  #tellClient(): void {
    const { request } = this.#context
    request.client = this.client.address
    request.clientLength = this.client.addressLength
  }

  #decide(): void {
    const { client } = this
    const context = this.#context
    const decision = context.undecided()
    this.#tellClient()
    context.policy.decide(client.number, context.request, decision)
    switch (decision.action) {
      case 'refuse':
        return this.#refuse(decision.answer)
      case 'wait':
        this.#phase = WAITING
        this.#waitAnswer = decision.answer
        context.due(client.number, decision.waitMs)
        if (this.whole) client.receiveEarly()
        return
      case 'forward':
        this.targetSkip = decision.targetSkip
        this.targetPrefix = decision.targetPrefix
        this.#phase = FORWARDING
        return this.#forward(decision.upstream, false)
    }
  }

  #refuse(answer: Answer): void {
    this.#phase = OVER
    this.#context.counters.add(refused, 1)
    this.#account.refused(answer.status)
    this.client.answer(answer, -1)
  }

  /** The client has sent more, in [begin, end) of its slot. */
  received(): void {
    const { client } = this
    if (this.#phase === TUNNELLING) {
      this.#account.requestBytes += client.end - client.begin
      this.#due()
      this.#upstream?.sendPiece(client.begin, client.end - client.begin)
    } else if (this.#phase === FORWARDING && !this.whole) this.#forwardBody()
    // Otherwise it belongs to the next request, or to a tunnel.
  }

  #forwardBody(): void {
    const { client } = this
    const from = client.begin
    this.#isUntold = false
    const outcome = advance(this.#body, this.#context.arena, from, client.end)
    if (outcome === REFUSED) {
      this.#upstream?.drop()
      return this.#fail('abandoned', refusals[this.#body.refusal] ?? badGateway)
    }
    this.whole = outcome === DONE
    client.begin = this.#body.at
    this.#account.requestBytes += client.begin - from
    this.#due()
    this.#upstream?.sendPiece(from, client.begin - from)
    if (this.whole) client.receiveEarly()
  }

  /** So much of the request's body, or of a tunnel, has gone past. */
  requestRelaying(bytes: number): void {
    if (this.#phase === OVER) return
    this.#account.requestBytes += bytes
    this.#body.left -= bytes
    this.#due()
  }

  /** The relay of the request's body, or of a tunnel, is over. */
  requestRelayed(result: number): void {
    const { client } = this
    if (this.#phase === OVER) return
    if (this.#phase === FORWARDING && this.#body.left === 0) {
      this.whole = true
      this.#upstream?.requestRelayed()
      client.receiveEarly()
    } else if (result >= 0) {
      client.ended = true
      this.clientEnded()
    } else if (mayReceive(result)) {
      client.receiveAnew()
      this.#due()
    } else if (result === -EPIPE) this.upstreamDeaf()
    else client.cut()
    // Where the upstream takes no more, what it says, or that it has ended, decides.
  }

  /** The client will send no more. */
  clientEnded(): void {
    if (this.#phase === TUNNELLING) this.#upstream?.endRequest()
    else if (this.#phase === FORWARDING && !this.whole) this.client.cut()
    // Otherwise it is half-closed and still gets its answer.
  }

  // ── The upstream ──────────────────────────────────────────────────────────────────────────────────────────────

  /** @param fresh by a connection that was not used before */
  #forward(upstream: UpstreamNumber, fresh: boolean): void {
    const { transport, pool, counters, policy, upstreams, upstreamEvents, options } = this.#context
    this.#account.upstream = upstream
    this.#attempts++
    const idle = fresh ? -1 : pool.take(upstream)
    if (idle >= 0) {
      counters.add(reused, 1)
      this.#upstream = upstreams[idle] ?? null
      this.#upstream?.begin(this)
      return
    }
    const { address, port } = policy.upstream(upstream)
    const number = transport.connect(address, port, upstreamEvents)
    if (number < 0) return this.#fail('exhausted', unavailable)
    this.#upstream = upstreams[number] ??= new UpstreamConnection(number, this.#context)
    this.#upstream.connecting(upstream, this)
    this.#context.due(this.client.number, options.connectMs)
  }

  /** The head is on its way. */
  headSent(): void {
    this.#due()
    // A client that asks nothing more has nothing to send: what waits for it would have to be cancelled at its end.
    const isLast = this.client.closing && this.#body.framing === NO_BODY
    if (this.whole && !isLast) this.client.receiveEarly()
  }

  /** The upstream has taken a part of the body, or of a tunnel. */
  bodySent(): void {
    const { client } = this
    if (this.#phase !== TUNNELLING && this.whole) return this.#due()
    this.#streamed = true
    if (client.ended) {
      if (this.#phase === TUNNELLING) this.#upstream?.endRequest()
      return
    }
    if (!client.receiving && !client.relays) this.#takeMore()
    this.#due()
  }

  #takeMore(): void {
    const { client } = this
    const { transport, options } = this.#context
    const upstream = this.#upstream
    let left = 0
    if (this.#phase === TUNNELLING) {
      if (client.end - client.begin >= options.relayBytes) left = Infinity
    } else if (this.#body.framing === BY_LENGTH && this.#body.left >= options.relayBytes) {
      left = this.#body.left
    }
    if (left === 0 || upstream === null || transport.relay === undefined) client.receiveAnew()
    else client.relay(upstream.number, left)
  }

  /** @param error a negated errno */
  connectFailed(error: number): void {
    this.#upstream = null
    this.#context.counters.add(connectFailures, 1)
    if (exhaustion.has(-error)) return this.#fail('exhausted', unavailable)
    if (!this.#tryNext(error)) this.#fail('refused', error === timedOut ? gatewayTimeout : badGateway)
  }

  /**
   * The upstream ended before the head of its answer was whole.
   *
   * @param silent nothing of an answer had come
   * @param used the connection had served before, so that it may have ended before the request came
   */
  upstreamLost(error: number, silent: boolean, used: boolean): void {
    this.#upstream = null
    const again = silent && !this.client.sending && !this.#streamed && isIdempotent(this.method)
    if (again && used && this.#attempts < this.#context.options.attempts) {
      this.#context.counters.add(stale, 1)
      return this.#forward(this.#account.upstream, true)
    }
    if (!again || !this.#tryNext(error)) this.#fail('broken', badGateway)
  }

  #tryNext(error: number): boolean {
    const { options, policy, counters } = this.#context
    if (this.#attempts >= options.attempts) return false
    const next = policy.next(this.client.number, this.#account.upstream, error)
    if (next < 0) return false
    counters.add(retries, 1)
    this.scanAgain()
    this.#forward(next, false)
    return true
  }

  // ── The response ──────────────────────────────────────────────────────────────────────────────────────────────

  /** The head of the final response is there. */
  responded(status: number): void {
    this.#account.responded(status)
  }

  /** Sends bytes out of the upstream's slot. @param final they are of the final response, not of an interim one */
  sendPiece(at: number, bytes: number, final: boolean): void {
    if (final) {
      this.#answering = true
      this.#account.responseBytes += bytes
    }
    this.#isUntold = false
    this.client.send(at, bytes)
  }

  /** So much of the response, or of a tunnel, has gone past. */
  responseRelaying(bytes: number): void {
    this.#account.responseBytes += bytes
    this.#due()
  }

  /** The client has taken it. */
  pieceSent(): void {
    this.#due()
    this.#upstream?.pieceSent()
  }

  /** All of it was passed on, and the upstream has been let go. */
  responseDone(): void {
    this.#over('completed')
    this.client.answered(this.whole)
  }

  /** It went wrong. Where the client has a part of it, it is cut off too, lest it take that for whole. */
  responseBroken(): void {
    this.#fail('broken', badGateway)
  }

  /** From now on bytes pass both ways; the upstream's first ones are on their way. */
  tunnel(): void {
    const { client } = this
    this.#phase = TUNNELLING
    client.closing = true
    if (client.receiving) return
    // What came behind the head belongs to the tunnel.
    if (client.begin < client.end) this.#upstream?.sendPiece(client.begin, client.end - client.begin)
    else this.bodySent()
  }

  /** The upstream's side of the tunnel has ended. */
  tunnelEnded(): void {
    if (this.client.ended || this.#isDeaf) this.#endTunnel()
    else this.#context.transport.shutdown(this.client.number)
  }

  /** The upstream takes no more; where it has said all, too, nobody else tells. */
  upstreamDeaf(): void {
    this.#isDeaf = true
    if (this.#phase === TUNNELLING && this.#upstream?.hasEnded === true) this.#endTunnel()
  }

  #endTunnel(): void {
    this.#upstream?.drop()
    this.#over('completed')
    this.client.linger()
  }

  // ── Its end ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** Its time is over. */
  expire(): void {
    const { client } = this
    if (this.#phase === WAITING) return this.#fail('expired', this.#waitAnswer)
    this.#context.counters.add(timeouts, 1)
    const upstream = this.#upstream
    if (this.#phase === FORWARDING && this.#isClientTaking()) return client.cut()
    const connecting = upstream?.isConnecting === true
    const isAsked = this.#isClientAsked()
    upstream?.drop()
    if (connecting) return this.connectFailed(timedOut)
    if (isAsked) this.#fail('abandoned', requestTimeout)
    else this.#fail('timeout', gatewayTimeout)
  }

  /** The client is gone. */
  abandon(): void {
    if (this.#phase === OVER) return
    this.#upstream?.drop()
    this.#over('abandoned')
  }

  #fail(outcome: Outcome, answer: Answer): void {
    const { client } = this
    if (this.#answering || client.sending) {
      this.#over(outcome)
      return client.reset()
    }
    this.#account.status = answer.status
    client.answer(answer, this.#account.upstream)
    this.#over(outcome)
  }

  #over(outcome: Outcome): void {
    this.#phase = OVER
    this.#upstream = null
    this.#account.close(outcome)
  }

  /** Whoever is next has so long. */
  #due(): void {
    const { client } = this
    const { options } = this.#context
    let most = options.responseMs
    if (this.#phase === TUNNELLING) most = options.tunnelIdleMs
    else if (this.#isClientTaking()) most = options.takeMs
    else if (this.#isClientAsked()) most = options.bodyMs
    this.#context.due(client.number, most)
  }

  /** It is the client's turn to send more of its body. */
  #isClientAsked(): boolean {
    return !this.whole && !this.#isUntold && this.client.isAsked
  }

  /** It is the client's turn to take what was sent to it. */
  #isClientTaking(): boolean {
    return this.client.sending || this.#upstream?.isHeldByClient === true
  }
}

/** Whether it may be sent again (RFC 9110, 9.2.2). */
function isIdempotent(method: number): boolean {
  switch (method) {
    case GET:
    case HEAD:
    case PUT:
    case DELETE:
    case OPTIONS:
    case TRACE:
      return true
    default:
      return false
  }
}
