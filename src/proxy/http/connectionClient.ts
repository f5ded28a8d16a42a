import type { Connection } from '../stream.ts'
import { advance, beginBody, Body } from './body.ts'
import { UpstreamConnection } from './connectionUpstream.ts'
import {
  beginHead,
  BY_LENGTH,
  DELETE,
  DONE,
  GET,
  HEAD,
  type Head,
  MORE,
  OPTIONS,
  PUT,
  REFUSED,
  TRACE,
} from './head.ts'
import { LF } from './headCharacters.ts'
import { type Answer, type Outcome, type UpstreamNumber } from './policy.ts'
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
import { addressLimit, LoggedText } from './proxyLog.ts'
import { scanRequest } from './scanner.ts'

/** Nothing of a request has come. */
const IDLE = 0
const READING_HEAD = 1
/** The policy has said so. */
const WAITING = 2
/** An upstream is at work, or is being connected. */
const FORWARDING = 3
/** An answer of the proxy's own is being sent. */
const ANSWERING = 4
/** All was sent, and its end too; what still comes is dropped, so that the client is not reset before it has read. */
const LINGERING = 5
const TUNNELLING = 6
const CLOSED = 7

const clients = counter('clients')
const requests = counter('requests')
const refused = counter('refused')
const completed = counter('completed')
const failed = counter('failed')
const abandoned = counter('abandoned')
const reused = counter('reused')
const stale = counter('stale')
const retries = counter('retries')
const timeouts = counter('timeouts')
const connectFailures = counter('connectFailures')
const requestBytes = counter('requestBytes')
const responseBytes = counter('responseBytes')

/** Negated errnos (errno-base.h, errno.h). */
const timedOut = -110
/** Less room than this behind a request is not received into: the next one begins at the beginning of the slot. */
const leastRoom = 512
/** Requests that begin further in than this are moved to the beginning, so that an idle client's slot stays one page. */
const farIn = 2048

const closeLine = Buffer.from('Connection: close\r\n', 'latin1')
const lineEnd = Buffer.from('\r\n', 'latin1')

/**
 * A client, and the request that it is at.
 *
 *     IDLE ─► READING_HEAD ─┬─► FORWARDING ─┬─► IDLE, or LINGERING ─► CLOSED
 *                           ├─► WAITING ─►──┤
 *                           └─► ANSWERING ──┘   FORWARDING ─► TUNNELLING ─► CLOSED
 *
 * Its slot holds what it sent, in [begin, end) what has not been used. While a request may have to be sent again it stays there
 * whole; once a body has been streamed past, the slot is used over and over.
 */
export class ClientConnection {
  readonly number: Connection
  readonly #context: ProxyContext
  readonly #slot: number
  /** Behind the last byte that is received into; answers are made from here on. */
  readonly #room: number
  #state = CLOSED
  #begin = 0
  #end = 0
  #receiving = false
  #sending = false
  /** The client will send no more. */
  #ended = false
  #upstream: UpstreamConnection | null = null

  readonly address = new Uint8Array(addressLimit)
  addressLength = 0
  /** Of the head under way. */
  #headAt = 0
  #headEnd = 0
  method = 0
  minor = 0
  upgrade = false
  /** This is the last request. */
  closing = false
  readonly #body = new Body()
  /** Behind the part of the body that came with the head. */
  #firstEnd = 0
  requestWhole = false
  #expectsContinue = false
  #streamed = false
  /** Bytes of the final response have gone to the client. */
  #responded = false
  #attempts = 0
  targetSkip = 0
  targetPrefix: Uint8Array = lineEnd
  #waitAnswer: Answer = unavailable
  #decidedAt = 0
  upstreamNumber: UpstreamNumber = -1
  #status = 0
  #requestBytes = 0
  #responseBytes = 0
  #logged = false
  #text: LoggedText | null = null

  constructor(number: Connection, context: ProxyContext) {
    this.number = number
    this.#context = context
    this.#slot = context.transport.slotOf(number)
    this.#room = this.#slot + context.layout.clientRoom
  }

  get open(): boolean {
    return this.#state !== CLOSED
  }

  accepted(): void {
    const context = this.#context
    this.#state = IDLE
    this.#begin = this.#end = this.#slot
    this.#receiving = this.#sending = this.#ended = this.closing = false
    const { address } = context.transport.peerOf(this.number)
    this.addressLength = Math.min(address.length, addressLimit)
    for (let index = 0; index < this.addressLength; index++) this.address[index] = address.charCodeAt(index)
    context.openClients++
    context.counters.add(clients, 1)
    context.due(this.number, context.options.clientIdleMs)
    this.#receive()
  }

  received(result: number): void {
    this.#receiving = false
    if (result < 0) return this.cut()
    if (result === 0) return this.#peerEnded()
    this.#context.tick()
    const from = this.#end
    this.#end += result
    switch (this.#state) {
      case IDLE:
        this.#headBegun()
        return
      case READING_HEAD:
        this.#moreOfHead(from)
        return
      case FORWARDING:
        if (!this.requestWhole) this.#forwardBody()
        return
      case TUNNELLING:
        this.#context.due(this.number, this.#context.options.tunnelIdleMs)
        this.#upstream?.sendPiece(this.#begin, this.#end - this.#begin)
        return
      case LINGERING:
        this.#end = this.#begin
        this.#receive()
        return
      default:
      // What comes early waits for its turn.
    }
  }

  sent(result: number): void {
    this.#sending = false
    if (result < 0) return this.cut()
    if (this.#state === ANSWERING) this.#answered()
    else if (this.#state === FORWARDING || this.#state === TUNNELLING) {
      this.#context.due(this.number, this.#waitMs())
      this.#upstream?.pieceSent()
    }
  }

  /** Its time is over. */
  expire(): void {
    const context = this.#context
    context.never(this.number)
    switch (this.#state) {
      case IDLE:
        return this.#linger()
      case READING_HEAD:
        return this.#refuse(requestTimeout)
      case WAITING:
        return this.#fail('expired', this.#waitAnswer)
      case FORWARDING:
        context.counters.add(timeouts, 1)
        return this.#expireForwarding()
      case TUNNELLING:
        this.#upstream?.drop()
        this.#finish('timeout')
        return this.#close(true)
      default:
        return this.#close(this.#state === ANSWERING)
    }
  }

  /** The policy has found a place for a waiting request. */
  resume(): void {
    if (this.#state !== WAITING) return
    this.#context.tick()
    this.scanAgain()
    this.#decide()
  }

  /** No more requests; what is under way may end. */
  stop(): void {
    if (this.#state === IDLE) this.#linger()
    else this.closing = true
  }

  /** Ends it at once. */
  cut(): void {
    if (this.#state === CLOSED) return
    this.#upstream?.drop()
    if (this.#state === FORWARDING || this.#state === TUNNELLING || this.#state === WAITING)
      this.#finish('abandoned')
    this.#close(true)
  }

  // ── The head ──────────────────────────────────────────────────────────────────────────────────────────────────

  #headBegun(): void {
    if (this.#begin > this.#slot + farIn && !this.#receiving) this.#moveDown()
    this.#state = READING_HEAD
    this.requestWhole = this.#responded = this.#logged = false
    this.method = this.#status = this.#requestBytes = this.#responseBytes = 0
    this.upstreamNumber = -1
    this.#decidedAt = this.#context.now
    this.#context.due(this.number, this.#context.options.headMs)
    this.#scan()
  }

  #moreOfHead(from: number): void {
    // Scanned again from its beginning, so that no head is kept for each client, but only where a line has ended.
    const full = this.#end - this.#begin >= this.#context.options.head.headBytes
    if (full || hasLineEnd(this.#context.arena, from, this.#end)) this.#scan()
    else this.#moreRoom()
  }

  #scan(): void {
    const head = this.#context.requestHead
    beginHead(head, this.#begin)
    const outcome = scanRequest(head, this.#context.arena, this.#end)
    if (outcome === MORE) this.#moreRoom()
    else if (outcome === DONE) this.#begun(head)
    else this.#refuse(refusals[head.refusal] ?? badGateway)
  }

  #moreRoom(): void {
    if (this.#receiving) return
    if (this.#room - this.#end < leastRoom && this.#begin > this.#slot) this.#moveDown()
    this.#receive()
  }

  #moveDown(): void {
    this.#context.arena.copyWithin(this.#slot, this.#begin, this.#end)
    this.#end -= this.#begin - this.#slot
    this.#begin = this.#slot
  }

  #begun(head: Head): void {
    const context = this.#context
    this.#headAt = this.#begin
    this.#headEnd = head.end
    this.method = head.method
    this.minor = head.minor
    this.upgrade = head.upgrade
    this.#expectsContinue = head.expectsContinue
    this.closing = !head.keepAlive || context.stopping
    this.#streamed = false
    this.#attempts = 0
    context.counters.add(requests, 1)
    if (head.framing === BY_LENGTH && head.contentLength > context.options.bodyBytes)
      return this.#refuse(tooLarge)
    beginBody(this.#body, head)
    const outcome = advance(this.#body, context.arena, head.end, this.#end)
    if (outcome === REFUSED) return this.#refuse(refusals[this.#body.refusal] ?? badGateway)
    this.requestWhole = outcome === DONE
    this.#firstEnd = this.#begin = this.#body.at
    this.#requestBytes = this.#firstEnd - head.end
    this.#log(head)
    this.#decide()
  }

  #log(head: Head): void {
    const context = this.#context
    this.#logged = context.log !== null && context.options.logEvery > 0 && --context.untilLogged === 0
    if (!this.#logged) return
    context.untilLogged = context.options.logEvery
    this.#text ??= new LoggedText()
    this.#text.keep(
      this.address,
      this.addressLength,
      context.arena,
      head.start,
      head.methodEnd,
      head.targetStart,
      head.targetEnd,
    )
  }

  /** Scans the head of the request under way, which lies where it was, into the shared one. */
  scanAgain(): Head {
    const head = this.#context.requestHead
    beginHead(head, this.#headAt)
    scanRequest(head, this.#context.arena, this.#headEnd)
    return head
  }

  #decide(): void {
    const context = this.#context
    const decision = context.undecided()
    context.request.client = this.address
    context.request.clientLength = this.addressLength
    context.policy.decide(this.number, context.request, decision)
    switch (decision.action) {
      case 'refuse':
        return this.#refuse(decision.answer)
      case 'wait':
        this.#state = WAITING
        this.#waitAnswer = decision.answer
        context.due(this.number, decision.waitMs)
        if (this.requestWhole) this.#receiveEarly()
        return
      case 'forward':
        this.targetSkip = decision.targetSkip
        this.targetPrefix = decision.targetPrefix
        this.#state = FORWARDING
        return this.#forward(decision.upstream, false)
    }
  }

  // ── Forwarding ────────────────────────────────────────────────────────────────────────────────────────────────

  /** @param fresh by a connection that was not used before */
  #forward(upstream: UpstreamNumber, fresh: boolean): void {
    const context = this.#context
    const { transport, pool, counters } = context
    this.upstreamNumber = upstream
    this.#attempts++
    const idle = fresh ? -1 : pool.take(upstream)
    if (idle >= 0) {
      counters.add(reused, 1)
      this.#upstream = context.upstreams[idle] ?? null
      this.#upstream?.begin(this)
      return
    }
    const { address, port } = context.policy.upstream(upstream)
    const number = transport.connect(address, port, context.upstreamEvents)
    if (number < 0) return this.#fail('refused', unavailable)
    this.#upstream = context.upstreams[number] ??= new UpstreamConnection(number, context)
    this.#upstream.connecting(upstream, this)
    context.due(this.number, context.options.connectMs)
  }

  /** The head is on its way, and as much of the body as lies in [firstBodyAt, firstBodyEnd). */
  headSent(): void {
    this.#context.due(this.number, this.#waitMs())
    if (this.requestWhole) this.#receiveEarly()
  }

  get firstBodyAt(): number {
    return this.#headEnd
  }
  get firstBodyEnd(): number {
    return this.#firstEnd
  }

  /** A part of the body, or the other side of a tunnel, has taken what it was sent. */
  bodySent(): void {
    if (this.#state === FORWARDING && this.requestWhole) return this.#context.due(this.number, this.#waitMs())
    this.#streamed = true
    if (this.#ended) {
      if (this.#state === TUNNELLING) this.#upstream?.endRequest()
      return
    }
    if (this.#receiving) return
    this.#begin = this.#end = this.#slot
    this.#receive()
    this.#context.due(this.number, this.#waitMs())
  }

  #forwardBody(): void {
    const context = this.#context
    const from = this.#begin
    const outcome = advance(this.#body, context.arena, from, this.#end)
    if (outcome === REFUSED) {
      this.#upstream?.drop()
      return this.#fail('abandoned', refusals[this.#body.refusal] ?? badGateway)
    }
    this.requestWhole = outcome === DONE
    this.#begin = this.#body.at
    this.#requestBytes += this.#begin - from
    context.due(this.number, this.#waitMs())
    this.#upstream?.sendPiece(from, this.#begin - from)
    if (this.requestWhole) this.#receiveEarly()
  }

  #waitMs(): number {
    const { options } = this.#context
    if (this.#state === TUNNELLING) return options.tunnelIdleMs
    if (this.#sending) return options.takeMs
    return this.requestWhole || !this.#receiving ? options.responseMs : options.bodyMs
  }

  #expireForwarding(): void {
    const upstream = this.#upstream
    if (this.#sending) return this.cut()
    const connecting = upstream?.isConnecting === true
    upstream?.drop()
    this.#upstream = null
    if (connecting) return this.connectFailed(timedOut)
    const clientIsLate = !this.requestWhole && this.#receiving && !(this.#expectsContinue && !this.#streamed)
    if (clientIsLate) this.#fail('abandoned', requestTimeout)
    else this.#fail('timeout', gatewayTimeout)
  }

  /** @param error a negated errno */
  connectFailed(error: number): void {
    this.#upstream = null
    this.#context.counters.add(connectFailures, 1)
    if (!this.#tryNext(error)) this.#fail('refused', error === timedOut ? gatewayTimeout : badGateway)
  }

  /**
   * The upstream ended before its answer was whole.
   *
   * @param silent nothing of an answer had come
   * @param used the connection had served before, so that it may have ended before the request came
   */
  upstreamLost(error: number, silent: boolean, used: boolean): void {
    this.#upstream = null
    const again = silent && !this.#responded && !this.#sending && !this.#streamed && isIdempotent(this.method)
    if (again && used && this.#attempts < this.#context.options.attempts) {
      this.#context.counters.add(stale, 1)
      return this.#forward(this.upstreamNumber, true)
    }
    if (again && this.#tryNext(error)) return
    this.#fail('broken', badGateway)
  }

  #tryNext(error: number): boolean {
    const context = this.#context
    if (this.#attempts >= context.options.attempts) return false
    const next = context.policy.next(this.number, this.upstreamNumber, error)
    if (next < 0) return false
    context.counters.add(retries, 1)
    this.#forward(next, false)
    return true
  }

  // ── The response ──────────────────────────────────────────────────────────────────────────────────────────────

  /** The head of the final response is there. */
  responded(status: number): void {
    const context = this.#context
    this.#status = status
    context.tick()
    context.policy.responded(this.number, this.upstreamNumber, status, context.now - this.#decidedAt)
  }

  /** Sends bytes out of the upstream's slot. @param final they are of the final response, not of an interim one */
  sendPiece(at: number, bytes: number, final: boolean): void {
    if (final) {
      this.#responded = true
      this.#responseBytes += bytes
    }
    this.#sending = true
    this.#context.due(this.number, this.#context.options.takeMs)
    this.#context.transport.send(this.number, at, bytes, false)
  }

  /** All of it was passed on, and the upstream has been let go. */
  responseDone(): void {
    this.#upstream = null
    this.#finish('completed')
    this.#answered()
  }

  /** It was cut off: so is the client, lest it take it for whole. */
  responseBroken(): void {
    this.#upstream = null
    this.#fail('broken', badGateway)
  }

  /** From now on bytes pass both ways; the upstream's first ones are on their way. */
  tunnel(): void {
    this.#state = TUNNELLING
    this.closing = true
    if (this.#receiving) return
    // What came behind the head belongs to the tunnel.
    if (this.#begin < this.#end) this.#upstream?.sendPiece(this.#begin, this.#end - this.#begin)
    else this.bodySent()
  }

  /** The upstream's side of the tunnel has ended. */
  tunnelEnded(): void {
    if (!this.#ended) return this.#context.transport.shutdown(this.number)
    this.#upstream?.drop()
    this.#upstream = null
    this.#finish('completed')
    this.#linger()
  }

  // ── Answers of the proxy's own, and ends ──────────────────────────────────────────────────────────────────────

  #refuse(answer: Answer): void {
    this.#context.counters.add(refused, 1)
    this.#status = answer.status
    this.#account('answered')
    this.#answer(answer)
  }

  #fail(outcome: Outcome, answer: Answer): void {
    this.#upstream = null
    if (this.#responded || this.#sending) {
      this.#finish(outcome)
      return this.#close(true)
    }
    this.#status = answer.status
    this.#answer(answer)
    this.#finish(outcome)
  }

  #answer(answer: Answer): void {
    const { arena, policy, transport, options } = this.#context
    if (!this.requestWhole) this.closing = true
    let end = putBytes(answer.head, arena, this.#room)
    if (this.upstreamNumber >= 0) end = policy.responseFields(this.number, this.upstreamNumber, arena, end)
    if (this.closing) end = putBytes(closeLine, arena, end)
    end = putBytes(lineEnd, arena, end)
    if (this.method !== HEAD) end = putBytes(answer.body, arena, end)
    this.#state = ANSWERING
    this.#sending = true
    this.#context.due(this.number, options.takeMs)
    transport.send(this.number, this.#room, end - this.#room, false)
  }

  #answered(): void {
    if (this.closing || this.#ended || !this.requestWhole) return this.#linger()
    const context = this.#context
    this.#state = IDLE
    this.requestWhole = false
    context.due(this.number, context.options.clientIdleMs)
    if (this.#begin < this.#end) return this.#headBegun()
    if (this.#receiving) return
    this.#begin = this.#end = this.#slot
    this.#receive()
  }

  #finish(outcome: Outcome): void {
    const { counters, policy, end } = this.#context
    this.#context.tick()
    this.#account(outcome)
    counters.add(outcome === 'completed' ? completed : outcome === 'abandoned' ? abandoned : failed, 1)
    counters.add(requestBytes, this.#requestBytes)
    counters.add(responseBytes, this.#responseBytes)
    counters.took(end.milliseconds)
    policy.ended(this.number, end)
  }

  /** Says what became of the request, and logs it. */
  #account(outcome: Outcome): void {
    const { end, log, now } = this.#context
    end.upstream = this.upstreamNumber
    end.outcome = outcome
    end.status = this.#status
    end.requestBytes = this.#requestBytes
    end.responseBytes = this.#responseBytes
    end.milliseconds = now - this.#decidedAt
    if (this.#logged && this.#text !== null) log?.write(Date.now(), this.#text, end)
  }

  #peerEnded(): void {
    this.#ended = true
    switch (this.#state) {
      case IDLE:
      case LINGERING:
        return this.#close(false)
      case READING_HEAD:
        return this.#close(false)
      case FORWARDING:
        if (!this.requestWhole) this.cut()
        return
      case TUNNELLING:
        return this.#upstream?.endRequest()
      default:
      // Half-closed: it still gets its answer.
    }
  }

  #linger(): void {
    if (this.#ended) return this.#close(false)
    const { transport, options } = this.#context
    transport.shutdown(this.number)
    this.#state = LINGERING
    this.#context.due(this.number, options.lingerMs)
    if (this.#receiving) return
    this.#begin = this.#end = this.#slot
    this.#receive()
  }

  #close(byReset: boolean): void {
    const { transport, counters } = this.#context
    this.#state = CLOSED
    this.#upstream = null
    this.#context.never(this.number)
    this.#context.openClients--
    counters.add(clients, -1)
    if (byReset) transport.reset(this.number)
    else transport.close(this.number)
    this.#context.clientClosed()
  }

  #receive(): void {
    this.#receiving = true
    this.#context.transport.receive(this.number, this.#end, this.#room - this.#end)
  }

  /** Behind a request that has come whole: the next one, or that the client has gone. */
  #receiveEarly(): void {
    if (this.#receiving || this.#ended || this.#begin < this.#end) return
    if (this.#room - this.#end >= leastRoom) this.#receive()
  }
}

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

function hasLineEnd(bytes: Uint8Array, from: number, end: number): boolean {
  for (let at = from; at < end; at++) if (bytes[at] === LF) return true
  return false
}

function putBytes(bytes: Uint8Array, into: Uint8Array, at: number): number {
  into.set(bytes, at)
  return at + bytes.length
}
