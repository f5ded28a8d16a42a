import { getSystemErrorMessage, getSystemErrorName } from 'node:util'
import { familyOf } from '../../model/address.ts'
import type { Connection, Endpoint, StreamEvents, StreamTransport } from '../stream.ts'
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

/**
 * One client and its backend.
 *
 *     dialing ──connected──► open ──both sides ended──► closed
 *        │  ▲                  │
 *        └──┘ another          └──error on either side: RST to the other──► closed
 *
 * Of each way one piece is under way: what was received is sent before more is received, so that each side is read only as
 * fast as the other one takes it.
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
  #remote: Endpoint | null = null
  #local: Endpoint | null = null
  #isClientEnded = false
  #isBackendEnded = false
  /** Slots that came full in a row, from the client and from the backend. */
  #fullFromClient = 0
  #fullFromBackend = 0

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
    this.#receive(backend)
    if (preface === null) return this.#receive(this.#client)
    const at = this.#transport.slotOf(this.#client)
    this.#transport.arena.set(preface, at)
    this.#transport.send(backend, at, preface.length, true)
  }

  received(from: Connection, result: number): void {
    if (result <= 0) return this.#ended(from, result)
    const isFull = result === this.#transport.slotBytes
    if (from === this.#client) {
      this.#fullFromClient = isFull ? this.#fullFromClient + 1 : 0
      this.handler?.received(result)
    } else {
      this.#fullFromBackend = isFull ? this.#fullFromBackend + 1 : 0
      this.handler?.returned(result)
    }
    const to = this.#otherThan(from)
    this.#transport.send(to, this.#transport.slotOf(from), result, false)
  }

  sent(to: Connection, result: number): void {
    if (result < 0) return this.#finish(systemError('send', result))
    const from = this.#otherThan(to)
    const full = from === this.#client ? this.#fullFromClient : this.#fullFromBackend
    if (full > 1 && this.#transport.relay !== undefined) this.#transport.relay(from, to, relayBytes)
    else this.#receive(from)
  }

  relaying(from: Connection, bytes: number): void {
    if (from === this.#client) this.handler?.received(bytes)
    else this.handler?.returned(bytes)
  }

  relayed(from: Connection, result: number): void {
    if (result === relayBytes || unrelayable.has(-result)) this.#receive(from)
    else this.#ended(from, Math.min(result, 0))
  }

  /** @param result 0: in order; a negated errno */
  #ended(from: Connection, result: number): void {
    if (result < 0) return this.#finish(systemError('read', result))
    if (from === this.#client) this.#isClientEnded = true
    else this.#isBackendEnded = true
    this.#transport.shutdown(this.#otherThan(from))
    this.handler?.halfClosed()
    if (this.#isClientEnded && this.#isBackendEnded) this.#finish(null)
  }

  #receive(from: Connection): void {
    this.#transport.receive(from, this.#transport.slotOf(from), this.#transport.slotBytes)
  }

  #otherThan(connection: Connection): Connection {
    return connection === this.#client ? this.#backend : this.#client
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
    this.#pairs[this.#client] = null
    const isInOrder = this.#isClientEnded && this.#isBackendEnded
    const backend = this.#backend
    this.#backend = none
    for (const connection of [this.#client, backend]) {
      if (connection < 0) continue
      this.#pairs[connection] = null
      if (isInOrder) this.#transport.close(connection)
      else this.#transport.reset(connection)
    }
    const { handler } = this
    this.handler = null
    handler?.closed(error)
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
/** No pipe is left (EMFILE, ENFILE), or urgent data stops splice(2) (EAGAIN): then by copying. */
const unrelayable: ReadonlySet<number> = new Set([11, 23, 24])

function systemError(call: string, result: number): Error {
  const code = getSystemErrorName(result)
  return Object.assign(new Error(`${call} ${code}: ${getSystemErrorMessage(result)}`), { code })
}
