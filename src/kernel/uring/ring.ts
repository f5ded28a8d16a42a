import { getSystemErrorMessage } from 'node:util'
import { SystemCallError } from '../ffi.ts'
import { loadCalls, mapFlag, type Calls, type Memory } from './calls.ts'
import { entryWords } from './submission.ts'

/** linux/io_uring.h */
const IORING_SETUP_CQSIZE = 1 << 3
const IORING_SETUP_CLAMP = 1 << 4
const IORING_SETUP_SUBMIT_ALL = 1 << 7
const IORING_SETUP_SINGLE_ISSUER = 1 << 12
const IORING_SETUP_DEFER_TASKRUN = 1 << 13
const IORING_OFF_SQES = 0x10000000
const IORING_ENTER_GETEVENTS = 1 << 0
const IORING_ENTER_EXT_ARG = 1 << 3
const IORING_REGISTER_EVENTFD = 4
const IORING_CQ_EVENTFD_DISABLED = 1 << 0

/** Words of struct io_uring_params and, within it, of the offsets of both queues. */
const parameter = {
  words: 30,
  submissionEntries: 0,
  completionEntries: 1,
  flags: 2,
  submission: 10,
  completion: 20,
}
const submissionOffset = { head: 0, tail: 1, mask: 2, array: 6 }
const completionOffset = { head: 0, tail: 1, mask: 2, entries: 5, flags: 6 }
const completionBytes = 16

/** Completions that may lie in the queue, beside one submission; the kernel keeps what is more and hands it over later. */
const completionsPerEntry = 4

/** Milliseconds. */
const longestWait = 2 ** 31 - 1

const EINTR = 4
const EAGAIN = 11
const ENOMEM = 12
const EBUSY = 16
const ETIME = 62
/** The kernel could not take or wait now; what was not taken is submitted by the next call. */
const passing = new Set([EINTR, EAGAIN, ENOMEM, EBUSY, ETIME])

/** What is told of completions. */
export interface Completions {
  /** @param low the user data of the submission, @param result below 0 a negated errno, @param flags IORING_CQE_F_* */
  completed(low: number, high: number, result: number, flags: number): void
}

/** IORING_CQE_F_* */
export const completionFlag = { more: 1 << 1, socketNonEmpty: 1 << 2 } as const

/**
 * An io_uring of one thread. Its completions appear only within `submit` (IORING_SETUP_DEFER_TASKRUN), so that nothing
 * changes the queues behind the engine's back and plain reads and writes of them are in order.
 */
export class Ring {
  readonly descriptor: number
  /** Where submissions are written. */
  readonly words: Int32Array
  readonly #calls: Calls
  readonly #queues: Int32Array
  readonly #head: number
  readonly #tail: number
  readonly #mask: number
  readonly #completionHead: number
  readonly #completionTail: number
  readonly #completionMask: number
  readonly #completions: number
  readonly #completionFlags: number
  /** struct io_uring_getevents_arg, and behind it the struct __kernel_timespec that it points to. */
  readonly #argument: Memory
  readonly #time: Int32Array
  #next = 0

  private constructor(calls: Calls, descriptor: number, parameters: Uint32Array) {
    const at = (index: number): number => parameters[index] ?? 0
    const submission = (index: number): number => at(parameter.submission + index)
    const completion = (index: number): number => at(parameter.completion + index)
    const submissions = at(parameter.submissionEntries)
    // IORING_FEAT_SINGLE_MMAP (5.4): both queues lie in one mapping.
    const bytes = Math.max(
      submission(submissionOffset.array) + submissions * 4,
      completion(completionOffset.entries) + at(parameter.completionEntries) * completionBytes,
    )
    const flags = mapFlag.shared | mapFlag.populate
    this.descriptor = descriptor
    this.#calls = calls
    this.#queues = new Int32Array(calls.map(bytes, flags, descriptor, 0).buffer, 0, bytes >> 2)
    this.words = new Int32Array(
      calls.map(submissions * entryWords * 4, flags, descriptor, IORING_OFF_SQES).buffer,
    )
    this.#head = submission(submissionOffset.head) >> 2
    this.#tail = submission(submissionOffset.tail) >> 2
    this.#mask = submissions - 1
    this.#completionHead = completion(completionOffset.head) >> 2
    this.#completionTail = completion(completionOffset.tail) >> 2
    this.#completionMask = at(parameter.completionEntries) - 1
    this.#completions = completion(completionOffset.entries) >> 2
    this.#completionFlags = completion(completionOffset.flags) >> 2
    const array = submission(submissionOffset.array) >> 2
    for (let entry = 0; entry < submissions; entry += 1) this.#queues[array + entry] = entry

    this.#argument = calls.map(4096, mapFlag.private | mapFlag.anonymous, -1, 0)
    // sigmask, sigmask_sz and min_wait_usec, ts
    new BigInt64Array(this.#argument.buffer)[2] = BigInt(this.#argument.address + 24)
    this.#time = new Int32Array(this.#argument.buffer, 24, 4)
  }

  /**
   * To be called by the thread that will use it.
   *
   * @param entries submissions that wait for the next `submit`, a power of two; more are submitted at once
   * @throws SystemCallError where the kernel lacks it or forbids it: `ringMissing` has the words for it
   */
  static async open(entries: number): Promise<Ring> {
    const calls = await loadCalls()
    const parameters = new Uint32Array(parameter.words)
    parameters[parameter.completionEntries] = entries * completionsPerEntry
    parameters[parameter.flags] =
      IORING_SETUP_SINGLE_ISSUER |
      IORING_SETUP_DEFER_TASKRUN |
      IORING_SETUP_SUBMIT_ALL |
      IORING_SETUP_CQSIZE |
      IORING_SETUP_CLAMP
    const descriptor = calls.setup(entries, parameters)
    if (descriptor < 0) throw failure('io_uring_setup', -descriptor)
    try {
      return new Ring(calls, descriptor, parameters)
    } catch (error) {
      calls.close(descriptor)
      throw error
    }
  }

  /** A place for a submission with this user data. @returns its first word in `words` */
  claim(low: number, high: number): number {
    const queues = this.#queues
    while (((this.#next - (queues[this.#head] as number)) | 0) > this.#mask) this.#enter(0, 0)
    const at = (this.#next & this.#mask) * entryWords
    this.words[at + 8] = low
    this.words[at + 9] = high
    this.#next = (this.#next + 1) | 0
    return at
  }

  /**
   * Submits what was claimed and lets complete what can.
   *
   * @param wait milliseconds, with fractions, to wait where nothing has completed; 0: not at all
   */
  submit(wait: number): void {
    this.#enter(wait, IORING_ENTER_GETEVENTS)
  }

  /** Tells of what completed until now. Callable from within `completed`. @returns whether there was anything */
  dispatch(completions: Completions): boolean {
    const queues = this.#queues
    const tail = queues[this.#completionTail] as number
    for (let any = false; ; any = true) {
      const head = queues[this.#completionHead] as number
      if (((tail - head) | 0) <= 0) return any
      const at = this.#completions + (head & this.#completionMask) * 4
      const low = queues[at] as number
      const high = queues[at + 1] as number
      const result = queues[at + 2] as number
      const flags = queues[at + 3] as number
      queues[this.#completionHead] = (head + 1) | 0
      completions.completed(low, high, result, flags)
    }
  }

  /** Completions that come outside of `submit` are told to an eventfd(2), while `isTold`. */
  tell(eventfd: number): void {
    const result = this.#calls.register(
      this.descriptor,
      IORING_REGISTER_EVENTFD,
      new Int32Array([eventfd]),
      1,
    )
    if (result < 0) throw failure('io_uring_register', -result)
  }

  set isTold(isTold: boolean) {
    this.#queues[this.#completionFlags] = isTold ? 0 : IORING_CQ_EVENTFD_DISABLED
  }

  /** Ends it and what is under way, whose memory the kernel may still use for a moment. */
  close(): void {
    this.#calls.close(this.descriptor)
  }

  #enter(wait: number, flags: number): void {
    const queues = this.#queues
    queues[this.#tail] = this.#next
    const submit = (this.#next - (queues[this.#head] as number)) | 0
    if (wait > 0) this.#setTime(wait)
    const result = this.#calls.enter(
      this.descriptor,
      submit,
      wait > 0 ? 1 : 0,
      flags | IORING_ENTER_EXT_ARG,
      this.#argument.address,
    )
    if (result < 0 && !passing.has(-result)) throw failure('io_uring_enter', -result)
  }

  #setTime(wait: number): void {
    const microseconds = Math.ceil(Math.min(wait, longestWait) * 1000)
    const seconds = Math.floor(microseconds / 1_000_000)
    // Two numbers of 64 bits, of which the upper halves stay 0.
    this.#time[0] = seconds
    this.#time[2] = (microseconds - seconds * 1_000_000) * 1000
  }
}

const failure = (call: string, errno: number): SystemCallError =>
  new SystemCallError(call, errno, getSystemErrorMessage(-errno))
