const firstMs = 100

/** No two tries are further apart. */
export const longestMs = 5000

/** How long to wait before round `round` (0, 1, …) over the addresses: doubled each time, the upper half of it by chance. */
export function backoffMs(round: number, random: number): number {
  return Math.min(longestMs, firstMs * 2 ** round) * (0.5 + random / 2)
}
