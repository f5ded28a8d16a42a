/** Bytes of a buffer for connections that send little at a time, and for those in bulk. */
const small = 4 * 1024
const large = 64 * 1024
const keptOfEach = 256

/**
 * The buffers that backends' bytes are read into, used again: by default node:net allocates 64 KiB for every read, which is
 * half the cost of a bulk transfer.
 *
 * A buffer belongs to one connection, since libuv is given it before the read; its size follows the traffic.
 */
export class ReadBuffers {
  readonly #small: Buffer[] = []
  readonly #large: Buffer[] = []

  first(): Buffer {
    return this.#small.pop() ?? Buffer.allocUnsafeSlow(small)
  }

  /** The buffer for the next read, after one of `bytes` into `buffer`. */
  next(buffer: Buffer, bytes: number): Buffer {
    if (bytes === buffer.length && buffer.length === small) {
      this.giveBack(buffer)
      return this.#large.pop() ?? Buffer.allocUnsafeSlow(large)
    }
    if (bytes < small && buffer.length === large) {
      this.giveBack(buffer)
      return this.first()
    }
    return buffer
  }

  /** In place of one that a write still needs. */
  another(buffer: Buffer): Buffer {
    return (
      (buffer.length === large ? this.#large : this.#small).pop() ?? Buffer.allocUnsafeSlow(buffer.length)
    )
  }

  giveBack(buffer: Buffer): void {
    const kept = buffer.length === large ? this.#large : this.#small
    if (kept.length < keptOfEach) kept.push(buffer)
  }
}
