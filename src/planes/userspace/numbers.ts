/**
 * Numbers below a limit. Those that were used before come last, and the one that has been free for longest first: the access log
 * asks what a number stood for a little later.
 */
export class Numbers {
  readonly #limit: number
  readonly #free: number[] = []
  #fresh = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  /** @returns -1: none is left */
  take(): number {
    return this.#fresh < this.#limit ? this.#fresh++ : (this.#free.shift() ?? -1)
  }

  give(number: number): void {
    this.#free.push(number)
  }
}
