import type { Calls } from '../../kernel/uring/calls.ts'

const O_NONBLOCK = 0o4000
const O_CLOEXEC = 0o2000000
/** linux/fcntl.h */
const F_SETPIPE_SZ = 1031
const F_GETPIPE_SZ = 1032
/** More is not faster, and those without privilege have 64 MiB of all their pipes (pipe-user-pages-soft). */
const wantedBytes = 256 * 1024
/** Empty ones that are kept for the next relay. */
const kept = 64

/** Pipes for splice(2), kept while they are empty. */
export class Pipes {
  /** What the smallest of them holds. */
  bytes = wantedBytes
  readonly #calls: Calls
  /** Reading and writing end of pipe n at 2n and 2n + 1. */
  readonly #ends: number[] = []
  readonly #empty: number[] = []
  readonly #vacant: number[] = []
  readonly #made = new Int32Array(2)

  constructor(calls: Calls) {
    this.#calls = calls
  }

  /** @returns a pipe, or a negated errno */
  take(): number {
    const empty = this.#empty.pop()
    if (empty !== undefined) return empty
    const result = this.#calls.pipe(this.#made, O_NONBLOCK | O_CLOEXEC)
    if (result < 0) return result
    const [reading = -1, writing = -1] = this.#made
    this.#calls.fcntl(writing, F_SETPIPE_SZ, wantedBytes)
    this.bytes = Math.min(this.bytes, this.#calls.fcntl(writing, F_GETPIPE_SZ, 0))
    const pipe = this.#vacant.pop() ?? this.#ends.length / 2
    this.#ends[pipe * 2] = reading
    this.#ends[pipe * 2 + 1] = writing
    return pipe
  }

  readingEnd(pipe: number): number {
    return this.#ends[pipe * 2] as number
  }

  writingEnd(pipe: number): number {
    return this.#ends[pipe * 2 + 1] as number
  }

  give(pipe: number, isEmpty: boolean): void {
    if (isEmpty && this.#empty.length < kept) this.#empty.push(pipe)
    else this.#close(pipe)
  }

  end(): void {
    for (const pipe of this.#empty.splice(0)) this.#close(pipe)
  }

  #close(pipe: number): void {
    this.#calls.close(this.readingEnd(pipe))
    this.#calls.close(this.writingEnd(pipe))
    this.#vacant.push(pipe)
  }
}
