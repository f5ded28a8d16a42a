/**
 * Slots of the arena: which are free, and which of those that were given back the kernel still uses.
 *
 *     free ──take──► open ──end──► ended ──last hold dropped──► free
 *
 * Every operation under way holds its connection's slot and the slot whose bytes it reads or writes, which need not be the
 * same. The generation of a slot changes with each end: what completes with an older one is stale.
 */
export class Slots {
  readonly #free: Int32Array
  readonly #holds: Int32Array
  readonly #generations: Int32Array
  readonly #isOpen: Uint8Array
  #freeCount: number

  constructor(count: number) {
    // The lowest ones first, the last given back before all others: its pages are warm.
    this.#free = Int32Array.from({ length: count }, (_, index) => count - 1 - index)
    this.#holds = new Int32Array(count)
    this.#generations = new Int32Array(count)
    this.#isOpen = new Uint8Array(count)
    this.#freeCount = count
  }

  get count(): number {
    return this.#free.length
  }

  get free(): number {
    return this.#freeCount
  }

  /** @returns a slot, -1 where none is free */
  take(): number {
    if (this.#freeCount === 0) return -1
    this.#freeCount -= 1
    const slot = this.#free[this.#freeCount] as number
    this.#isOpen[slot] = 1
    return slot
  }

  /** Nobody has it any more; it is free once nothing under way uses it. */
  end(slot: number): void {
    this.#isOpen[slot] = 0
    this.#generations[slot] = ((this.#generations[slot] as number) + 1) & generationMask
    if (this.#holds[slot] === 0) this.#give(slot)
  }

  isOpen(slot: number): boolean {
    return this.#isOpen[slot] === 1
  }

  /** A number of 28 bits. */
  generationOf(slot: number): number {
    return this.#generations[slot] as number
  }

  hold(slot: number): void {
    this.#holds[slot] = (this.#holds[slot] as number) + 1
  }

  drop(slot: number): void {
    const left = (this.#holds[slot] as number) - 1
    this.#holds[slot] = left
    if (left === 0 && this.#isOpen[slot] === 0) this.#give(slot)
  }

  #give(slot: number): void {
    this.#free[this.#freeCount] = slot
    this.#freeCount += 1
  }
}

const generationMask = 0xfffffff
