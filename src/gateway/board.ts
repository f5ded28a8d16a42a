/** How much a gateway has room for. */
export interface BoardSize {
  /** Different instances (`host:port` as written) of all functions. */
  readonly upstreams: number
  readonly functions: number
  /** Instances of each function, summed over all functions. */
  readonly members: number
}

/** Time in the board: tenths of a second since the epoch of the board, which 31 bits hold for six years. */
const tickMs = 100
const lastTick = 2 ** 31 - 1

/**
 * What all Workers know of instances and functions: one Int32Array on shared memory, changed by Atomics, so that the order
 * of selection, limits and ejections are exact over all Workers and connections.
 */
export class Board {
  readonly memory: SharedArrayBuffer
  readonly size: BoardSize
  readonly #epochMs: number
  /** Requests that an instance has now. */
  readonly #active: Int32Array
  /** Failures of an instance in a row. */
  readonly #failures: Int32Array
  readonly #ejectedUntil: Int32Array
  /** How often in a row it was ejected without a success in between. */
  readonly #ejections: Int32Array
  /** Where in its schedule a function is. */
  readonly #positions: Int32Array
  /** By function, and behind them for all together. */
  readonly #waiting: Int32Array

  /** @param epochMs the same in all threads */
  constructor(size: BoardSize, epochMs: number, memory = new SharedArrayBuffer(Board.bytes(size))) {
    this.memory = memory
    this.size = size
    this.#epochMs = epochMs
    let at = 0
    const take = (length: number): Int32Array => {
      const part = new Int32Array(memory, at, length)
      at += part.byteLength
      return part
    }
    this.#active = take(size.upstreams)
    this.#failures = take(size.upstreams)
    this.#ejectedUntil = take(size.upstreams)
    this.#ejections = take(size.upstreams)
    this.#positions = take(size.functions * positionsPerFunction)
    this.#waiting = take(size.functions + 1)
  }

  static bytes({ upstreams, functions }: BoardSize): number {
    return Int32Array.BYTES_PER_ELEMENT * (4 * upstreams + (positionsPerFunction + 1) * functions + 1)
  }

  get positions(): number {
    return this.#positions.length
  }

  active(upstream: number): number {
    return Atomics.load(this.#active, upstream)
  }

  /** Takes a place of an instance. @param limit 0: none @returns false: it has as many as it may */
  acquire(upstream: number, limit: number): boolean {
    const before = Atomics.add(this.#active, upstream, 1)
    if (limit === 0 || before < limit) return true
    Atomics.sub(this.#active, upstream, 1)
    return false
  }

  release(upstream: number): void {
    Atomics.sub(this.#active, upstream, 1)
  }

  /** Takes a place in a function's queue. @returns false: it is full */
  enqueue(fn: number, limit: number): boolean {
    if (Atomics.add(this.#waiting, fn, 1) < limit) {
      Atomics.add(this.#waiting, this.size.functions, 1)
      return true
    }
    Atomics.sub(this.#waiting, fn, 1)
    return false
  }

  dequeue(fn: number): void {
    Atomics.sub(this.#waiting, fn, 1)
    Atomics.sub(this.#waiting, this.size.functions, 1)
  }

  waiting(fn: number): number {
    return Atomics.load(this.#waiting, fn)
  }

  /** For all functions together. */
  get waitingInAll(): number {
    return Atomics.load(this.#waiting, this.size.functions)
  }

  /** The next of `length` turns, each exactly once. */
  turn(position: number, length: number): number {
    for (;;) {
      const now = this.#positions[position]!
      const next = now + 1 < length ? now + 1 : 0
      if (Atomics.compareExchange(this.#positions, position, now, next) === now) return now
    }
  }

  /** Gives so many turns back that nobody was chosen by. */
  giveBack(position: number, length: number, turns: number): void {
    for (;;) {
      const now = this.#positions[position]!
      const before = (now + length - (turns % length)) % length
      if (Atomics.compareExchange(this.#positions, position, now, before) === now) return
    }
  }

  resetPosition(position: number): void {
    Atomics.store(this.#positions, position, 0)
  }

  /** Forgets a former instance of this number. */
  resetUpstream(upstream: number): void {
    for (const part of [this.#active, this.#failures, this.#ejectedUntil, this.#ejections])
      Atomics.store(part, upstream, 0)
  }

  isEjected(upstream: number, now: number): boolean {
    const until = this.#ejectedUntil[upstream]!
    return until !== 0 && until > this.#tick(now)
  }

  succeeded(upstream: number): void {
    // Mostly nothing to do: reading disturbs the other Workers' caches less than writing.
    if (this.#failures[upstream] === 0) return
    Atomics.store(this.#failures, upstream, 0)
    Atomics.store(this.#ejections, upstream, 0)
    Atomics.store(this.#ejectedUntil, upstream, 0)
  }

  /** @returns failures in a row, this one included */
  failed(upstream: number): number {
    return Atomics.add(this.#failures, upstream, 1) + 1
  }

  /**
   * Leaves an instance out for a while, twice as long each time. After it, one more failure is enough: the failures in a row
   * are still counted until a success.
   *
   * @returns how long; 0: it is out already
   */
  eject(upstream: number, now: number, baseMs: number, maxMs: number): number {
    const before = Atomics.load(this.#ejectedUntil, upstream)
    if (before > this.#tick(now)) return 0
    const times = Atomics.load(this.#ejections, upstream)
    const milliseconds = Math.min(baseMs * 2 ** Math.min(times, 30), maxMs)
    const until = Math.min(this.#tick(now) + Math.ceil(milliseconds / tickMs), lastTick)
    if (Atomics.compareExchange(this.#ejectedUntil, upstream, before, until) !== before) return 0
    Atomics.add(this.#ejections, upstream, 1)
    return milliseconds
  }

  #tick(now: number): number {
    return Math.floor((now - this.#epochMs) / tickMs)
  }
}

/** A function has one for all instances and one without gateways, in its present version and in one that is still in use. */
const positionsPerFunction = 4
