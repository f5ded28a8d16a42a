import type { Exchange, UpstreamNumber } from './policy.ts'

/** Those that wait for an upstream of one function or service, first come first served. */
export interface Line {
  /** By which it is counted. */
  readonly number: number
  readonly exchanges: Set<Exchange>
  /** Those it waits for, which other lines may wait for too. */
  upstreams: ReadonlySet<UpstreamNumber>
  /** Each may want an upstream of its own: that one is called in vain says nothing of the next. */
  isPicky?: boolean
}

/** How many wait in each line, over all threads that have a part of it. */
export interface WaitingCounts {
  /** @returns false: so many wait already */
  enqueue(line: number, limit: number): boolean
  dequeue(line: number): void
  /** In all lines together. */
  readonly waitingInAll: number
}

/** Where one thread has all of each line. */
export class OwnCounts implements WaitingCounts {
  waitingInAll = 0
  readonly #waiting = new Map<number, number>()

  enqueue(line: number, limit: number): boolean {
    const before = this.#waiting.get(line) ?? 0
    if (before >= limit) return false
    this.#waiting.set(line, before + 1)
    this.waitingInAll++
    return true
  }

  dequeue(line: number): void {
    const left = (this.#waiting.get(line) ?? 0) - 1
    if (left > 0) this.#waiting.set(line, left)
    else this.#waiting.delete(line)
    this.waitingInAll--
  }
}

/** The lines of one thread. */
export class Waiting {
  readonly #counts: WaitingCounts
  readonly #resume: (exchange: Exchange) => void
  readonly #lineOf: (Line | null)[]
  readonly #until: Float64Array
  /** Its turn has come, and it is about to be decided anew. */
  readonly #isCalled: Uint8Array
  /** Lines with somebody in them. */
  readonly #lines = new Set<Line>()
  #count = 0
  /** Lines to be called. */
  readonly #due = new Set<Line>()
  #isCalling = false

  constructor(counts: WaitingCounts, exchanges: number, resume: (exchange: Exchange) => void) {
    this.#counts = counts
    this.#resume = resume
    this.#lineOf = Array<null>(exchanges).fill(null)
    this.#until = new Float64Array(exchanges)
    this.#isCalled = new Uint8Array(exchanges)
  }

  /** Until when it may wait; 0: it does not wait. */
  until(exchange: Exchange): number {
    return this.#until[exchange]!
  }

  /** @returns false: so many wait already */
  join(exchange: Exchange, line: Line, most: number, until: number): boolean {
    if (!this.#counts.enqueue(line.number, most)) return false
    this.#until[exchange] = until
    this.#lineOf[exchange] = line
    line.exchanges.add(exchange)
    this.#lines.add(line)
    this.#count += 1
    return true
  }

  /** Whether somebody waits in another thread. */
  get isElsewhere(): boolean {
    return this.#counts.waitingInAll > this.#count
  }

  /** It came in vain, and keeps its place. */
  stay(exchange: Exchange): void {
    this.#isCalled[exchange] = 0
  }

  leave(exchange: Exchange): void {
    const line = this.#lineOf[exchange] ?? null
    if (line === null) return
    this.#until[exchange] = 0
    this.#isCalled[exchange] = 0
    this.#lineOf[exchange] = null
    line.exchanges.delete(exchange)
    this.#count -= 1
    if (line.exchanges.size === 0) this.#lines.delete(line)
    this.#counts.dequeue(line.number)
  }

  /** An upstream has a free place, which is for this line first. */
  released(upstream: UpstreamNumber, line: Line): void {
    if (this.#count === 0) return
    this.call(line)
    for (const other of this.#lines) if (other.upstreams.has(upstream)) this.call(other)
  }

  /** Places may have come free in other threads. */
  sweep(): void {
    for (const line of this.#lines) this.call(line)
  }

  /**
   * There may be places: one after the other is called, until one comes in vain. What is served at once, such as by a refusal,
   * calls in its turn: that is noted, so that however many wait none is called from within another's call.
   */
  call(line: Line): void {
    if (line.exchanges.size === 0) return
    this.#due.add(line)
    if (this.#isCalling) return
    this.#isCalling = true
    for (const due of this.#due) {
      this.#due.delete(due)
      this.#fill(due)
    }
    this.#isCalling = false
  }

  #fill(line: Line): void {
    const { exchanges } = line
    if (line.isPicky === true) {
      for (const exchange of exchanges) this.#callOne(exchange)
      return
    }
    for (let before = exchanges.size; before > 0; before = exchanges.size) {
      this.#callFirst(line)
      if (exchanges.size >= before) return
    }
  }

  /** The first who was not called yet. */
  #callFirst(line: Line): void {
    for (const exchange of line.exchanges) {
      if (this.#isCalled[exchange] === 1) continue
      this.#callOne(exchange)
      return
    }
  }

  #callOne(exchange: Exchange): void {
    this.#isCalled[exchange] = 1
    this.#resume(exchange)
  }
}
