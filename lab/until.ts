import { setTimeout as sleep } from 'node:timers/promises'

const longestPauseMs = 20

/**
 * Waits until it holds, asked after 1 ms, then more and more seldom.
 * @param what is waited for, for the error
 * @returns the milliseconds that took
 * @throws Error that names what did not come within the limit
 */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what = 'what is waited for',
  limitMs = 25_000,
): Promise<number> {
  const begin = performance.now()
  for (let pauseMs = 1; !(await holds()); pauseMs = Math.min(pauseMs * 1.2, longestPauseMs)) {
    if (performance.now() - begin > limitMs) throw new Error(`${what} did not come within ${limitMs} ms`)
    await sleep(pauseMs)
  }
  return performance.now() - begin
}
