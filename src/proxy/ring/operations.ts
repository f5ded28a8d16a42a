import type { Ring } from '../../kernel/uring/ring.ts'
import {
  pollEvent,
  writeAccept,
  writeAcceptNamed,
  writeCancel,
  writeCancelDescriptor,
  writeClose,
  writeConnect,
  writeNop,
  writePoll,
  writeRead,
  writeReceive,
  writeSend,
} from '../../kernel/uring/submission.ts'
import type { Connection } from '../stream.ts'
import { lengthAt, type Arena } from './arena.ts'
import type { Connections } from './connections.ts'
import { kind, noPlace, tagOf, type Kind } from './tag.ts'

/** What a transport submits to its ring, with tags by which its completions are known again. */
export class Operations {
  readonly #ring: Ring
  readonly #arena: Arena
  readonly #connections: Connections

  constructor(ring: Ring, arena: Arena, connections: Connections) {
    this.#ring = ring
    this.#arena = arena
    this.#connections = connections
  }

  /** @param id comes back in the place of a connection */
  acceptAll(id: number, listener: number): void {
    writeAccept(this.#ring.words, this.#ring.claim(id, tagOf(kind.accept, noPlace)), listener, true)
  }

  /** Accepts one client. @param place in the arena, for its address; comes back in the place of a generation */
  acceptOne(id: number, listener: number, place: number): void {
    const { words } = this.#ring
    const low = this.#arena.preparePlace(place)
    const at = this.#ring.claim(id, tagOf(kind.accept, low === 0 ? noPlace : place))
    if (low === 0) writeAccept(words, at, listener, false)
    else writeAcceptNamed(words, at, listener, low, this.#arena.high, lengthAt)
  }

  /** The address lies at the connection's place in the arena. */
  connect(connection: Connection, addressBytes: number): void {
    writeConnect(
      this.#ring.words,
      this.#claim(connection, kind.connect),
      this.#connections.descriptorOf(connection),
      this.#arena.lowOfAddress(connection),
      this.#arena.high,
      addressBytes,
    )
  }

  /** Completes in the place of a connect. */
  failConnect(connection: Connection): void {
    writeNop(this.#ring.words, this.#claim(connection, kind.unconnected))
  }

  receive(connection: Connection, at: number, bytes: number, pollFirst: boolean): void {
    writeReceive(
      this.#ring.words,
      this.#claim(connection, kind.receive),
      this.#connections.descriptorOf(connection),
      (this.#arena.low + at) | 0,
      this.#arena.high,
      bytes,
      pollFirst,
    )
  }

  send(connection: Connection, at: number, bytes: number, more: boolean): void {
    writeSend(
      this.#ring.words,
      this.#claim(connection, kind.send),
      this.#connections.descriptorOf(connection),
      (this.#arena.low + at) | 0,
      this.#arena.high,
      bytes,
      more,
    )
  }

  /** Completes as an operation of this kind and connection when the descriptor has the event. */
  poll(connection: Connection, kind: Kind, descriptor: number, event: number): void {
    writePoll(this.#ring.words, this.#claim(connection, kind), descriptor, event)
  }

  readWake(descriptor: number): void {
    const at = this.#ring.claim(0, kind.wake)
    writeRead(this.#ring.words, at, descriptor, this.#arena.lowOfCount, this.#arena.high, 8)
  }

  pollWake(descriptor: number): void {
    writePoll(this.#ring.words, this.#ring.claim(0, kind.wake), descriptor, pollEvent.in)
  }

  /** Ends what is under way on a descriptor. */
  cancel(descriptor: number): void {
    writeCancelDescriptor(this.#ring.words, this.#ring.claim(0, kind.quiet), descriptor)
  }

  /** Ends the operation of this kind of a connection. */
  cancelOne(connection: Connection, of: Kind): void {
    const tag = tagOf(of, this.#connections.slots.generationOf(connection))
    writeCancel(this.#ring.words, this.#ring.claim(0, kind.quiet), connection, tag)
  }

  close(descriptor: number): void {
    writeClose(this.#ring.words, this.#ring.claim(0, kind.quiet), descriptor)
  }

  #claim(connection: Connection, kind: Kind): number {
    return this.#ring.claim(connection, tagOf(kind, this.#connections.slots.generationOf(connection)))
  }
}
