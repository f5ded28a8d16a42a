import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { allot, inWholeUnits, sum } from './allot.ts'

describe('allot', () => {
  it.each([
    { desired: [1, 3], bounds: [0, 1], shares: [0.25, 0.75] },
    { desired: [1, 3], bounds: [0, 0.6], shares: [0.4, 0.6] },
    { desired: [1, 1, 8], bounds: [0.2, 0.6], shares: [0.2, 0.2, 0.6] },
    { desired: [5], bounds: [0, 1], shares: [1] },
  ])('shares out in proportion to $desired within $bounds', ({ desired, bounds, shares }) => {
    const [least = 0, most = 0] = bounds
    const given = allot(
      desired.map((desired) => ({ desired, least, most })),
      1,
    )
    for (const [n, share] of given.entries()) expect(share).toBeCloseTo(shares[n] ?? NaN, 12)
  })

  it('keeps the sum and the bounds, and the order of what is desired where bounds are the same', () => {
    const share = fc.double({ min: 1e-6, max: 1e6, noNaN: true })
    const wish = fc.record({ desired: share, now: share, down: fc.double({ min: 0, max: 1, noNaN: true }) })
    fc.assert(
      fc.property(fc.array(wish, { minLength: 1, maxLength: 50 }), (given) => {
        const total = sum(given.map(({ now }) => now))
        const wishes = given.map(({ desired, now, down }) => ({
          desired,
          least: now * down,
          most: now * 1.1,
        }))
        const shares = allot(wishes, total)
        expect(Math.abs(sum(shares) / total - 1)).toBeLessThan(1e-9)
        for (const [n, { least, most }] of wishes.entries()) {
          expect(shares[n]).toBeGreaterThanOrEqual(least)
          expect(shares[n]).toBeLessThanOrEqual(most)
        }
      }),
    )
  })
})

describe('inWholeUnits', () => {
  it.each([
    { shares: [1, 1, 1], units: [34, 33, 33] },
    { shares: [3, 1], units: [75, 25] },
    { shares: [0, 1], units: [0, 100] },
    { shares: [1e-9, 1, 1e-9], units: [1, 98, 1] },
    { shares: [0.5, 99.5], units: [1, 99] },
  ])('makes $units of $shares', ({ shares, units }) => {
    expect(inWholeUnits(shares, 100)).toEqual(units)
  })

  it('keeps the sum; nobody is left without, nobody without a share is given one', () => {
    const share = fc.oneof(fc.constant(0), fc.double({ min: 1e-9, max: 1e9, noNaN: true }))
    const some = fc.array(share, { minLength: 1, maxLength: 60 }).filter((shares) => sum(shares) > 0)
    fc.assert(
      fc.property(some, (shares) => {
        const units = inWholeUnits(shares, 480)
        expect(sum(units)).toBe(480)
        for (const [n, share] of shares.entries()) {
          expect(Number.isInteger(units[n])).toBe(true)
          expect((units[n] ?? 0) > 0).toBe(share > 0)
        }
      }),
    )
  })
})
