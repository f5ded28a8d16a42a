/** What would be said every millisecond is said so often. */
const everyMs = 10_000

/**
 * Keeps complaints of one kind from filling a log.
 *
 * @returns asked before each: how many were not said since the last one, or null where this one is not to be said either
 */
export function complaints(now: () => number): () => number | null {
  let quietUntil = -Infinity
  let unsaid = 0
  return () => {
    const at = now()
    if (at < quietUntil) {
      unsaid++
      return null
    }
    const before = unsaid
    quietUntil = at + everyMs
    unsaid = 0
    return before
  }
}
