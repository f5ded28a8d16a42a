import { pollEvent } from '../../kernel/uring/submission.ts'
import type { Calls } from '../../kernel/uring/calls.ts'
import { setBlocking } from '../../kernel/uring/sockets.ts'
import { type Connection, EPIPE } from '../stream.ts'
import type { Connections } from './connections.ts'
import type { Operations } from './operations.ts'
import { Pipes } from './pipes.ts'
import { kind } from './tag.ts'

/** fcntl.h */
const SPLICE_F_MOVE = 1
const SPLICE_F_NONBLOCK = 2
const EAGAIN = 11
const ECANCELED = 125
/** What one turn moves at most of one relay, so that others come to their turn. */
const bytesPerTurn = 1 << 20
/**
 * So often a source may be readable and yet give nothing: urgent data (RFC 9293 §3.8.5) stops splice(2), not poll(2).
 */
const emptyReads = 16

const none = -1

/**
 * Bytes from one socket to another by splice(2) through a pipe, without a copy into the process: at most one relay out of
 * and one into a connection. splice(2) is called where the sockets are ready; the ring only waits for that (as operations of
 * the ring, splices run on kernel threads).
 */
export class Relays {
  readonly #calls: Calls
  readonly #operations: Operations
  readonly #connections: Connections
  readonly #pipes: Pipes
  /** By the source: the other end, or none. */
  readonly #to: Int32Array
  /** By the destination. */
  readonly #from: Int32Array
  readonly #left: Float64Array
  readonly #moved: Float64Array
  readonly #piped: Int32Array
  readonly #pipe: Int32Array
  readonly #empty: Uint8Array
  /** The destination was closed: the poll under way ends it. */
  readonly #isCut: Uint8Array

  constructor(calls: Calls, operations: Operations, connections: Connections) {
    const { count } = connections.slots
    this.#calls = calls
    this.#operations = operations
    this.#connections = connections
    this.#pipes = new Pipes(calls)
    this.#to = new Int32Array(count).fill(none)
    this.#from = new Int32Array(count).fill(none)
    this.#left = new Float64Array(count)
    this.#moved = new Float64Array(count)
    this.#piped = new Int32Array(count)
    this.#pipe = new Int32Array(count)
    this.#empty = new Uint8Array(count)
    this.#isCut = new Uint8Array(count)
  }

  start(from: Connection, to: Connection, bytes: number): void {
    this.#to[from] = to
    this.#from[to] = from
    this.#left[from] = bytes
    this.#moved[from] = 0
    this.#piped[from] = 0
    this.#pipe[from] = none
    this.#empty[from] = 0
    this.#isCut[from] = 0
    setBlocking(this.#calls, this.#connections.descriptorOf(from), false)
    setBlocking(this.#calls, this.#connections.descriptorOf(to), false)
    this.#poll(from, this.#connections.descriptorOf(from), pollEvent.in)
  }

  /** A poll for a relay ended. @param isStale the source was closed */
  ready(from: Connection, result: number, isStale: boolean): void {
    this.#connections.slots.drop(from)
    if (isStale) return
    if (this.#isCut[from] === 1) return this.#finish(from, -ECANCELED)
    if (result < 0) return this.#finish(from, result)
    if (this.#pipe[from] === none) {
      const pipe = this.#pipes.take()
      if (pipe < 0) return this.#finish(from, pipe)
      this.#pipe[from] = pipe
    }
    this.#move(from)
  }

  /** Whether the destination keeps it waiting. */
  isFull(from: Connection): boolean {
    return (this.#piped[from] as number) > 0
  }

  /** A connection is closed: what it has to do with relays ends. */
  closed(connection: Connection): void {
    if (this.#to[connection] !== none) {
      this.#operations.cancelOne(connection, kind.relay)
      this.#forget(connection)
    }
    const from = this.#from[connection] as number
    if (from === none) return
    this.#from[connection] = none
    this.#isCut[from] = 1
    this.#operations.cancelOne(from, kind.relay)
  }

  end(): void {
    this.#pipes.end()
  }

  #move(from: Connection): void {
    const source = this.#connections.descriptorOf(from)
    const destination = this.#connections.descriptorOf(this.#to[from] as number)
    const pipe = this.#pipe[from] as number
    const reading = this.#pipes.readingEnd(pipe)
    const writing = this.#pipes.writingEnd(pipe)
    const before = this.#moved[from] as number
    const least = before + bytesPerTurn
    for (;;) {
      const left = this.#left[from] as number
      const room = this.#pipes.bytes - (this.#piped[from] as number)
      let taken = -EAGAIN
      if (left > 0 && room > 0) {
        taken = this.#splice(source, writing, Math.min(left, room))
        if (taken < 0 && taken !== -EAGAIN) return this.#finish(from, taken, before)
        if (taken === 0) this.#left[from] = 0
        if (taken > 0) {
          this.#left[from] = left - taken
          this.#piped[from] = (this.#piped[from] as number) + taken
          this.#empty[from] = 0
        }
      }
      let given = -EAGAIN
      const piped = this.#piped[from] as number
      if (piped > 0) {
        given = this.#splice(reading, destination, piped)
        if (given < 0 && given !== -EAGAIN) return this.#finish(from, -EPIPE, before)
        if (given > 0) {
          this.#piped[from] = piped - given
          this.#moved[from] = (this.#moved[from] as number) + given
        }
      }
      if (this.#left[from] === 0 && this.#piped[from] === 0)
        return this.#finish(from, this.#moved[from] as number, before)
      const isBlocked = taken === -EAGAIN && given === -EAGAIN
      if (!isBlocked && (this.#moved[from] as number) < least) continue
      const empty = (this.#empty[from] as number) + (isBlocked ? 1 : 0)
      if ((this.#piped[from] as number) > 0) this.#poll(from, destination, pollEvent.out)
      else if (empty > emptyReads) return this.#finish(from, -EAGAIN, before)
      else {
        this.#empty[from] = empty
        // A source that rests needs no pipe.
        this.#pipes.give(pipe, true)
        this.#pipe[from] = none
        this.#poll(from, source, pollEvent.in)
      }
      return this.#tell(from, before)
    }
  }

  #tell(from: Connection, before: number): void {
    const bytes = (this.#moved[from] as number) - before
    if (bytes > 0) this.#connections.eventsOf(from)?.relaying?.(from, bytes)
  }

  #poll(from: Connection, descriptor: number, event: number): void {
    this.#connections.slots.hold(from)
    this.#operations.poll(from, kind.relay, descriptor, event)
  }

  /** Without SPLICE_F_MORE: the kernel would keep the end of a message for 200 ms, as more may come. */
  #splice(from: number, to: number, bytes: number): number {
    return this.#calls.splice(from, to, bytes, SPLICE_F_MOVE | SPLICE_F_NONBLOCK)
  }

  /** @param before what had moved when this turn began */
  #finish(from: Connection, result: number, before = this.#moved[from] as number): void {
    this.#forget(from)
    const { slots } = this.#connections
    const generation = slots.generationOf(from)
    this.#tell(from, before)
    if (slots.generationOf(from) === generation) this.#connections.eventsOf(from)?.relayed?.(from, result)
  }

  #forget(from: Connection): void {
    const to = this.#to[from] as number
    this.#to[from] = none
    if (this.#from[to] === from) {
      this.#from[to] = none
      this.#restore(to)
    }
    this.#restore(from)
    const pipe = this.#pipe[from] as number
    if (pipe !== none) this.#pipes.give(pipe, this.#piped[from] === 0)
    this.#pipe[from] = none
  }

  /** The ring does better with sockets that block: it tries them and waits in one operation. */
  #restore(connection: Connection): void {
    const isRelaying = this.#to[connection] !== none || this.#from[connection] !== none
    if (!isRelaying) setBlocking(this.#calls, this.#connections.descriptorOf(connection), true)
  }
}
