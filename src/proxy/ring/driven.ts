import type { RingStream } from './stream.ts'

/** Turns a ring within the event loop of its thread, without waiting: for tests, whose peers live on the same thread. */
export function driven(stream: RingStream): RingStream {
  const turn = (): void => {
    stream.turn(0)
    if (!stream.isEnded) setImmediate(turn)
  }
  setImmediate(turn)
  return stream
}
