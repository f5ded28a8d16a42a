import { Numbers } from './numbers.ts'

/** What the access log calls requests of a service that no backend was had for: by numbers beyond those of backends. */
export class HttpUnserved {
  readonly #first: number
  readonly #numbers: Numbers
  readonly #names: string[] = []

  /** @param first the first number */
  constructor(first: number, limit: number) {
    this.#first = first
    this.#numbers = new Numbers(limit)
  }

  /** @returns -1: there are no numbers left */
  add(name: string): number {
    const number = this.#numbers.take()
    if (number < 0) return -1
    this.#names[number] = name
    return this.#first + number
  }

  /** null: the number is a backend's. */
  nameOf(number: number): string | null {
    return this.#names[number - this.#first] ?? null
  }

  /** The name is kept until the number stands for another one. */
  remove(number: number): void {
    this.#numbers.give(number - this.#first)
  }
}
