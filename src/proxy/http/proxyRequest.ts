import { fieldOf, type Head, hostEnd, hostStart } from './head.ts'
import type { ProxyRequest } from './policy.ts'

/** A scanned head as the policy sees it. One object, used again. */
export class RequestView implements ProxyRequest {
  readonly bytes: Uint8Array
  client: Uint8Array = new Uint8Array(0)
  clientLength = 0
  valueAt = 0
  valueEnd = 0
  readonly #head: Head
  /** What the watched fields are to the scanner. */
  readonly #kinds: Uint8Array

  constructor(bytes: Uint8Array, head: Head, watched: readonly string[]) {
    this.bytes = bytes
    this.#head = head
    this.#kinds = Uint8Array.from(watched, (name) =>
      head.names.kindOf(Buffer.from(name, 'latin1'), 0, name.length),
    )
  }

  get methodAt(): number {
    return this.#head.start
  }
  get methodEnd(): number {
    return this.#head.methodEnd
  }
  get targetAt(): number {
    return this.#head.pathStart
  }
  get targetEnd(): number {
    return this.#head.targetEnd
  }
  get headEnd(): number {
    return this.#head.end
  }
  get hostAt(): number {
    return hostStart(this.#head)
  }
  get hostEnd(): number {
    return hostEnd(this.#head)
  }

  find(watched: number): boolean {
    const field = fieldOf(this.#head, this.#kinds[watched] as number)
    if (field < 0) return false
    this.valueAt = this.#head.spans[4 * field + 2] as number
    this.valueEnd = this.#head.spans[4 * field + 3] as number
    return true
  }
}
