/** What one iterates over as it comes: of each key the latest that was not taken yet. */
export class News<Key, Item> implements AsyncIterable<Item> {
  readonly #items = new Map<Key, Item>()
  #wake: (() => void) | null = null
  #closed = false

  tell(key: Key, item: Item): void {
    // The latest comes last.
    this.#items.delete(key)
    this.#items.set(key, item)
    this.#rouse()
  }

  forget(key: Key): void {
    this.#items.delete(key)
  }

  /** Whoever iterates comes to the end. */
  close(): void {
    this.#closed = true
    this.#rouse()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Item> {
    while (!this.#closed) {
      const [next] = this.#items
      if (next === undefined) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      } else {
        this.#items.delete(next[0])
        yield next[1]
      }
    }
  }

  #rouse(): void {
    this.#wake?.()
    this.#wake = null
  }
}
