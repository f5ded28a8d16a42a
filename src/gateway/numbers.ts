/** Small numbers that are handed out, shared by reference counts, and handed out again. */
export class Numbers {
  readonly #most: number
  readonly #free: number[] = []
  readonly #users: number[] = []

  constructor(most: number) {
    this.#most = most
  }

  /** @returns -1: all are taken */
  take(): number {
    const number = this.#free.pop() ?? (this.#users.length < this.#most ? this.#users.length : -1)
    if (number >= 0) this.#users[number] = 1
    return number
  }

  share(number: number): number {
    this.#users[number]! += 1
    return number
  }

  /** @returns true: nobody uses it any more */
  drop(number: number): boolean {
    this.#users[number]! -= 1
    if (this.#users[number] !== 0) return false
    this.#free.push(number)
    return true
  }
}
