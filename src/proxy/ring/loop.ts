import { openWatch, type Watch } from '../../kernel/uring/watch.ts'
import { RingStream, type RingStreamOptions } from './stream.ts'

/** Milliseconds that are waited in the ring for more to come, by which a timer of the event loop may be late. */
const longestWait = 10
/** Milliseconds after which the event loop has its turn. */
const longestBurst = 5

/** Rings of this thread that have something to do: only where it is one, it is waited for. The others wait in the event loop. */
let running = 0

/**
 * A ring beside an event loop in one thread. While traffic comes the thread waits in the ring, in bursts between which the
 * event loop has its turn; what happens in the event loop ends the wait. At rest it is the other way round: the thread waits in
 * the event loop, and an eventfd tells it of the ring. It ends with `RingStream.end`.
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
    setImmediate(this.#yielded, stream)
  }

  end(): void {
    this.#stream = null
    this.#stop()
    clearTimeout(this.#timer)
    this.#watch?.close()
  }

  #woken(stream: RingStream): void {
    if (this.#isRunning || stream.isEnded) return
    this.#run(stream)
    this.#yielded(stream)
  }

  #run(stream: RingStream): void {
    this.#isRunning = true
    running += 1
    if (this.#timer !== undefined) clearTimeout(this.#timer)
    this.#timer = undefined
    stream.isTold = false
  }

  #stop(): void {
    if (!this.#isRunning) return
    this.#isRunning = false
    running -= 1
  }

  /** The event loop had something to do, and may have more of it behind this (setImmediate). */
  readonly #yielded = (stream: RingStream): void => {
    stream.turn(0)
    setImmediate(this.#burst, stream)
  }

  readonly #burst = (stream: RingStream): void => {
    const watch = this.#watch
    if (stream.isEnded || watch === null) return
    const end = performance.now() + longestBurst
    stream.endWaitBy(watch.eventLoop)
    do {
      const isAny = stream.turn(running > 1 ? 0 : longestWait)
      if (stream.takeWake()) return void setImmediate(this.#yielded, stream)
      if (!isAny) return this.#rest(stream)
    } while (stream.now() < end)
    setImmediate(this.#burst, stream)
  }

  #rest(stream: RingStream): void {
    if (stream.isEnded) return
    stream.endWaitByNothing()
    stream.turn(0)
    // The event loop has its turn now.
    stream.takeWake()
    stream.isTold = true
    // What came before it was to be told.
    if (stream.turn(0)) {
      stream.isTold = false
      setImmediate(this.#burst, stream)
      return
    }
    this.#stop()
    const { dueAt } = stream
    if (dueAt !== Infinity)
      this.#timer = setTimeout(() => this.begin(), Math.max(0, dueAt - performance.now())).unref()
  }
}
