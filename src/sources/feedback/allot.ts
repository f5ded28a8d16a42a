/** What an instance asks for, and the least and the most that it may get. */
export interface Wish {
  readonly desired: number
  readonly least: number
  readonly most: number
}

/**
 * Shares out `total` in proportion to what is desired as far as the bounds let: each gets `desired` times one common
 * factor, cut to its bounds. Needs positive wishes and sum of `least` <= total <= sum of `most`.
 */
export function allot(wishes: readonly Wish[], total: number): number[] {
  const at = (factor: number): number[] =>
    wishes.map(({ desired, least, most }) => Math.min(most, Math.max(least, factor * desired)))
  // The sum grows with the factor: bisection, down to neighbouring numbers.
  let low = 0
  let high = Math.max(...wishes.map(({ desired, most }) => most / desired))
  for (;;) {
    const middle = (low + high) / 2
    if (middle <= low || middle >= high) return at(low)
    if (sum(at(middle)) <= total) low = middle
    else high = middle
  }
}

/**
 * Whole numbers in proportion to shares, with sum `units`: each is less than one from its exact part (largest remainder),
 * except that a share above 0 gets at least 1, taken from the largest. Needs at most `units` shares above 0, one at least.
 */
export function inWholeUnits(shares: readonly number[], units: number): number[] {
  const total = sum(shares)
  const exact = shares.map((share) => (share / total) * units)
  const whole = exact.map((part, n) => ((shares[n] ?? 0) > 0 ? Math.max(1, Math.floor(part)) : 0))
  const byRemainder = exact
    .map((part, n) => ({ n, remainder: part - (whole[n] ?? 0) }))
    .filter(({ n }) => (shares[n] ?? 0) > 0)
    .sort((a, b) => b.remainder - a.remainder || a.n - b.n)
  const left = units - sum(whole)
  for (const { n } of byRemainder.slice(0, Math.max(0, left))) whole[n] = (whole[n] ?? 0) + 1
  for (let over = -left; over > 0; over--) {
    const largest = whole.indexOf(Math.max(...whole))
    whole[largest] = (whole[largest] ?? 0) - 1
  }
  return whole
}

export const sum = (numbers: readonly number[]): number =>
  numbers.reduce((total, number) => total + number, 0)
