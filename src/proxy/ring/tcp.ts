import { getSystemErrorMessage, getSystemErrorName } from 'node:util'
import { familyOf } from '../../model/address.ts'
import {
  type Connection,
  type Endpoint,
  mayReceive,
  type StreamEvents,
  type StreamTransport,
} from '../stream.ts'
import type { Listener, TcpAcceptor, TcpConnection, TcpHandler } from '../transport.ts'

/** Bytes after which a relay is looked at again: whether the source still gives more than a slot at a time. */
const relayBytes = 1 << 20
const none = -1

/**
 * TCP connections from clients to backends over a StreamTransport: copied through the slot of who sends while it sends
 * little, relayed without a copy where the transport can and slots come full.
 */
export class TcpProxy {
  readonly #transport: StreamTransport
  readonly #pairs: (Pair | null)[]
  readonly #ofClients: StreamEvents
  readonly #ofBackends: StreamEvents

  constructor(transport: StreamTransport) {
    this.#transport = transport
    const pairs = Array<Pair | null>(transport.arena.length / transport.slotBytes).fill(null)
    this.#pairs = pairs
    const nothing = (): void => {}
    this.#ofClients = {
      accepted: nothing,
      connected: nothing,
      received: (client, result) => pairs[client]?.received(client, result),
      sent: (client, result) => pairs[client]?.sent(client, result),
      relaying: (client, bytes) => pairs[client]?.relaying(client, bytes),
      relayed: (client, result) => pairs[client]?.relayed(client, result),
    }
    this.#ofBackends = {
      ...this.#ofClients,
      connected: (backend, result) => pairs[backend]?.connected(backend, result),
    }
  }

  /** @throws the system's error */
  listen(address: string, port: number, acceptor: TcpAcceptor): Promise<Listener> {
    const unknown: Endpoint = { address: familyOf(address) === 6 ? '::' : '0.0.0.0', port: 0 }
    return this.#transport.listen(address, port, {
      ...this.#ofClients,
      accepted: (client) => {
        const pair = new Pair(this.#transport, this.#pairs, this.#ofBackends, client, unknown)
        const handler = acceptor.accept(pair)
        if (handler === null) pair.reset()
        else pair.handler = handler
      },
      refused: (result) => acceptor.acceptFailed(systemError('accept', result)),
    })
  }
}

/** Bytes on their way from one connection to the other: one piece is sent while at most one more is received. */
class Way {
  readonly from: Connection
  readonly to: Connection
  /** Where the receive under way writes, or the piece lies that waits for the send before it. */
  at = 0
  /** The most that it may bring. */
  room = 0
  waiting = 0
  isReceiving = false
  isSending = false
  /** Receives in a row that brought the most. */
  full = 0
  /** The source has sent its last byte. */
  isOver = false

  constructor(from: Connection, to: Connection) {
    this.from = from
    this.to = to
  }
}

/**
 * One client and its backend.
 *
 *     dialing ──connected──► open ──both sides ended──► closed
 *        │  ▲                  │
 *        └──┘ another          └──error on either side: RST to the other──► closed
 *
 * Each side is read only as fast as the other one takes it.
 */
class Pair implements TcpConnection {
  handler: TcpHandler | null = null
  readonly #transport: StreamTransport
  readonly #pairs: (Pair | null)[]
  readonly #events: StreamEvents
  readonly #client: Connection
  /** What is told of a client that has gone before it was asked for. */
  readonly #unknown: Endpoint
  #backend: Connection = none
  #toBackend: Way | null = null
  #toClient: Way | null = null
  #remote: Endpoint | null = null
  #local: Endpoint | null = null

  constructor(
    transport: StreamTransport,
    pairs: (Pair | null)[],
    events: StreamEvents,
    client: Connection,
    unknown: Endpoint,
  ) {
    this.#transport = transport
    this.#pairs = pairs
    this.#events = events
    this.#client = client
    this.#unknown = unknown
    pairs[client] = this
  }

  get remoteAddress(): string {
    return this.#remoteEnd().address
  }
  get remotePort(): number {
    return this.#remoteEnd().port
  }
  get localAddress(): string {
    return this.#localEnd().address
  }
  get localPort(): number {
    return this.#localEnd().port
  }

  dial(address: string, port: number): void {
    this.#dropBackend()
    const backend = this.#transport.connect(address, port, this.#events)
    this.#backend = backend
    if (backend >= 0) this.#pairs[backend] = this
    else
      queueMicrotask(() => {
        if (this.#backend === backend) this.handler?.dialFailed(systemError('connect', -ENOBUFS))
      })
  }

  reset(): void {
    this.#finish(null)
  }

  connected(backend: Connection, result: number): void {
    if (result < 0) {
      this.#dropBackend()
      return this.handler?.dialFailed(systemError('connect', result))
    }
    const preface = this.handler?.dialed() ?? null
    // It may have been reset meanwhile.
    if (this.#backend !== backend) return
    const toBackend = (this.#toBackend = new Way(this.#client, backend))
    const toClient = (this.#toClient = new Way(backend, this.#client))
    this.#receive(toClient)
    if (preface === null) return this.#receive(toBackend)
    const at = this.#transport.slotOf(this.#client)
    this.#transport.arena.set(preface, at)
    toBackend.isSending = true
    this.#transport.send(backend, at, preface.length, true)
  }

  received(from: Connection, result: number): void {
    const way = from === this.#client ? this.#toBackend : this.#toClient
    if (way === null) return
    way.isReceiving = false
    if (result <= 0) return this.#over(way, result)
    way.full = result === way.room ? way.full + 1 : 0
    this.relaying(from, result)
    if (way.isSending) way.waiting = result
    else this.#pass(way, result)
  }

  sent(to: Connection, result: number): void {
    if (result < 0) return this.#finish(systemError('send', result))
    const way = to === this.#client ? this.#toClient : this.#toBackend
    if (way === null) return
    way.isSending = false
    const { waiting } = way
    way.waiting = 0
    if (waiting > 0) this.#pass(way, waiting)
    else if (way.isOver) this.#end(way)
    else if (!way.isReceiving) this.#goOn(way)
  }

  relaying(from: Connection, bytes: number): void {
    if (from === this.#client) this.handler?.received(bytes)
    else this.handler?.returned(bytes)
  }

  relayed(from: Connection, result: number): void {
    const way = from === this.#client ? this.#toBackend : this.#toClient
    if (way === null) return
    if (result === relayBytes || mayReceive(result)) this.#receive(way)
    else this.#over(way, Math.min(result, 0))
  }

  /** Sends a piece, and receives the next one beside it where there is room. */
  #pass(way: Way, bytes: number): void {
    const { at } = way
    way.isSending = true
    this.#transport.send(way.to, at, bytes, false)
    if (this.#isBulk(way)) return
    const slot = this.#transport.slotOf(way.from)
    const half = this.#transport.slotBytes >> 1
    if (at >= slot + half) this.#receiveAt(way, slot, half)
    else if (bytes <= half) this.#receiveAt(way, slot + half, half)
  }

  /** Nothing is under way. */
  #goOn(way: Way): void {
    if (this.#isBulk(way)) this.#transport.relay?.(way.from, way.to, relayBytes)
    else this.#receive(way)
  }

  #isBulk(way: Way): boolean {
    return way.full > 1 && this.#transport.relay !== undefined
  }

  /** @param result 0: in order; a negated errno */
  #over(way: Way, result: number): void {
    if (result < 0) return this.#finish(systemError('read', result))
    way.isOver = true
    if (!way.isSending) this.#end(way)
  }

  /** All was sent that the source had. */
  #end(way: Way): void {
    const other = way === this.#toClient ? this.#toBackend : this.#toClient
    const isLast = other === null || (other.isOver && !other.isSending)
    // The close tells it too.
    if (!isLast) this.#transport.shutdown(way.to)
    this.handler?.halfClosed()
    if (isLast) this.#finish(null)
  }

  #receive(way: Way): void {
    this.#receiveAt(way, this.#transport.slotOf(way.from), this.#transport.slotBytes)
  }

  #receiveAt(way: Way, at: number, bytes: number): void {
    way.at = at
    way.room = bytes
    way.isReceiving = true
    this.#transport.receive(way.from, at, bytes)
  }

  #dropBackend(): void {
    const backend = this.#backend
    this.#backend = none
    if (backend < 0) return
    this.#pairs[backend] = null
    this.#transport.close(backend)
  }

  #finish(error: Error | null): void {
    if (this.#pairs[this.#client] !== this) return
    const isInOrder = this.#toBackend?.isOver === true && this.#toClient?.isOver === true && error === null
    this.#finishOne(this.#client, isInOrder)
    if (this.#backend >= 0) this.#finishOne(this.#backend, isInOrder)
    this.#backend = none
    const { handler } = this
    this.handler = null
    handler?.closed(error)
  }

  #finishOne(connection: Connection, isInOrder: boolean): void {
    this.#pairs[connection] = null
    if (isInOrder) this.#transport.close(connection)
    else this.#transport.reset(connection)
  }

  #remoteEnd(): Endpoint {
    return (this.#remote ??= this.#known(this.#transport.peerOf(this.#client)))
  }

  #localEnd(): Endpoint {
    return (this.#local ??= this.#known(this.#transport.localOf(this.#client)))
  }

  #known(end: Endpoint): Endpoint {
    return end.address === '' ? this.#unknown : end
  }
}

const ENOBUFS = 105

function systemError(call: string, result: number): Error {
  const code = getSystemErrorName(result)
  return Object.assign(new Error(`${call} ${code}: ${getSystemErrorMessage(result)}`), { code })
}
