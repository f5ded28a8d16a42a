import { completionFlag } from '../../kernel/uring/ring.ts'
import type { StreamEvents } from '../stream.ts'
import { places } from './arena.ts'
import type { Operations } from './operations.ts'
import { noPlace } from './tag.ts'

const EINTR = 4
const EAGAIN = 11
const EPROTO = 71
const ECONNABORTED = 103
const ECANCELED = 125
/** One client went while it was accepted: the next one may do. */
const passing = new Set([EINTR, EAGAIN, EPROTO, ECONNABORTED, ECANCELED])
/** Milliseconds until accepting is tried again where descriptors or memory have run out (EMFILE, ENFILE, ENOBUFS). */
const backOff = 100
/**
 * Accepts under way of a socket that threads share: so many clients may come in one turn. The kernel wakes those that wait for the socket one
 * after the other, so that threads that share it get about so many each in turn.
 */
const accepts = 8

interface Listening {
  readonly descriptor: number
  readonly events: StreamEvents
  /** No other thread accepts of it, and it is closed with the listener. */
  readonly isOwn: boolean
  /** Accepts that failed, and when to try them again. */
  failed: number
  retryAt: number
}

/** Listening sockets of one ring. */
export class Listeners {
  readonly #operations: Operations
  readonly #take: (descriptor: number, place: number, events: StreamEvents) => void
  /** By a number that is used once, so that what completes late finds nobody. */
  readonly #listening = new Map<number, Listening>()
  /** Those of the arena that no accept has. */
  readonly #places = Array.from({ length: places }, (_, place) => place)
  #last = 0
  /** The earliest `retryAt`. */
  retryAt = Infinity

  /** @param take is given each client, and the place of its address until it returns */
  constructor(
    operations: Operations,
    take: (descriptor: number, place: number, events: StreamEvents) => void,
  ) {
    this.#operations = operations
    this.#take = take
  }

  /** @returns the number by which it is closed */
  add(descriptor: number, events: StreamEvents, isOwn: boolean): number {
    this.#last += 1
    const id = this.#last
    this.#listening.set(id, { descriptor, events, isOwn, failed: 0, retryAt: 0 })
    this.#accept(id, descriptor, isOwn ? 1 : accepts)
    return id
  }

  accepted(id: number, place: number, result: number, flags: number, now: number): void {
    const listening = this.#listening.get(id)
    if (listening === undefined) {
      this.#givePlace(place)
      if (result >= 0) this.#operations.close(result)
      return
    }
    if (result >= 0) this.#take(result, place, listening.events)
    this.#givePlace(place)
    if (result >= 0 || passing.has(-result)) {
      if ((flags & completionFlag.more) === 0) this.#accept(id, listening.descriptor, 1)
    } else {
      listening.failed += 1
      if (listening.failed === 1) {
        listening.retryAt = now + backOff
        this.retryAt = Math.min(this.retryAt, listening.retryAt)
        listening.events.refused?.(result)
      }
    }
  }

  /** Accepts again where the time has come. */
  retry(now: number): void {
    if (now < this.retryAt) return
    this.retryAt = Infinity
    for (const [id, listening] of this.#listening) {
      const { descriptor, failed } = listening
      if (failed === 0) continue
      if (listening.retryAt <= now) {
        listening.failed = 0
        this.#accept(id, descriptor, failed)
      } else this.retryAt = Math.min(this.retryAt, listening.retryAt)
    }
  }

  #accept(id: number, descriptor: number, times: number): void {
    const listening = this.#listening.get(id)
    if (listening?.isOwn === true) return this.#operations.acceptAll(id, descriptor)
    if (listening === undefined) return
    for (let time = 0; time < times; time += 1)
      this.#operations.acceptOne(id, descriptor, this.#places.pop() ?? noPlace)
  }

  #givePlace(place: number): void {
    if (place !== noPlace) this.#places.push(place)
  }

  end(): void {
    for (const id of this.#listening.keys()) this.close(id)
  }

  close(id: number): void {
    const listening = this.#listening.get(id)
    if (listening === undefined) return
    this.#listening.delete(id)
    this.#operations.cancel(listening.descriptor)
    if (listening.isOwn) this.#operations.close(listening.descriptor)
  }
}
