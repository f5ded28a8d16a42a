import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { anyRows, pickOf, plain, tableOf, weights } from './sample.ts'
import { twos } from './twos.ts'

/** Gives the values one after the other, the last one for ever. */
const draws = (...values: number[]) => {
  let next = 0
  return () => values[Math.min(next++, values.length - 1)]!
}

describe('twos', () => {
  it.each([
    // The line is A A A A B B C: sevenths 0 to 3 are A, 4 and 5 B, 6 C.
    ['both draws the same', [0, 0, 0], [0, 0], 'A'],
    ['equal loads: the first draw', [0, 0, 0], [6 / 7, 0], 'C'],
    ['the less loaded is the second', [9, 0, 0], [0, 4 / 7], 'B'],
    ['the less loaded is the first', [0, 9, 0], [0, 5 / 7], 'A'],
    ['load counts per weight', [4, 1, 2], [0.999, 3 / 7], 'A'],
    ['equal per weight: the first draw', [4, 2, 1], [0.999, 0], 'C'],
  ])('%s', (_, active, random, expected) => {
    const table = tableOf([4, 2, 1].map((weight, index) => ({ weight, active: active[index]! })))
    expect(table.name[twos(table, plain).pick(table, pickOf({ random: draws(...random) }))]).toBe(expected)
  })

  it('draws in proportion to weight, exactly', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 30 }), { minLength: 1, maxLength: 8 }), (values) => {
        const table = weights(...values)
        const total = values.reduce((sum, weight) => sum + weight, 0)
        const counts = values.map(() => 0)
        for (let point = 0; point < total; point++) {
          counts[twos(table, plain).pick(table, pickOf({ random: () => (point + 0.5) / total }))]!++
        }
        expect(counts).toEqual(values)
      }),
    )
  })

  it('never takes the more loaded of its two draws', () => {
    const uniform = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
    fc.assert(
      fc.property(anyRows, uniform, uniform, (rows, one, two) => {
        const table = tableOf(rows)
        const chosen = (...values: number[]) =>
          twos(table, plain).pick(table, pickOf({ random: draws(...values) }))
        const [first, second, taken] = [chosen(one), chosen(two), chosen(one, two)]
        if (taken < 0) return
        const load = (index: number) => BigInt(rows[index]!.active) * 256n + BigInt(rows[index]!.inactive)
        const heavier = (a: number, b: number) =>
          load(a) * BigInt(rows[b]!.weight) > load(b) * BigInt(rows[a]!.weight)
        expect(taken).toBe(heavier(first, second) ? second : first)
      }),
    )
  })
})
