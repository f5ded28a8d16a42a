import type { StreamTransport } from './stream.ts'

/**
 * The exchangeable edge of the user-space data path: sockets in, callbacks out. No policy in here.
 *
 * Who is dialed, what is counted and when something ends is the business of the handlers. Expected failures arrive as
 * callbacks; only `listen` and `bind` reject, with the system's error as it is.
 */
export interface Transport {
  readonly name: string
  listenTcp(address: string, port: number, acceptor: TcpAcceptor): Promise<Listener>
  bindUdp(address: string, port: number, receiver: UdpReceiver): Promise<UdpPort>
  /** A socket that talks to one backend only; it can send at once. */
  connectUdp(address: string, port: number, handler: UdpHandler): UdpPeer
  /** Byte streams for a protocol that is spoken here, such as HTTP; whoever opens them ends them. */
  openStreams(slots: number, slotBytes: number): Promise<StreamTransport>
  /** Gives back what it has of the system. */
  end(): void
}

/** Both ends of a client's connection or datagram. Addresses are canonical: an IPv4-mapped one is given as IPv4. */
export interface Ends {
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
}

export interface Listener {
  readonly port: number
  /** Takes nothing new from now on; what is open goes on. */
  close(): void
}

export interface TcpAcceptor {
  /** A client is there; nothing was read from it yet. null: reset it. */
  accept(connection: TcpConnection): TcpHandler | null
  /** The system could not hand over a client (EMFILE, ENOBUFS). */
  acceptFailed(error: Error): void
}

/** A client's connection, and its backend's once one is dialed. */
export interface TcpConnection extends Ends {
  /** Dials a backend, in place of one whose dial is still open. Until one answers, the client's bytes wait in the kernel. */
  dial(address: string, port: number): void
  /** Ends both sides by RST; `closed` follows within this call. */
  reset(): void
}

/** What happens to one connection. `closed` comes exactly once, and last. */
export interface TcpHandler {
  /** The backend answered. What is returned goes to it before the client's first byte. */
  dialed(): Uint8Array | null
  /** To be answered by another `dial` or by `reset`. */
  dialFailed(error: Error): void
  /** A chunk of so many bytes came from the client. */
  received(bytes: number): void
  /** A chunk of so many bytes came from the backend. */
  returned(bytes: number): void
  /** One side has sent its last byte; the other may go on. */
  halfClosed(): void
  /** @param error why it broke; null: it ended in order, or by `reset` */
  closed(error: Error | null): void
}

export interface UdpPort {
  readonly port: number
  send(datagram: Uint8Array, address: string, port: number): void
  close(): void
}

export interface UdpReceiver {
  datagram(bytes: Uint8Array, address: string, port: number): void
  /** A datagram could not be received or sent, or was dropped because too many wait. */
  failed(error: Error): void
}

export interface UdpPeer {
  send(datagram: Uint8Array): void
  close(): void
}

export interface UdpHandler {
  datagram(bytes: Uint8Array): void
  /** ECONNREFUSED: the backend's host answered that nobody listens. */
  failed(error: Error): void
}
