/** The candidate that most likely was meant, or null where none is close: at most a third of its letters differ. */
export function nearest(text: string, candidates: Iterable<string>): string | null {
  let best: string | null = null
  let least = Infinity
  for (const candidate of candidates) {
    const distance = editDistance(text, candidate)
    const limit = Math.max(1, Math.floor(Math.max(text.length, candidate.length) / 3))
    if (distance <= limit && distance < least) {
      best = candidate
      least = distance
    }
  }
  return best
}

/** Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment). */
export function editDistance(a: string, b: string): number {
  let older: number[] = []
  let old = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let cost = Math.min((old[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (old[j - 1] ?? 0) + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, (older[j - 2] ?? 0) + 1)
      }
      row[j] = cost
    }
    older = old
    old = row
  }
  return old[b.length] ?? 0
}
