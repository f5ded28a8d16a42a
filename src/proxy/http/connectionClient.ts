import type { Connection } from '../stream.ts'
import { beginHead, DONE, HEAD, MORE } from './head.ts'
import { LF } from './headCharacters.ts'
import type { Answer, UpstreamNumber } from './policy.ts'
import { badGateway, refusals, requestTimeout } from './proxyAnswers.ts'
import type { ProxyContext } from './proxyContext.ts'
import { counter } from './proxyCounters.ts'
import { ProxyExchange } from './proxyExchange.ts'
import { addressLimit } from './proxyLog.ts'
import { colour } from './proxyOptions.ts'
import { scanRequest } from './scanner.ts'

/** Nothing of a request has come. */
const IDLE = 0
const READING_HEAD = 1
/** A request is under way: its exchange knows how far. */
const EXCHANGING = 2
/** An answer of the proxy's own is being sent. */
const ANSWERING = 3
/** All was sent, and its end too; what still comes is dropped, so that the client is not reset before it has read. */
const LINGERING = 4
const CLOSED = 5

const clients = counter('clients')
const refused = counter('refused')

/** Received at once at most where a head is expected: of a long body that comes with it the rest goes past without a copy. */
const headPiece = 4096
/** Less room than this behind a request is not received into: the next one begins at the beginning of the slot. */
const leastRoom = 512
/** Requests that begin further in than this, and are no longer, are moved to the beginning, so that an idle client's slot stays one page. */
const farIn = 1024
/** Before what is received: the head of a request grows when it is put in front of its body. */
const headroom = 512

const closeLine = Buffer.from('Connection: close\r\n', 'latin1')
const lineEnd = Buffer.from('\r\n', 'latin1')

/**
 * A client's connection: reads heads, has each request served by the exchange, and ends in order.
 *
 *     IDLE ⇄ READING_HEAD ─┬─► EXCHANGING ─┬─► IDLE, or LINGERING ─► CLOSED
 *                          └─► ANSWERING ──┘
 */
export class ClientConnection {
  readonly number: Connection
  readonly address = new Uint8Array(addressLimit)
  addressLength = 0
  /** What it sent and has not been used, in its slot. */
  begin = 0
  end = 0
  receiving = false
  sending = false
  /** What it sends goes to the upstream without a copy. */
  relays = false
  /** It will send no more. */
  ended = false
  /** The request under way is its last one. */
  closing = false
  /** It has said so itself. */
  #isLast = false
  readonly #context: ProxyContext
  readonly #exchange: ProxyExchange
  readonly #slot: number
  /** Behind the last byte that is received into; answers are made from here on. */
  readonly #room: number
  #state = CLOSED

  constructor(number: Connection, context: ProxyContext) {
    this.number = number
    this.#context = context
    this.#exchange = new ProxyExchange(this, context)
    const slot = context.transport.slotOf(number)
    this.#slot = slot + headroom + colour(number)
    this.#room = slot + context.layout.clientRoom
  }

  get open(): boolean {
    return this.#state !== CLOSED
  }

  /** It is its turn to send. */
  get isAsked(): boolean {
    if (!this.relays) return this.receiving
    return this.#context.transport.isRelayFull?.(this.number) !== true
  }

  accepted(): void {
    const context = this.#context
    this.#state = IDLE
    this.receiving = this.sending = this.relays = this.ended = this.closing = false
    const { address } = context.transport.peerOf(this.number)
    this.addressLength = Math.min(address.length, addressLimit)
    for (let index = 0; index < this.addressLength; index++) this.address[index] = address.charCodeAt(index)
    context.openClients++
    context.counters.add(clients, 1)
    context.due(this.number, context.options.clientIdleMs)
    this.receiveAnew()
  }

  received(result: number): void {
    this.receiving = false
    if (result < 0) return this.cut()
    if (result === 0) return this.#peerEnded()
    this.#context.tick()
    const from = this.end
    this.end += result
    switch (this.#state) {
      case IDLE:
        return this.#headBegun()
      case READING_HEAD:
        return this.#moreOfHead(from)
      case EXCHANGING:
        return this.#exchange.received()
      case LINGERING:
        return this.receiveAnew()
      default:
      // What comes early waits for its turn.
    }
  }

  sent(result: number): void {
    this.sending = false
    if (result < 0) return this.cut()
    if (this.#state === ANSWERING) this.answered(this.#exchange.whole)
    else if (this.#state === EXCHANGING) this.#exchange.pieceSent()
  }

  relaying(bytes: number): void {
    this.#context.tick()
    this.#exchange.requestRelaying(bytes)
  }

  relayed(result: number): void {
    this.relays = false
    this.#context.tick()
    if (this.#state === EXCHANGING) this.#exchange.requestRelayed(result)
    else if (this.#state === LINGERING) this.receiveAnew()
  }

  /** Its time is over. */
  expire(): void {
    this.#context.never(this.number)
    switch (this.#state) {
      case IDLE:
        return this.linger()
      case READING_HEAD:
        return this.#refuse(requestTimeout)
      case EXCHANGING:
        return this.#exchange.expire()
      case LINGERING:
        return this.#close()
      default:
        return this.reset()
    }
  }

  /** The policy has found a place for its request. */
  resume(): void {
    if (this.#state === EXCHANGING) this.#exchange.resume()
  }

  /** No more requests; what is under way may end. */
  stop(): void {
    if (this.#state === IDLE) this.linger()
    else this.closing = true
  }

  /** Ends it at once, and what it is at. */
  cut(): void {
    if (this.#state === CLOSED) return
    if (this.#state === EXCHANGING) this.#exchange.abandon()
    this.reset()
  }

  // ── Heads ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #headBegun(): void {
    const isFarIn = this.begin > this.#slot + farIn && this.end - this.begin <= farIn
    if (isFarIn && !this.receiving) this.#moveDown()
    this.#state = READING_HEAD
    this.#exchange.whole = false
    this.#exchange.method = 0
    this.#context.due(this.number, this.#context.options.headMs)
    this.#scan()
  }

  #moreOfHead(from: number): void {
    // Scanned again from its beginning, so that no head is kept for each client, but only where a line has ended.
    const full = this.end - this.begin >= this.#context.options.head.headBytes
    if (full || hasLineEnd(this.#context.arena, from, this.end)) this.#scan()
    else this.#moreRoom()
  }

  #scan(): void {
    const { requestHead, arena, stopping } = this.#context
    beginHead(requestHead, this.begin)
    const outcome = scanRequest(requestHead, arena, this.end)
    if (outcome === MORE) return this.#moreRoom()
    if (outcome !== DONE) return this.#refuse(refusals[requestHead.refusal] ?? badGateway)
    this.#isLast = !requestHead.keepAlive
    if (this.#isLast || stopping) this.closing = true
    this.#state = EXCHANGING
    this.#exchange.begin(requestHead)
  }

  #moreRoom(): void {
    if (this.receiving) return
    if (this.#room - this.end < leastRoom && this.begin > this.#slot) this.#moveDown()
    this.#receive(Infinity)
  }

  #moveDown(): void {
    this.#context.arena.copyWithin(this.#slot, this.begin, this.end)
    this.end -= this.begin - this.#slot
    this.begin = this.#slot
  }

  #refuse(answer: Answer): void {
    this.#context.counters.add(refused, 1)
    this.answer(answer, -1)
  }

  // ── Sending and receiving ─────────────────────────────────────────────────────────────────────────────────────

  /** Sends bytes of the arena, nothing else being under way. */
  send(at: number, bytes: number): void {
    this.sending = true
    this.#context.due(this.number, this.#context.options.takeMs)
    this.#context.transport.send(this.number, at, bytes, false)
  }

  /** Sends an answer of the proxy's own. @param upstream whose it would have been; -1: nobody's */
  answer(answer: Answer, upstream: UpstreamNumber): void {
    const { arena, policy } = this.#context
    if (!this.#exchange.whole) this.closing = true
    let end = putBytes(answer.head, arena, this.#room)
    if (upstream >= 0) end = policy.responseFields(this.number, upstream, arena, end)
    if (this.closing) end = putBytes(closeLine, arena, end)
    end = putBytes(lineEnd, arena, end)
    if (this.#exchange.method !== HEAD) end = putBytes(answer.body, arena, end)
    this.#state = ANSWERING
    this.send(this.#room, end - this.#room)
  }

  /** The response was sent. @param whole the request was received whole, so that another one may follow */
  answered(whole: boolean): void {
    if (this.closing || this.ended || !whole) {
      // Nothing more will come, which a close at once would answer with a reset.
      return this.#isLast && whole && this.begin === this.end ? this.#close() : this.linger()
    }
    const context = this.#context
    this.#state = IDLE
    context.due(this.number, context.options.clientIdleMs)
    if (this.begin < this.end) this.#headBegun()
    else if (!this.receiving) this.receiveAnew()
  }

  /** Receives to the beginning of the slot, of which nothing is needed any more. */
  receiveAnew(): void {
    this.begin = this.end = this.#slot
    this.#receive(this.#state === IDLE ? headPiece : Infinity)
  }

  /** Passes on up to so many bytes without a copy. */
  relay(upstream: Connection, bytes: number): void {
    this.begin = this.end = this.#slot
    this.relays = true
    this.#context.transport.relay?.(this.number, upstream, bytes)
  }

  /** Receives behind a request that has come whole: the next one, or that the client has gone. */
  receiveEarly(): void {
    if (this.receiving || this.ended || this.begin < this.end) return
    if (this.#room - this.end >= leastRoom) this.#receive(headPiece)
  }

  #receive(most: number): void {
    this.receiving = true
    const { transport } = this.#context
    const room = this.#room - this.end
    transport.receive(this.number, this.end, transport.relay === undefined ? room : Math.min(room, most))
  }

  // ── Its end ───────────────────────────────────────────────────────────────────────────────────────────────────

  #peerEnded(): void {
    this.ended = true
    if (this.#state === EXCHANGING) this.#exchange.clientEnded()
    else if (this.#state !== ANSWERING) this.#close()
  }

  /** Ends it so that it still gets what was sent to it. */
  linger(): void {
    if (this.ended) return this.#close()
    this.#context.transport.shutdown(this.number)
    this.#state = LINGERING
    this.#context.due(this.number, this.#context.options.lingerMs)
    if (!this.receiving && !this.relays) this.receiveAnew()
  }

  reset(): void {
    this.#context.transport.reset(this.number)
    this.#closed()
  }

  #close(): void {
    this.#context.transport.close(this.number)
    this.#closed()
  }

  #closed(): void {
    const context = this.#context
    this.#state = CLOSED
    context.never(this.number)
    context.openClients--
    context.counters.add(clients, -1)
    context.clientClosed()
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
