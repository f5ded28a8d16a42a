import type { Calls } from '../../kernel/uring/calls.ts'
import { completionFlag } from '../../kernel/uring/ring.ts'
import { endSending } from '../../kernel/uring/sockets.ts'
import { pollEvent } from '../../kernel/uring/submission.ts'
import type { Connection } from '../stream.ts'
import { state, type Connections } from './connections.ts'
import type { Operations } from './operations.ts'
import { kind } from './tag.ts'

const EAGAIN = 11

/** Receives and sends under way: at most one of each for a connection. */
export class Transfers {
  readonly #calls: Calls
  readonly #operations: Operations
  readonly #connections: Connections
  /** A place in the arena belongs to slot `place >> shift`. */
  readonly #shift: number
  readonly #receiveAt: Int32Array
  readonly #receiveBytes: Int32Array
  readonly #sendAt: Int32Array
  readonly #sendLeft: Int32Array
  readonly #sendMore: Uint8Array
  readonly #sent: Int32Array

  constructor(calls: Calls, operations: Operations, connections: Connections, shift: number) {
    const { count } = connections.slots
    this.#calls = calls
    this.#operations = operations
    this.#connections = connections
    this.#shift = shift
    this.#receiveAt = new Int32Array(count)
    this.#receiveBytes = new Int32Array(count)
    this.#sendAt = new Int32Array(count)
    this.#sendLeft = new Int32Array(count)
    this.#sendMore = new Uint8Array(count)
    this.#sent = new Int32Array(count)
  }

  receive(connection: Connection, at: number, bytes: number): void {
    this.#receiveAt[connection] = at
    this.#receiveBytes[connection] = bytes
    const pollFirst = !this.#connections.is(connection, state.nonEmpty)
    this.#connections.mark(connection, state.receiving)
    this.#hold(connection, at)
    this.#operations.receive(connection, at, bytes, pollFirst)
  }

  /** @param result of a receive, or of a poll that failed; @param isStale the connection was closed */
  received(connection: Connection, result: number, flags: number, isStale: boolean): void {
    const connections = this.#connections
    // A socket is non-blocking only while it relays: the ring then does not wait for it by itself.
    if (result === -EAGAIN && !isStale) {
      connections.mark(connection, state.receivePolled)
      const descriptor = connections.descriptorOf(connection)
      return this.#operations.poll(connection, kind.receivable, descriptor, pollEvent.in)
    }
    this.#drop(connection, this.#receiveAt[connection] as number)
    if (isStale) return
    connections.unmark(connection, state.receiving | state.receivePolled | state.nonEmpty)
    if ((flags & completionFlag.socketNonEmpty) !== 0) connections.mark(connection, state.nonEmpty)
    connections.eventsOf(connection)?.received(connection, result)
  }

  receivable(connection: Connection, result: number, isStale: boolean): void {
    if (result < 0 || isStale) return this.received(connection, result, 0, isStale)
    this.#connections.unmark(connection, state.receivePolled)
    const at = this.#receiveAt[connection] as number
    this.#operations.receive(connection, at, this.#receiveBytes[connection] as number, false)
  }

  send(connection: Connection, at: number, bytes: number, more: boolean): void {
    this.#sendAt[connection] = at
    this.#sendLeft[connection] = bytes
    this.#sendMore[connection] = more ? 1 : 0
    this.#sent[connection] = 0
    this.#connections.mark(connection, state.sending)
    this.#hold(connection, at)
    this.#operations.send(connection, at, bytes, more)
  }

  /** @param result of a send, or of a poll that failed; @param isStale the connection was closed */
  sent(connection: Connection, result: number, isStale: boolean): void {
    const connections = this.#connections
    const descriptor = connections.descriptorOf(connection)
    if (!isStale && result === -EAGAIN) {
      connections.mark(connection, state.sendPolled)
      return this.#operations.poll(connection, kind.sendable, descriptor, pollEvent.out)
    }
    if (!isStale && result > 0) {
      this.#sent[connection] = (this.#sent[connection] as number) + result
      const left = (this.#sendLeft[connection] as number) - result
      this.#sendLeft[connection] = left
      if (left > 0) {
        this.#sendAt[connection] = (this.#sendAt[connection] as number) + result
        return this.#sendRest(connection)
      }
    }
    this.#drop(connection, this.#sendAt[connection] as number)
    if (isStale) return
    if (connections.is(connection, state.ending)) endSending(this.#calls, descriptor)
    connections.unmark(connection, state.sending | state.sendPolled | state.ending)
    connections
      .eventsOf(connection)
      ?.sent(connection, result < 0 ? result : (this.#sent[connection] as number))
  }

  sendable(connection: Connection, result: number, isStale: boolean): void {
    if (result < 0 || isStale) return this.sent(connection, result, isStale)
    this.#connections.unmark(connection, state.sendPolled)
    this.#sendRest(connection)
  }

  /** No more is sent after the send under way. */
  shutdown(connection: Connection): void {
    if (this.#connections.is(connection, state.sending)) this.#connections.mark(connection, state.ending)
    else endSending(this.#calls, this.#connections.descriptorOf(connection))
  }

  /**
   * Ends what is under way of a connection that is being closed. By what is known of it: the kernel looks through all that waits in the ring
   * where it is given the descriptor only.
   */
  cancel(connection: Connection): void {
    const connections = this.#connections
    if (connections.is(connection, state.connecting)) this.#operations.cancelOne(connection, kind.connect)
    if (connections.is(connection, state.receiving)) {
      const isPolled = connections.is(connection, state.receivePolled)
      this.#operations.cancelOne(connection, isPolled ? kind.receivable : kind.receive)
    }
    if (connections.is(connection, state.sending)) {
      const isPolled = connections.is(connection, state.sendPolled)
      this.#operations.cancelOne(connection, isPolled ? kind.sendable : kind.send)
    }
  }

  #sendRest(connection: Connection): void {
    this.#operations.send(
      connection,
      this.#sendAt[connection] as number,
      this.#sendLeft[connection] as number,
      this.#sendMore[connection] === 1,
    )
  }

  /** What is under way keeps its connection's slot, and the slot whose bytes it uses: that may be another's. */
  #hold(connection: Connection, at: number): void {
    this.#connections.slots.hold(connection)
    this.#connections.slots.hold(at >> this.#shift)
  }

  #drop(connection: Connection, at: number): void {
    this.#connections.slots.drop(at >> this.#shift)
    this.#connections.slots.drop(connection)
  }
}
