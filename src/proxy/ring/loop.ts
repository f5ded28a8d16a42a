import { openWatch, type Watch } from '../../kernel/uring/watch.ts'
import { RingStream, type RingStreamOptions } from './stream.ts'

/** Milliseconds that the ring is waited for, while traffic comes, before the eventfd does it. */
const shortWait = 0.1
/** Milliseconds after which the event loop has its turn. */
const longestBurst = 0.5

/**
 * A ring in a thread that also lives for other things: while traffic comes it is turned in bursts, between which the event
 * loop has its turn; at rest an eventfd wakes it. It ends with `RingStream.end`.
 */
export async function openRingLoop(
  options: Omit<RingStreamOptions, 'wake' | 'asked' | 'ended'>,
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

  async watch(stream: RingStream): Promise<void> {
    this.#watch = await openWatch(() => this.begin())
    this.#stream = stream
    stream.tell(this.#watch.descriptor)
    this.begin()
  }

  /** There is something to do. */
  begin(): void {
    const stream = this.#stream
    if (this.#isRunning || stream === null) return
    this.#isRunning = true
    clearTimeout(this.#timer)
    stream.isTold = false
    setImmediate(this.#burst, stream)
  }

  end(): void {
    this.#stream = null
    clearTimeout(this.#timer)
    this.#watch?.close()
  }

  readonly #burst = (stream: RingStream): void => {
    const end = performance.now() + longestBurst
    let isBusy = true
    while (isBusy && performance.now() < end) isBusy = stream.turn(shortWait)
    if (isBusy) setImmediate(this.#burst, stream)
    else this.#rest(stream)
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
