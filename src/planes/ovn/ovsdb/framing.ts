const quote = 0x22
const backslash = 0x5c
const open = 0x7b
const close = 0x7d

/** More than any database that an ovsdb-server holds in memory at ease; a text of V8 has at most 512 MiB. */
const maxMessageBytes = 256 << 20

/** What came is not what RFC 7047 has; the connection is of no use any more. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
}

/**
 * Cuts a stream of JSON objects, which RFC 7047 (section 4) sends one after the other without a length: an object ends
 * with the brace that closes its first one. Bytes come in any pieces.
 */
export class Splitter {
  readonly #max: number
  /** Of the unfinished object. */
  #pieces: Uint8Array[] = []
  #bytes = 0
  #depth = 0
  #state: 'outside texts' | 'in a text' | 'after a backslash' = 'outside texts'

  constructor(max = maxMessageBytes) {
    this.#max = max
  }

  /** @returns the texts of the objects that end in these bytes @throws ProtocolError */
  push(bytes: Uint8Array): string[] {
    const texts: string[] = []
    // Each byte is looked at, so in variables of the loop.
    let state = this.#state
    let depth = this.#depth
    let start = 0
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes[i] ?? 0
      if (state === 'in a text') {
        if (byte === quote) state = 'outside texts'
        else if (byte === backslash) state = 'after a backslash'
      } else if (state === 'after a backslash') state = 'in a text'
      else if (byte === open) {
        if (depth++ === 0) start = i
      } else if (depth === 0) {
        if (!isSpace(byte)) throw new ProtocolError(`byte 0x${byte.toString(16)} stands between JSON objects`)
      } else if (byte === quote) state = 'in a text'
      else if (byte === close && --depth === 0) {
        this.#keep(bytes.subarray(start, i + 1))
        texts.push(Buffer.concat(this.#pieces).toString())
        this.#pieces = []
        this.#bytes = 0
      }
    }
    this.#state = state
    this.#depth = depth
    if (depth > 0) this.#keep(bytes.subarray(start))
    return texts
  }

  #keep(piece: Uint8Array): void {
    this.#bytes += piece.length
    if (this.#bytes > this.#max) throw new ProtocolError(`a message has more than ${this.#max} bytes`)
    this.#pieces.push(piece)
  }
}

const isSpace = (byte: number): boolean => byte === 0x20 || (byte >= 0x09 && byte <= 0x0d)
