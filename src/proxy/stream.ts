/**
 * The lowest seam of the user-space TCP path: byte streams whose bytes lie in one arena, so that what was received from
 * one peer is sent to the other from where it lies. The ring (io_uring) and the portable transport (node:net) are behind
 * it; protocols (HTTP/1.1, plain TCP) are above it and are the same code on both.
 *
 * One thread owns a StreamTransport and all its connections. Calls never block and never throw for what a peer does;
 * results come as events, never from within the call that asked for them. Nothing is allocated per operation.
 */
export interface StreamTransport {
  readonly name: 'ring' | 'portable'
  /** All slots behind each other. */
  readonly arena: Uint8Array
  /** Bytes of a slot; each connection has one from `accepted` or `connect` until `close`. */
  readonly slotBytes: number
  /** Where the slot of a connection begins in the arena. */
  slotOf(connection: Connection): number

  /** A client for whom no slot is free is reset at once. @returns the port taken @throws the system's error */
  listen(address: string, port: number, events: StreamEvents): Promise<StreamListener>
  /** A connection to a peer; `connected` tells how that went. -1 where no slot is free. */
  connect(address: string, port: number, events: StreamEvents): Connection
  /**
   * Receives into the arena, at most one receive under way for a connection. What came before it was asked for is kept, also
   * that the peer has ended or reset; it may be asked for while a send is under way.
   */
  receive(connection: Connection, at: number, bytes: number): void
  /** Sends all these bytes of the arena, at most one send under way; they must not change until `sent`. `more`: another send follows at once. */
  send(connection: Connection, at: number, bytes: number, more: boolean): void
  /** No more will be sent (FIN); what comes is still received. Not while a send is under way. */
  shutdown(connection: Connection): void
  /** Ends it; no event follows, also not of what is under way. The number is then free for another one. */
  close(connection: Connection): void
  /** Ends it by RST. */
  reset(connection: Connection): void
  /** The other end, canonical; '' where it is gone. Costs a system call. */
  peerOf(connection: Connection): Endpoint
  /** This end, canonical. Costs a system call. */
  localOf(connection: Connection): Endpoint
  /** Moves bytes from one connection to the other without touching them, until so many have passed or the source ends; `relayed` tells. Absent where it cannot. */
  relay?(from: Connection, to: Connection, bytes: number): void
  /** Whether it is the destination of a relay that keeps it waiting. */
  isRelayFull?(from: Connection): boolean

  /** Milliseconds of a clock that never goes back; may be the same within one turn of events. */
  now(): number
  /** Calls back once, at the earliest after so many milliseconds; for sweeps of time-outs (one at a time). */
  wakeAfter(milliseconds: number, wake: () => void): void
  /** Ends every listener and connection. */
  end(): void
}

export interface Endpoint {
  readonly address: string
  readonly port: number
}

/** A small number that stands for an open connection of this transport. */
export type Connection = number

export interface StreamListener {
  readonly port: number
  close(): void
}

/** Results. `result`: 0 or more as said, below 0 a negated errno. */
export interface StreamEvents {
  accepted(connection: Connection): void
  /** A client could not be taken: the system has no descriptors or memory left, or there is no free slot (ENOBUFS). */
  refused?(result: number): void
  /** 0: it stands. Otherwise it is still to be closed. */
  connected(connection: Connection, result: number): void
  /** Bytes received; 0: the peer will send no more. */
  received(connection: Connection, result: number): void
  /** All bytes sent (their number), or why not; the bytes may change again. */
  sent(connection: Connection, result: number): void
  /** So many bytes more have passed in a relay. */
  relaying?(connection: Connection, bytes: number): void
  /**
   * Bytes that a relay has passed, once it is over. -EPIPE: the destination takes no more. Where descriptors have run out
   * (-EMFILE, -ENFILE) or it does not get at the bytes (-EAGAIN), receiving goes on from where it is.
   */
  relayed?(connection: Connection, result: number): void
}

/** EAGAIN, ENFILE and EMFILE (asm-generic/errno-base.h): the relay cannot go on, but receiving can. */
export const mayReceive = (result: number): boolean => result === -11 || result === -23 || result === -24
/** The same. */
export const EPIPE = 32
