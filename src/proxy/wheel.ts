/** Something that ends when it has been idle for long enough. */
export abstract class Timed {
  /** @internal links of the wheel's slot */
  before: Timed | null = null
  /** @internal */
  after: Timed | null = null
  /** @internal -1: in no slot */
  slot = -1

  /** When it is due by what is known now, in milliseconds of the wheel's clock. Activity only moves this. */
  abstract dueAt(): number
  /** It was due. It is in the wheel no more. */
  abstract expire(): void
}

export interface WheelOptions {
  /** Milliseconds of a clock that never goes back. */
  readonly clock: () => number
  readonly tickMs: number
  readonly slots?: number
}

/**
 * A coarse timer wheel: one timer for everything that can become idle.
 *
 * Activity costs nothing here: an entry whose slot comes up is asked when it is due, and put back if that is later.
 * What is due beyond the horizon (slots × tick) waits in the farthest slot and is put back from there.
 */
export class Wheel {
  /** The clock as of the last tick: what activity is stamped with. */
  now: number
  size = 0
  readonly #clock: () => number
  readonly #tickMs: number
  readonly #slots: (Timed | null)[]
  #cursor: number
  #timer: NodeJS.Timeout | null = null

  constructor(options: WheelOptions) {
    this.#clock = options.clock
    this.#tickMs = options.tickMs
    this.#slots = Array<Timed | null>(options.slots ?? 512).fill(null)
    this.now = options.clock()
    this.#cursor = Math.floor(this.now / this.#tickMs)
  }

  add(entry: Timed): void {
    if (this.size === 0) this.#start()
    this.size++
    this.#insert(entry)
  }

  /** To be called when an entry becomes due earlier than it was; for later nothing needs to be done. */
  sooner(entry: Timed): void {
    if (entry.slot < 0) return
    this.#unlink(entry)
    this.#insert(entry)
  }

  remove(entry: Timed): void {
    if (entry.slot < 0) return
    this.#unlink(entry)
    this.size--
    if (this.size === 0) this.stop()
  }

  /** Ends what is due. The wheel's own timer calls this. */
  tick(): void {
    this.now = this.#clock()
    const target = Math.floor(this.now / this.#tickMs)
    const steps = Math.min(target - this.#cursor, this.#slots.length)
    const first = target - steps + 1
    this.#cursor = Math.max(this.#cursor, target)
    for (let at = first; at <= target; at++) this.#visit(at % this.#slots.length)
    if (this.size === 0) this.stop()
  }

  /** All entries, for ending them; entries may be removed meanwhile. */
  entries(): Timed[] {
    const all: Timed[] = []
    for (const head of this.#slots)
      for (let entry = head; entry !== null; entry = entry.after) all.push(entry)
    return all
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  #start(): void {
    this.now = this.#clock()
    this.#cursor = Math.max(this.#cursor, Math.floor(this.now / this.#tickMs))
    this.#timer ??= setInterval(() => this.tick(), this.#tickMs).unref()
  }

  #visit(slot: number): void {
    const visited: Timed[] = []
    for (let entry = this.#slots[slot] ?? null; entry !== null; entry = entry.after) visited.push(entry)
    for (const entry of visited) {
      // An earlier one's end may have taken it out, or moved it.
      if (entry.slot !== slot) continue
      this.#unlink(entry)
      if (entry.dueAt() > this.now) this.#insert(entry)
      else {
        this.size--
        entry.expire()
      }
    }
  }

  #insert(entry: Timed): void {
    // The slot after the due time, so that nothing ends early; never the one being visited.
    const due = Math.floor(entry.dueAt() / this.#tickMs) + 1
    const at = Math.min(Math.max(due, this.#cursor + 1), this.#cursor + this.#slots.length - 1)
    const slot = at % this.#slots.length
    const head = this.#slots[slot] ?? null
    entry.slot = slot
    entry.before = null
    entry.after = head
    if (head !== null) head.before = entry
    this.#slots[slot] = entry
  }

  #unlink(entry: Timed): void {
    if (entry.before === null) this.#slots[entry.slot] = entry.after
    else entry.before.after = entry.after
    if (entry.after !== null) entry.after.before = entry.before
    entry.before = null
    entry.after = null
    entry.slot = -1
  }
}
