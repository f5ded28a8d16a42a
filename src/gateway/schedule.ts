/** Entries of a schedule at most; weights that would need more are scaled down. */
export const maxEntries = 65_536
/** Decimal places of a fractional weight that count. */
const maxDecimals = 6

/**
 * Weighted round robin as one precomputed period of positions in the list: classic LVS passes, not smooth. Each pass
 * takes, in list order, those whose weight reaches a level, which falls from the largest weight by the weights' greatest
 * common divisor (by 1 where a weight is 0). Weights 4, 3, 2 give A A B A B C A B C. Weight 0 gets nothing; all zero is
 * plain round robin.
 */
export function schedule(weights: readonly number[]): Uint16Array {
  const whole = boundedWeights(weights)
  const most = Math.max(0, ...whole)
  if (most === 0) return Uint16Array.from(whole, (_, index) => index)
  const step = whole.includes(0) ? 1 : divisorOf(whole)
  const entries = new Uint16Array(sum(whole) / step)
  const levels = [...new Set(whole)].filter((weight) => weight > 0).sort((a, b) => b - a)
  let length = 0
  levels.forEach((level, index) => {
    const members = whole.flatMap((weight, member) => (weight >= level ? [member] : []))
    for (let at = level; at > (levels[index + 1] ?? 0); at -= step) {
      entries.set(members, length)
      length += members.length
    }
  })
  return entries
}

/** Whole weights in (nearly) the same proportions whose schedule has at most `maxEntries`; no weight above 0 becomes 0. */
export function boundedWeights(weights: readonly number[]): number[] {
  const whole = wholeWeights(weights)
  if (sum(whole) <= maxEntries) return whole
  const reduced = divided(whole)
  if (sum(reduced) <= maxEntries) return reduced
  const room = maxEntries - reduced.length
  const total = sum(reduced)
  return divided(
    reduced.map((weight) => (weight === 0 ? 0 : Math.max(1, Math.floor((weight / total) * room)))),
  )
}

/** Fractions become whole by the smallest power of ten that does it. */
function wholeWeights(weights: readonly number[]): number[] {
  if (weights.every(Number.isInteger)) return [...weights]
  for (let decimals = 1; decimals < maxDecimals; decimals++) {
    const scaled = weights.map((weight) => weight * 10 ** decimals)
    if (scaled.every((weight) => weight === 0 || Math.abs(weight / Math.round(weight) - 1) < 1e-9))
      return divided(scaled.map(Math.round))
  }
  return divided(
    weights.map((weight) => (weight === 0 ? 0 : Math.max(1, Math.round(weight * 10 ** maxDecimals)))),
  )
}

function divided(weights: readonly number[]): number[] {
  const divisor = divisorOf(weights)
  return divisor === 0 ? [...weights] : weights.map((weight) => weight / divisor)
}

const sum = (weights: readonly number[]): number => weights.reduce((total, weight) => total + weight, 0)
const divisorOf = (weights: readonly number[]): number => weights.reduce(greatestCommonDivisor, 0)

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b)
}
