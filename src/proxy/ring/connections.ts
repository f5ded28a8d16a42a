import type { Connection, StreamEvents } from '../stream.ts'
import { Slots } from './slots.ts'

/** States of a connection, as bits. */
export const state = {
  connecting: 1,
  receiving: 2,
  sending: 4,
  /** More than what was received is there. */
  nonEmpty: 8,
  /** A shutdown waits for the send under way. */
  ending: 16,
  /** The receive, or the send, waits in a poll of its own. */
  receivePolled: 32,
  sendPolled: 64,
} as const

/** The open connections: whose events, which descriptor, what is under way. A connection is the number of its slot. */
export class Connections {
  readonly slots: Slots
  readonly #events: (StreamEvents | null)[]
  readonly #descriptors: Int32Array
  readonly #states: Uint8Array

  constructor(count: number) {
    this.slots = new Slots(count)
    this.#events = Array<StreamEvents | null>(count).fill(null)
    this.#descriptors = new Int32Array(count)
    this.#states = new Uint8Array(count)
  }

  open(connection: Connection, descriptor: number, events: StreamEvents): void {
    this.#descriptors[connection] = descriptor
    this.#events[connection] = events
    this.#states[connection] = 0
  }

  /** Nobody hears of it any more. */
  end(connection: Connection): void {
    this.#events[connection] = null
    this.slots.end(connection)
  }

  descriptorOf(connection: Connection): number {
    return this.#descriptors[connection] as number
  }

  eventsOf(connection: Connection): StreamEvents | null {
    return this.#events[connection] as StreamEvents | null
  }

  is(connection: Connection, bit: number): boolean {
    return ((this.#states[connection] as number) & bit) !== 0
  }

  mark(connection: Connection, bit: number): void {
    this.#states[connection] = (this.#states[connection] as number) | bit
  }

  unmark(connection: Connection, bit: number): void {
    this.#states[connection] = (this.#states[connection] as number) & ~bit
  }
}
