/** Something that is due at a time. Both fields belong to the Deadlines that hold it. */
export interface Due {
  at: number
  /** Its place in the heap; meaningless outside. */
  position: number
}

/** Earliest first: a binary heap whose entries know their place, so that any of them can be taken out. */
export class Deadlines<Entry extends Due> {
  readonly #heap: Entry[] = []

  get size(): number {
    return this.#heap.length
  }

  get first(): Entry | undefined {
    return this.#heap[0]
  }

  add(entry: Entry): void {
    this.#heap.push(entry)
    this.#up(entry, this.#heap.length - 1)
  }

  /** Takes out an entry that is in this heap. */
  delete(entry: Entry): void {
    const last = this.#heap.pop()
    if (last === undefined || last === entry) return
    const { position } = entry
    if (last.at < entry.at) this.#up(last, position)
    else this.#down(last, position)
  }

  clear(): void {
    this.#heap.length = 0
  }

  #up(entry: Entry, from: number): void {
    let position = from
    while (position > 0) {
      const parent = (position - 1) >> 1
      const above = this.#heap[parent]
      if (above === undefined || above.at <= entry.at) break
      this.#place(above, position)
      position = parent
    }
    this.#place(entry, position)
  }

  #down(entry: Entry, from: number): void {
    let position = from
    for (;;) {
      let child = 2 * position + 1
      let below = this.#heap[child]
      if (below === undefined) break
      const right = this.#heap[child + 1]
      if (right !== undefined && right.at < below.at) {
        below = right
        child++
      }
      if (below.at >= entry.at) break
      this.#place(below, position)
      position = child
    }
    this.#place(entry, position)
  }

  #place(entry: Entry, position: number): void {
    this.#heap[position] = entry
    entry.position = position
  }
}
