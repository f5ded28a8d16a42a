import { setImmediate } from 'node:timers/promises'
import type { RingStream } from './stream.ts'

/** Milliseconds that the event loop of a Worker is kept waiting at most, and by which its termination may be late. */
const longestWait = 1000

/**
 * The loop of a Worker that lives for a ring: turns it until it ends, waiting in the kernel. After each wake-up, and once in a
 * while, the Worker's event loop has its turn, so that messages posted before `Wake.wake()` reach `parentPort`'s listeners.
 */
export async function runRing(stream: RingStream): Promise<void> {
  // From here on the loop runs in the event loop's check phase: between two of them it always polls for messages.
  await setImmediate()
  let yielded = stream.now()
  while (!stream.isEnded) {
    stream.turn(longestWait)
    if (!stream.takeWake() && stream.now() < yielded + longestWait) continue
    await setImmediate()
    yielded = stream.now()
  }
}
