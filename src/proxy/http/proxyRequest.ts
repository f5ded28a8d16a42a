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
  /** Of the field that was found last. */
  #kind = 0
  #field = 0

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
    const kind = this.#kinds[watched] as number
    return this.#take(kind, fieldOf(this.#head, kind))
  }

  findNext(): boolean {
    const head = this.#head
    const field = head.kinds.indexOf(this.#kind, this.#field + 1)
    return this.#take(this.#kind, field < head.fieldCount ? field : -1)
  }

  #take(kind: number, field: number): boolean {
    this.#kind = kind
    if (field < 0) return false
    this.#field = field
    this.valueAt = this.#head.spans[4 * field + 2] as number
    this.valueEnd = this.#head.spans[4 * field + 3] as number
    return true
  }
}
