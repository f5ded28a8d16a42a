import { type Connection, EPIPE, mayReceive } from '../stream.ts'
import { advance, beginBody, Body, decode } from './body.ts'
import { beginHead, BY_CHUNKS, BY_CLOSE, DONE, type Head, MORE, type Outcome, REFUSED } from './head.ts'
import {
  CLOSING,
  endHead,
  KEPT_ALIVE,
  PERSISTENT,
  writeRequestHead,
  writeResponseFields,
  writeStatusLine,
} from './headWrite.ts'
import { fieldsLimit, type UpstreamNumber } from './policy.ts'
import type { ProxyContext } from './proxyContext.ts'
import { counter } from './proxyCounters.ts'
import type { ProxyExchange } from './proxyExchange.ts'
import { colour } from './proxyOptions.ts'
import { scanResponse } from './scanner.ts'

const CONNECTING = 0
/** In the pool. */
const IDLE = 1
/** The request is on its way; no head of a final response has come. */
const READING_HEAD = 2
const READING_BODY = 3
const TUNNELLING = 4
const CLOSED = 5

const connects = counter('connects')
const upgrades = counter('upgrades')

const lineEndBytes = 2
/** Longer beginnings of bodies are sent from where they lie, with the head put in front of them. */
const copiedBytes = 2048

/**
 * A connection to an upstream, and the exchange whose request it has.
 *
 *     CONNECTING ─► READING_HEAD ─┬─► READING_BODY ─► IDLE ─► READING_HEAD …
 *                                 └─► TUNNELLING
 *
 * Its slot holds the head of the request, with the first of its body, and behind `from` what it answers; there a rewritten
 * head is put right before the body's first bytes, so that both are one send.
 */
export class UpstreamConnection {
  readonly number: Connection
  readonly #context: ProxyContext
  readonly #slot: number
  readonly #from: number
  readonly #slotEnd: number
  #state = CLOSED
  #upstream: UpstreamNumber = -1
  #retirement = 0
  /** When it was begun to connect. */
  #since = 0
  #exchange: ProxyExchange | null = null
  /** It has served a request before this one. */
  #used = false

  /** What it sent and has not been used. */
  #begin = 0
  #end = 0
  #receiving = false
  #sending = false
  /** What it sends goes to the client without a copy. */
  #relays = false
  /** The head of the request is on its way: its room in the slot is taken. */
  #headLeaving = false
  /** The first of the body did not fit behind the head. */
  #firstBodyLeft = false
  #requestSent = false
  #ended = false
  /** Of the response. */
  readonly #body = new Body()
  #keepAlive = false
  #decoded = false
  #responseWhole = false
  #heard = false

  constructor(number: Connection, context: ProxyContext) {
    this.number = number
    this.#context = context
    const slot = context.transport.slotOf(number)
    this.#slot = slot + colour(number)
    this.#from = this.#slot + context.layout.upstreamFrom
    this.#slotEnd = slot + context.transport.slotBytes
  }

  /** Its answer waits for the client to take it, in a relay. */
  get isHeldByClient(): boolean {
    return this.#relays && this.#context.transport.isRelayFull?.(this.number) === true
  }

  get isConnecting(): boolean {
    return this.#state === CONNECTING
  }

  /** It will send no more. */
  get hasEnded(): boolean {
    return this.#ended
  }

  connecting(upstream: UpstreamNumber, exchange: ProxyExchange): void {
    this.#state = CONNECTING
    this.#upstream = upstream
    this.#retirement = this.#context.retirements[upstream] as number
    this.#exchange = exchange
    this.#since = this.#context.now
    this.#used = this.#receiving = this.#sending = this.#relays = this.#ended = false
    this.#context.counters.add(connects, 1)
  }

  connected(result: number): void {
    const exchange = this.#exchange
    if (exchange === null) return this.drop()
    if (result < 0) {
      this.drop()
      return exchange.connectFailed(result)
    }
    const context = this.#context
    context.tick()
    context.policy.connected?.(exchange.client.number, this.#upstream, context.now - this.#since)
    exchange.scanAgain()
    this.begin(exchange)
  }

  /** Sends the head that is in the shared one. */
  begin(exchange: ProxyExchange): void {
    const context = this.#context
    const { arena, policy, transport, requestHead } = context
    this.#used = this.#state === IDLE
    if (this.#used) context.never(this.number)
    this.#state = READING_HEAD
    this.#exchange = exchange
    this.#requestSent = this.#heard = this.#responseWhole = false

    let end = writeRequestHead(
      requestHead,
      arena,
      requestHead.pathStart + exchange.targetSkip,
      exchange.targetPrefix,
      policy.upstream(this.#upstream).host,
      context.droppedOfRequests,
      arena,
      this.#slot,
      this.#from - fieldsLimit - lineEndBytes,
    )
    if (end < 0) return this.#broken()
    end = policy.requestFields(exchange.client.number, context.request, this.#upstream, arena, end)
    end = endHead(arena, end, this.#from)
    const first = exchange.firstBodyEnd - exchange.firstBodyAt
    if (first > copiedBytes && exchange.canPutHead(end - this.#slot)) {
      const start = exchange.firstBodyAt - (end - this.#slot)
      arena.copyWithin(start, this.#slot, end)
      this.#firstBodyLeft = false
      this.#sending = true
      transport.send(this.number, start, exchange.firstBodyEnd - start, false)
      exchange.headSent()
      if (!this.#receiving) this.#receive(this.#from)
      return
    }
    this.#firstBodyLeft = end + first > this.#from
    if (first > 0 && !this.#firstBodyLeft) {
      arena.copyWithin(end, exchange.firstBodyAt, exchange.firstBodyEnd)
      end += first
    }
    this.#headLeaving = this.#sending = true
    transport.send(this.number, this.#slot, end - this.#slot, this.#firstBodyLeft)
    exchange.headSent()
    if (!this.#receiving) this.#receive(this.#from)
  }

  /** Sends bytes out of the client's slot: a part of the body, or of a tunnel. */
  sendPiece(at: number, bytes: number): void {
    if (bytes === 0) return this.#exchange?.bodySent()
    this.#sending = true
    this.#context.transport.send(this.number, at, bytes, false)
  }

  sent(result: number): void {
    const exchange = this.#exchange
    const wasHead = this.#headLeaving
    this.#sending = this.#headLeaving = false
    if (exchange === null) return
    if (result >= 0) {
      if (wasHead && this.#firstBodyLeft) {
        this.sendPiece(exchange.firstBodyAt, exchange.firstBodyEnd - exchange.firstBodyAt)
      } else this.#pieceDelivered(exchange)
    } else if (wasHead && this.#used) {
      // What it may have said before it went is no answer to this request.
      this.drop()
      return exchange.upstreamLost(result, true, true)
    } else exchange.upstreamDeaf()
    // Where it takes no more, what it says, or that it has ended, is received all the same; it is never used again.
    if (wasHead && this.#state === READING_HEAD && !this.#receiving && this.#end > this.#begin)
      this.#readHead()
  }

  #pieceDelivered(exchange: ProxyExchange): void {
    this.#requestSent = exchange.whole && !this.#sending
    exchange.bodySent()
  }

  /** The client's side of a tunnel has ended. */
  endRequest(): void {
    this.#context.transport.shutdown(this.number)
    if (this.#ended) this.#exchange?.tunnelEnded()
  }

  received(result: number): void {
    this.#receiving = false
    if (this.#state === IDLE) return this.drop()
    if (result <= 0) return this.#peerEnded(result)
    this.#end += result
    switch (this.#state) {
      case READING_HEAD:
        this.#heard = true
        // An answer to a head that has not left yet: its room is needed for the answer's head.
        if (!this.#headLeaving) this.#readHead()
        return
      case READING_BODY:
        return this.#readBody()
      case TUNNELLING:
        return this.#exchange?.sendPiece(this.#begin, this.#end - this.#begin, true)
      default:
    }
  }

  /** The exchange has taken what it was sent. */
  pieceSent(): void {
    if (this.#state === READING_HEAD) {
      // It was an interim response.
      if (this.#begin < this.#end) this.#readHead()
      else this.#receive(this.#from)
    } else if (this.#responseWhole) this.#done()
    else if (this.#ended) this.#exchange?.tunnelEnded()
    else this.#takeMore()
  }

  #takeMore(): void {
    const exchange = this.#exchange
    const { transport, options } = this.#context
    let left = 0
    if (this.#state === TUNNELLING) {
      if (this.#end - this.#begin >= options.relayBytes) left = Infinity
    } else if (!this.#decoded && this.#body.framing !== BY_CHUNKS) {
      left = this.#body.framing === BY_CLOSE ? Infinity : this.#body.left
    }
    if (left < options.relayBytes || exchange === null || transport.relay === undefined)
      return this.#receive(this.#from)
    this.#begin = this.#end = this.#from
    this.#relays = true
    transport.relay(this.number, exchange.client.number, left)
  }

  relaying(bytes: number): void {
    this.#context.tick()
    this.#body.left -= bytes
    this.#exchange?.responseRelaying(bytes)
  }

  relayed(result: number): void {
    this.#context.tick()
    this.#relays = false
    if (this.#state === READING_BODY && this.#body.framing !== BY_CLOSE && this.#body.left === 0) this.#done()
    else if (result === -EPIPE) this.#exchange?.client.cut()
    else if (mayReceive(result)) this.#receive(this.#from)
    else this.#peerEnded(Math.min(result, 0))
  }

  /** All of the request has gone past in a relay. */
  requestRelayed(): void {
    this.#requestSent = !this.#sending
  }

  /** Ends it, whatever it is at. */
  drop(): void {
    if (this.#state === CLOSED) return
    const { pool, transport } = this.#context
    if (this.#state === IDLE) pool.remove(this.number)
    this.#state = CLOSED
    this.#exchange = null
    this.#context.never(this.number)
    transport.close(this.number)
  }

  // ── The response ──────────────────────────────────────────────────────────────────────────────────────────────

  #readHead(): void {
    const exchange = this.#exchange
    if (exchange === null) return
    const { responseHead: head } = this.#context
    let outcome = this.#scan(exchange)
    // HTTP/1.0 knows no interim ones (RFC 9110 §15.2).
    while (outcome === DONE && exchange.minor === 0 && head.status < 200 && head.status !== 101) {
      this.#begin = head.end
      outcome = this.#scan(exchange)
    }
    if (outcome === REFUSED) return this.#broken()
    if (outcome === MORE) {
      if (this.#end === this.#slotEnd) this.#moveDown()
      return this.#receive(this.#end)
    }
    if (head.status === 101) this.#switch(exchange, head)
    else if (head.status < 200) this.#interim(exchange, head)
    else this.#final(exchange, head)
  }

  #scan({ method }: ProxyExchange): Outcome {
    const { arena, responseHead: head } = this.#context
    beginHead(head, this.#begin)
    return scanResponse(head, arena, this.#end, method)
  }

  /** Room for the rest of a head behind interim ones. */
  #moveDown(): void {
    this.#context.arena.copyWithin(this.#from, this.#begin, this.#end)
    this.#end -= this.#begin - this.#from
    this.#begin = this.#from
  }

  #interim(exchange: ProxyExchange, head: Head): void {
    this.#begin = head.end
    const start = this.#headBefore(head, PERSISTENT, false, exchange, false)
    if (start < 0) return this.#broken()
    exchange.sendPiece(start, head.end - start, false)
  }

  #final(exchange: ProxyExchange, head: Head): void {
    exchange.responded(head.status)
    this.#keepAlive = head.keepAlive
    beginBody(this.#body, head)
    this.#decoded = exchange.minor === 0 && head.framing === BY_CHUNKS
    if (head.framing === BY_CLOSE || this.#decoded || !exchange.whole) exchange.client.closing = true
    const connection = exchange.client.closing ? CLOSING : exchange.minor === 0 ? KEPT_ALIVE : PERSISTENT
    const bodyAt = head.end
    const start = this.#headBefore(head, connection, this.#decoded, exchange, true)
    if (start < 0) return this.#broken()
    this.#state = READING_BODY
    this.#begin = bodyAt
    this.#takeBody(exchange, start)
  }

  #switch(exchange: ProxyExchange, head: Head): void {
    if (!exchange.upgrade || head.upgradeField < 0) return this.#broken()
    this.#context.counters.add(upgrades, 1)
    exchange.responded(head.status)
    const start = this.#headBefore(head, PERSISTENT, false, exchange, true)
    if (start < 0) return this.#broken()
    this.#state = TUNNELLING
    exchange.sendPiece(start, this.#end - start, true)
    exchange.tunnel()
  }

  #readBody(): void {
    const exchange = this.#exchange
    if (exchange !== null) this.#takeBody(exchange, this.#begin)
  }

  /** Sends on what belongs to the body, and what stands before it from `start` on. */
  #takeBody(exchange: ProxyExchange, start: number): void {
    const body = this.#body
    const { arena } = this.#context
    const outcome = this.#decoded
      ? decode(body, arena, this.#begin, this.#end)
      : advance(body, arena, this.#begin, this.#end)
    if (outcome === REFUSED) return this.#broken()
    this.#responseWhole = outcome === DONE
    this.#begin = body.at
    const end = this.#decoded ? body.dataEnd : body.at
    if (end > start) exchange.sendPiece(start, end - start, true)
    else this.pieceSent()
  }

  /** Writes the head anew so that it ends where the scanned one did. @returns where it begins; -1: it does not fit */
  #headBefore(
    head: Head,
    connection: number,
    decoded: boolean,
    exchange: ProxyExchange,
    final: boolean,
  ): number {
    const { arena, policy, droppedOfResponses } = this.#context
    const bodyAt = head.end
    const limit = this.#from - lineEndBytes
    let end = writeStatusLine(head, arena, arena, this.#slot, limit - fieldsLimit)
    if (end < 0) return -1
    // In front of those of the upstream: of a chain of gateways the outer one is first.
    if (final) end = policy.responseFields(exchange.client.number, this.#upstream, arena, end)
    end = writeResponseFields(head, arena, connection, decoded, droppedOfResponses, arena, end, limit)
    if (end < 0) return -1
    end = endHead(arena, end, this.#from)
    const start = bodyAt - (end - this.#slot)
    arena.copyWithin(start, this.#slot, end)
    return start
  }

  /** The response was passed on whole. */
  #done(): void {
    const exchange = this.#exchange
    const { pool, retirements, options, stopping } = this.#context
    // An answer that came early: what is still being sent lies in the client's slot.
    if (!this.#requestSent && exchange !== null) exchange.client.closing = true
    const clean = this.#keepAlive && this.#requestSent && !this.#ended && this.#begin === this.#end
    const wanted = !stopping && retirements[this.#upstream] === this.#retirement
    if (clean && wanted && pool.put(this.#upstream, this.number)) {
      this.#state = IDLE
      this.#exchange = null
      this.#context.due(this.number, options.upstreamIdleMs)
      if (!this.#receiving) this.#receive(this.#from)
    } else this.drop()
    exchange?.responseDone()
  }

  /** @param result 0, or a negated errno */
  #peerEnded(result: number): void {
    const exchange = this.#exchange
    if (exchange === null) return this.drop()
    this.#ended = true
    switch (this.#state) {
      case READING_HEAD: {
        const silent = !this.#heard
        const used = this.#used
        this.drop()
        return exchange.upstreamLost(result, silent, used)
      }
      case READING_BODY:
        if (this.#body.framing !== BY_CLOSE || result < 0) return this.#broken()
        return this.#done()
      case TUNNELLING:
        if (result < 0) return exchange.client.cut()
        return exchange.tunnelEnded()
      default:
        this.drop()
    }
  }

  #broken(): void {
    const exchange = this.#exchange
    this.drop()
    exchange?.responseBroken()
  }

  #receive(at: number): void {
    if (at === this.#from) this.#begin = this.#end = at
    this.#receiving = true
    this.#context.transport.receive(this.number, at, this.#slotEnd - at)
  }
}
