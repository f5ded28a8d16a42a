import { loadCalls, type Calls } from '../../kernel/uring/calls.ts'
import { Ring, type Completions } from '../../kernel/uring/ring.ts'
import {
  dropOnClose,
  endpointOf,
  listenOn,
  localOf,
  openSocket,
  peerOf,
  socketAddressOf,
} from '../../kernel/uring/sockets.ts'
import type { Connection, Endpoint, StreamEvents, StreamListener, StreamTransport } from '../stream.ts'
import { Arena } from './arena.ts'
import { Connections, state } from './connections.ts'
import { Listeners } from './listeners.ts'
import { Operations } from './operations.ts'
import { Relays } from './relay.ts'
import { generationOf, kind, kindOf, type Kind } from './tag.ts'
import { Transfers } from './transfers.ts'

export interface RingStreamOptions {
  /** Connections at most. */
  readonly slots: number
  /** A power of two from 4096 on. */
  readonly slotBytes: number
  /** The descriptor of a `Wake`: what is written there ends a wait. */
  readonly wake?: number
  /** Something was asked for outside of `turn`, and waits for the next one. */
  readonly asked?: () => void
  readonly ended?: () => void
}

const ENOBUFS = 105
/** Submissions of one turn; more are submitted at once. */
const entries = 1024
/** So many addresses are kept in the kernel's form. */
const addressesKept = 4096
/** Milliseconds and rounds of waiting for what was cancelled, at the end. */
const lastWait = 20
const lastRounds = 100

/** StreamTransport over io_uring, for the thread that opens it. Nothing happens but in `turn`. */
export class RingStream implements StreamTransport {
  readonly name = 'ring'
  readonly arena: Uint8Array
  readonly slotBytes: number
  readonly #calls: Calls
  readonly #ring: Ring
  readonly #memory: Arena
  readonly #connections: Connections
  readonly #operations: Operations
  readonly #transfers: Transfers
  readonly #relays: Relays
  readonly #listeners: Listeners
  readonly #completions: Completions
  readonly #shift: number
  readonly #wakeDescriptor: number | undefined
  readonly #asked: (() => void) | undefined
  readonly #ended: (() => void) | undefined
  readonly #socketAddresses = new Map<string, Uint8Array>()
  #now = performance.now()
  #wakeAt = Infinity
  #wake: (() => void) | null = null
  #isWoken = false
  /** What is polled to end a wait; -1: nothing. */
  #polled = -1
  #isTurning = false
  #isEnded = false
  /** The client that is just being taken, and its address where that is known. */
  #newest: Connection = -1
  #newestPeer: Uint8Array | undefined = undefined

  private constructor(calls: Calls, ring: Ring, { slots, slotBytes, wake, asked, ended }: RingStreamOptions) {
    this.#calls = calls
    this.#ring = ring
    this.#memory = new Arena(calls, slots, slotBytes)
    this.arena = this.#memory.bytes
    this.slotBytes = slotBytes
    this.#shift = Math.log2(slotBytes)
    this.#connections = new Connections(slots)
    this.#operations = new Operations(ring, this.#memory, this.#connections)
    this.#transfers = new Transfers(calls, this.#operations, this.#connections, this.#shift)
    this.#relays = new Relays(calls, this.#operations, this.#connections)
    this.#listeners = new Listeners(this.#operations, (descriptor, place, events) =>
      this.#take(descriptor, place, events),
    )
    this.#completions = {
      completed: (low, high, result, flags) => this.#completed(low, high, result, flags),
    }
    this.#wakeDescriptor = wake
    this.#asked = asked
    this.#ended = ended
    if (wake !== undefined) this.#operations.readWake(wake)
  }

  /** @throws SystemCallError where there is no ring to be had: `ringMissing` knows why */
  static async open(options: RingStreamOptions): Promise<RingStream> {
    const calls = await loadCalls()
    const ring = await Ring.open(entries)
    try {
      return new RingStream(calls, ring, options)
    } catch (error) {
      ring.close()
      throw error
    }
  }

  get isEnded(): boolean {
    return this.#isEnded
  }

  /** Connections that could be had now. */
  get freeSlots(): number {
    return this.#connections.slots.free
  }

  /** When a timer is due, in milliseconds of `performance.now()`; Infinity: never. */
  get dueAt(): number {
    return Math.min(this.#wakeAt, this.#listeners.retryAt)
  }

  slotOf(connection: Connection): number {
    return connection << this.#shift
  }

  async listen(address: string, port: number, events: StreamEvents): Promise<StreamListener> {
    const socket = await listenOn(address, port)
    return this.#listen(socket, events, true)
  }

  /** Takes clients of a socket that other threads may take clients of too; it is not closed with the listener. */
  listenShared(socket: { descriptor: number; port: number }, events: StreamEvents): StreamListener {
    return this.#listen(socket, events, false)
  }

  connect(address: string, port: number, events: StreamEvents): Connection {
    this.#ask()
    const socketAddress = this.#socketAddress(address)
    const connection = this.#connections.slots.take()
    if (connection < 0) return -1
    const descriptor = openSocket(this.#calls, socketAddress)
    this.#connections.open(connection, descriptor, events)
    this.#connections.mark(connection, state.connecting)
    this.#connections.slots.hold(connection)
    if (descriptor < 0) this.#operations.failConnect(connection)
    else {
      this.#memory.putAddress(connection, socketAddress, port)
      this.#operations.connect(connection, socketAddress.length)
    }
    return connection
  }

  receive(connection: Connection, at: number, bytes: number): void {
    this.#ask()
    this.#transfers.receive(connection, at, bytes)
  }

  send(connection: Connection, at: number, bytes: number, more: boolean): void {
    this.#ask()
    this.#transfers.send(connection, at, bytes, more)
  }

  shutdown(connection: Connection): void {
    this.#transfers.shutdown(connection)
  }

  close(connection: Connection): void {
    const connections = this.#connections
    if (!connections.slots.isOpen(connection)) return
    this.#ask()
    this.#relays.closed(connection)
    const descriptor = connections.descriptorOf(connection)
    if (descriptor >= 0) {
      this.#transfers.cancel(connection)
      this.#operations.close(descriptor)
    }
    connections.end(connection)
  }

  reset(connection: Connection): void {
    if (!this.#connections.slots.isOpen(connection)) return
    dropOnClose(this.#calls, this.#connections.descriptorOf(connection))
    this.close(connection)
  }

  peerOf(connection: Connection): Endpoint {
    if (connection === this.#newest && this.#newestPeer !== undefined) return endpointOf(this.#newestPeer)
    return peerOf(this.#calls, this.#connections.descriptorOf(connection))
  }

  localOf(connection: Connection): Endpoint {
    return localOf(this.#calls, this.#connections.descriptorOf(connection))
  }

  relay(from: Connection, to: Connection, bytes: number): void {
    this.#ask()
    this.#relays.start(from, to, bytes)
  }

  isRelayFull(from: Connection): boolean {
    return this.#relays.isFull(from)
  }

  now(): number {
    return this.#isTurning ? this.#now : performance.now()
  }

  wakeAfter(milliseconds: number, wake: () => void): void {
    this.#ask()
    this.#wakeAt = this.now() + milliseconds
    this.#wake = wake
  }

  /** Tells an eventfd(2) that there is something for a turn, while `isTold`. */
  tell(eventfd: number): void {
    this.#ring.tell(eventfd)
  }

  set isTold(isTold: boolean) {
    this.#ring.isTold = isTold
  }

  /**
   * Waits until something completed, a timer is due or so many milliseconds have passed, and tells of it.
   *
   * @returns whether there was something
   */
  turn(longest: number): boolean {
    if (this.#isEnded) return false
    const next = this.dueAt
    const wait = next === Infinity ? longest : Math.min(longest, Math.max(0, next - performance.now()))
    this.#isTurning = true
    this.#ring.submit(wait)
    this.#now = performance.now()
    let isAny = this.#ring.dispatch(this.#completions)
    this.#listeners.retry(this.#now)
    if (this.#now >= this.#wakeAt) {
      const wake = this.#wake
      this.#wakeAt = Infinity
      this.#wake = null
      wake?.()
      isAny = true
    }
    this.#isTurning = false
    return isAny
  }

  /** Lets a wait end, once, as soon as there is something to read of a descriptor. */
  endWaitBy(descriptor: number): void {
    if (this.#polled === descriptor) return
    this.#polled = descriptor
    this.#operations.pollWake(descriptor)
  }

  /** Takes the last `endWaitBy` back. */
  endWaitByNothing(): void {
    if (this.#polled >= 0) this.#operations.cancel(this.#polled)
  }

  /** Whether somebody wrote to the `Wake`, or `endWaitBy` was fulfilled, since this was last asked. */
  takeWake(): boolean {
    const isWoken = this.#isWoken
    this.#isWoken = false
    return isWoken
  }

  /** Ends everything, and waits until the kernel uses nothing of it any more. */
  end(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#wake = null
    const { slots } = this.#connections
    this.#listeners.end()
    for (let connection = 0; connection < slots.count; connection += 1) this.close(connection)
    if (this.#wakeDescriptor !== undefined) this.#operations.cancel(this.#wakeDescriptor)
    this.endWaitByNothing()
    for (let round = 0; round < lastRounds; round += 1) {
      this.#ring.submit(round === 0 ? 0 : lastWait)
      this.#ring.dispatch(this.#completions)
      if (slots.free === slots.count) break
    }
    this.#relays.end()
    this.#ring.close()
    this.#memory.end()
    this.#ended?.()
  }

  #listen(
    { descriptor, port }: { descriptor: number; port: number },
    events: StreamEvents,
    isOwn: boolean,
  ): StreamListener {
    this.#ask()
    const id = this.#listeners.add(descriptor, events, isOwn)
    const close = (): void => {
      this.#ask()
      this.#listeners.close(id)
      // At once, so that the address is free.
      this.#ring.submit(0)
    }
    return { port, close }
  }

  #ask(): void {
    if (!this.#isTurning) this.#asked?.()
  }

  #completed(low: number, high: number, result: number, flags: number): void {
    switch (kindOf(high) as Kind) {
      case kind.receive:
        return this.#transfers.received(low, result, flags, this.#isStale(low, high))
      case kind.receivable:
        return this.#transfers.receivable(low, result, this.#isStale(low, high))
      case kind.send:
        return this.#transfers.sent(low, result, this.#isStale(low, high))
      case kind.sendable:
        return this.#transfers.sendable(low, result, this.#isStale(low, high))
      case kind.accept:
        return this.#listeners.accepted(low, generationOf(high), result, flags, this.#now)
      case kind.connect:
        return this.#connected(low, result, this.#isStale(low, high))
      case kind.unconnected:
        return this.#connected(low, this.#connections.descriptorOf(low), this.#isStale(low, high))
      case kind.relay:
        return this.#relays.ready(low, result, this.#isStale(low, high))
      case kind.wake:
        this.#isWoken = true
        this.#polled = -1
        if (this.#wakeDescriptor !== undefined && !this.#isEnded)
          this.#operations.readWake(this.#wakeDescriptor)
        return
      case kind.quiet:
        return
    }
  }

  #take(descriptor: number, place: number, events: StreamEvents): void {
    const connection = this.#connections.slots.take()
    if (connection < 0) {
      dropOnClose(this.#calls, descriptor)
      this.#operations.close(descriptor)
      return events.refused?.(-ENOBUFS)
    }
    this.#connections.open(connection, descriptor, events)
    // Who connects mostly speaks at once.
    this.#connections.mark(connection, state.nonEmpty)
    this.#newest = connection
    this.#newestPeer = this.#memory.namedAt(place)
    events.accepted(connection)
    this.#newest = -1
  }

  #connected(connection: Connection, result: number, isStale: boolean): void {
    this.#connections.slots.drop(connection)
    if (isStale) return
    this.#connections.unmark(connection, state.connecting)
    this.#connections.eventsOf(connection)?.connected(connection, result)
  }

  /** A completion of before the connection was closed. */
  #isStale(connection: Connection, tag: number): boolean {
    return this.#connections.slots.generationOf(connection) !== generationOf(tag)
  }

  #socketAddress(address: string): Uint8Array {
    const known = this.#socketAddresses.get(address)
    if (known !== undefined) return known
    if (this.#socketAddresses.size >= addressesKept) this.#socketAddresses.clear()
    const socketAddress = socketAddressOf(address, 0)
    this.#socketAddresses.set(address, socketAddress)
    return socketAddress
  }
}
