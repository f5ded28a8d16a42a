import { openWatch, type Watch } from '../../kernel/uring/watch.ts'
import { RingStream, type RingStreamOptions } from './stream.ts'

/*
 * Milliseconds. A wake-up by the event loop costs as much as passing on a message, so the ring is waited for itself as long
 * as that is not in vain; the more the rest of the thread has to do, the less.
 */
const shortestWait = 0.05
const longestWait = { alone: 1, shared: 0.1 }
/** After which the event loop has its turn. */
const longestBurst = { alone: 1, shared: 0.5 }
/** Where others had something to do, more of it is to come. */
const sharedFor = 20
/** One wait in vain counts as much as some six that were not. */
const longer = 1.25
const shorter = 0.25

/**
 * A ring in a thread that also lives for other things: while traffic comes it is turned in bursts, between which the event
 * loop has its turn; at rest an eventfd wakes it. It ends with `RingStream.end`.
 */
export async function openRingLoop(
  options: Pick<RingStreamOptions, 'slots' | 'slotBytes'>,
): Promise<RingStream> {
  const loop = new RingLoop()
  const stream = await RingStream.open({
    ...options,
    asked: () => loop.begin(),
    ended: () => loop.end(),
  })
  try {
    await loop.watch(stream)
  } catch (error) {
    stream.end()
    throw error
  }
  return stream
}

class RingLoop {
  #stream: RingStream | null = null
  #watch: Watch | null = null
  #timer: NodeJS.Timeout | undefined
  #isRunning = false
  #wait = shortestWait
  /** What the event loop had done when this last looked. */
  #othersEvents = 0
  #sharedUntil = 0

  async watch(stream: RingStream): Promise<void> {
    this.#watch = await openWatch(() => this.#woken(stream))
    this.#stream = stream
    stream.tell(this.#watch.descriptor)
    this.begin()
  }

  /** There is something to submit. */
  begin(): void {
    const stream = this.#stream
    if (this.#isRunning || stream === null) return
    this.#run(stream)
    setImmediate(this.#burst, stream)
  }

  end(): void {
    this.#stream = null
    clearTimeout(this.#timer)
    this.#watch?.close()
  }

  #woken(stream: RingStream): void {
    if (this.#isRunning || stream.isEnded) return
    this.#run(stream)
    this.#burst(stream)
    // This wake-up, which is counted when it returns.
    this.#othersEvents += 1
  }

  #run(stream: RingStream): void {
    this.#isRunning = true
    if (this.#timer !== undefined) clearTimeout(this.#timer)
    this.#timer = undefined
    stream.isTold = false
  }

  readonly #burst = (stream: RingStream): void => {
    const { events } = performance.nodeTiming.uvMetricsInfo
    const now = performance.now()
    if (events !== this.#othersEvents) this.#sharedUntil = now + sharedFor
    this.#othersEvents = events
    const company = now < this.#sharedUntil ? 'shared' : 'alone'
    const end = now + longestBurst[company]
    do {
      this.#wait = Math.min(this.#wait, longestWait[company])
      if (!stream.turn(this.#wait)) {
        this.#wait = Math.max(this.#wait * shorter, shortestWait)
        return this.#rest(stream)
      }
      this.#wait *= longer
    } while (stream.now() < end)
    setImmediate(this.#burst, stream)
  }

  #rest(stream: RingStream): void {
    if (stream.isEnded) return
    stream.isTold = true
    // What came before it was to be told.
    if (stream.turn(0)) {
      stream.isTold = false
      setImmediate(this.#burst, stream)
      return
    }
    this.#isRunning = false
    const { dueAt } = stream
    if (dueAt !== Infinity)
      this.#timer = setTimeout(() => this.begin(), Math.max(0, dueAt - performance.now())).unref()
  }
}
