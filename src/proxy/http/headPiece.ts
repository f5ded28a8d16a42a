/**
 * Copies of a few dozen bytes, four at a time: for so few the engine's own copy costs more than it saves. The last word
 * of a copy may reach up to three bytes behind it, where something is written next.
 */

/** Of typed arrays here. */
export const isLittleEndian = new Uint8Array(Int32Array.of(1).buffer)[0] === 1

/** A text that is written again and again. */
export class Piece {
  readonly length: number
  readonly words: Int32Array

  constructor(text: string | Uint8Array) {
    const bytes = typeof text === 'string' ? Buffer.from(text, 'latin1') : text
    this.length = bytes.length
    this.words = new Int32Array((bytes.length + 3) >> 2)
    new Uint8Array(this.words.buffer).set(bytes)
  }
}

let viewed: Uint8Array = new Uint8Array(0)
let lastView: DataView = new DataView(viewed.buffer)

/** A view of these bytes; they are always the same ones but in tests. */
export function viewOf(bytes: Uint8Array): DataView {
  if (bytes !== viewed) {
    viewed = bytes
    lastView = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }
  return lastView
}

/** @returns the end of what was written; up to three bytes more are, so that there must be room for whole words */
export function putPiece(into: Uint8Array, at: number, { words, length }: Piece): number {
  const view = viewOf(into)
  for (let index = 0, to = at; index < words.length; index++, to += 4) {
    view.setInt32(to, words[index] as number, isLittleEndian)
  }
  return at + length
}
