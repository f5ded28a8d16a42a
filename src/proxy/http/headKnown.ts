import type { Head } from './head.ts'
import { isLittleEndian } from './headPiece.ts'

/** Lines of a head that are remembered, and bytes of each. */
const lines = 32
const lineBytes = 128
const lineWords = lineBytes / 4
/** Behind it lie the last four bytes once more, which are compared first. */
const longest = lineBytes - 4
/** A line that differs is remembered in the place of the old one when this many heads have differed there. */
const patience = 4

/**
 * The field lines of earlier heads, by their number. Heads of one client or one instance are alike but for a few lines, so
 * that most lines are known by comparison, four bytes at a time, and need no scan.
 */
export class KnownLines {
  /** By line: where its name, its value and the value's end are, counted from its beginning; as in Head. */
  readonly spans = new Int32Array(4 * lines)
  readonly kinds = new Uint8Array(lines)
  /** With CRLF; 0: none is known. */
  readonly #lengths = new Uint8Array(lines)
  readonly #words = new Int32Array(lines * lineWords)
  readonly #bytes = new Uint8Array(this.#words.buffer)
  readonly #differed = new Uint8Array(lines)

  /** The length of the line that begins here, where it is the known one; else 0. */
  lengthOf(line: number, view: DataView, at: number, stop: number): number {
    if (line >= lines) return 0
    const length = this.#lengths[line] as number
    if (length === 0 || at + length > stop) return 0
    const words = this.#words
    const first = line * lineWords
    const last = at + length - 4
    if (view.getInt32(last, isLittleEndian) !== (words[first + lineWords - 1] as number)) return 0
    for (let from = at, word = first; from <= last; from += 4, word++) {
      if (view.getInt32(from, isLittleEndian) !== (words[word] as number)) return 0
    }
    return length
  }

  /** Remembers a line that was scanned, without a refusal. @param end behind its CRLF */
  learn(head: Head, line: number, bytes: Uint8Array, end: number): void {
    if (line >= lines) return
    const { spans, kinds } = head
    const span = 4 * line
    const start = spans[span] as number
    const length = end - start
    if (length > longest || this.#isToStay(line)) return
    const place = line * lineBytes
    for (let index = 0; index < length; index++) this.#bytes[place + index] = bytes[start + index] as number
    for (let index = 4; index > 0; index--) {
      this.#bytes[place + lineBytes - index] = bytes[end - index] as number
    }
    for (let index = span + 1; index < span + 4; index++) this.spans[index] = (spans[index] as number) - start
    this.kinds[line] = kinds[line] as number
    this.#lengths[line] = length
    this.#differed[line] = 0
  }

  #isToStay(line: number): boolean {
    if (this.#lengths[line] === 0) return false
    const differed = (this.#differed[line] as number) + 1
    this.#differed[line] = differed
    return differed < patience
  }
}
