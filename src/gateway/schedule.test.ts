import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { boundedWeights, maxEntries, schedule } from './schedule.ts'

const letters = (weights: readonly number[], count: number): string => {
  const period = schedule(weights)
  return Array.from({ length: count }, (_, i) => 'ABCDEFGH'[period[i % period.length] ?? 0]).join('')
}

/** The step of contract §2.3 as it is written there. */
function reference(weights: readonly number[], count: number): number[] {
  const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b))
  const step = weights.includes(0) ? 1 : weights.reduce(gcd, 0)
  const max = Math.max(...weights)
  const picks: number[] = []
  let index = -1
  let current = 0
  while (picks.length < count) {
    index = (index + 1) % weights.length
    if (index === 0) {
      current -= step
      if (current <= 0) current = max
    }
    if ((weights[index] ?? 0) >= current) picks.push(index)
  }
  return picks
}

describe('the order', () => {
  it.each([
    [[4, 3, 2], 'AABABCABCAABABCABC'],
    [[1, 1], 'ABAB'],
    [[2, 4], 'BABBAB'],
    [[5, 1, 1], 'AAAAABCAAAAABC'],
    [[0, 3], 'BBBB'],
    [[0, 0], 'ABAB'],
    [[3, 1], 'AAABAAAB'],
    [[5, 1, 0], 'AAAAABAAAAAB'],
    [[3], 'AAA'],
    [[0], 'AAA'],
    // Fractions are proportions.
    [[0.75, 0.25], 'AAABAAAB'],
    [[1.5, 0.5, 0], 'AAABAAAB'],
    [[0.1, 0.2], 'BABBAB'],
  ])('of weights %j is %s', (weights, order) => {
    expect(letters(weights, order.length)).toBe(order)
  })

  it('of no instance is empty', () => {
    expect(schedule([])).toHaveLength(0)
  })

  it('is that of the steps of the contract', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(40), { minLength: 1, maxLength: 8 }), (weights) => {
        const period = schedule(weights)
        const twice = [...period, ...period]
        expect(twice).toEqual(reference(weights, twice.length))
      }),
    )
  })

  it('of huge weights is bounded, and gives every weight above 0 its turn', () => {
    const weight = fc.oneof(fc.nat(1e9), fc.double({ min: 0, max: 1e9, noNaN: true }))
    fc.assert(
      fc.property(fc.array(weight, { minLength: 1, maxLength: 12 }), (weights) => {
        const period = schedule(weights)
        expect(period.length).toBeLessThanOrEqual(maxEntries)
        const chosen = new Set(period)
        if (weights.some((weight) => weight > 0))
          expect([...chosen].sort((a, b) => a - b)).toEqual(weights.flatMap((w, i) => (w > 0 ? [i] : [])))
      }),
    )
  })

  it.each([
    [
      [1e9, 1e9],
      [1, 1],
    ],
    [
      [3e8, 1e8, 0],
      [3, 1, 0],
    ],
    [
      [1e9, 1],
      [65_533, 1],
    ],
  ])('takes %j as %j', (weights, bounded) => {
    expect(boundedWeights(weights)).toEqual(bounded)
  })
})
