import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { lc } from './lc.ts'
import { moreLoaded } from './load.ts'
import { nq } from './nq.ts'
import { anyRows, pickOf, plain, type Row, sequence, tableOf } from './sample.ts'
import type { MakeScheduler } from './scheduler.ts'
import { sed } from './sed.ts'
import { wlc } from './wlc.ts'

/** Fills the table by its own picks: each takes one active connection more. */
const filling = (make: MakeScheduler, rows: readonly Partial<Row>[], length: number): string => {
  const table = tableOf(rows)
  const scheduler = make(table, plain)
  return Array.from({ length }, () => {
    const index = scheduler.pick(table, pickOf())
    table.active[index]!++
    return table.name[index]
  }).join('')
}

describe('lc, wlc, sed, nq', () => {
  const rows = [{ weight: 4 }, { weight: 2 }, { weight: 1 }]
  it.each([
    ['lc', lc, 'ABCABCABC'],
    // (0 0 0) (1/4 0 0) (1/4 1/2 0) (1/4 1/2 1) (2/4 1/2 1) (3/4 1/2 1) (3/4 1 1) (4/4 1 1) (5/4 1 1)
    ['wlc', wlc, 'ABCAABAAB'],
    // (1/4 1/2 1) (2/4 1/2 1) (3/4 1/2 1) (3/4 1 1) (4/4 1 1) (5/4 1 1) (5/4 3/2 1) (5/4 3/2 2) (6/4 3/2 2)
    ['sed', sed, 'AABAABCAA'],
    // Idle ones first, then as sed: (2/4 1 2) (3/4 1 2) (4/4 1 2) (5/4 1 2) (5/4 3/2 2) (6/4 3/2 2)
    ['nq', nq, 'ABCAAABAA'],
  ] as const)('%s fills 4, 2, 1', (_, make, expected) => {
    expect(filling(make, rows, expected.length)).toBe(expected)
  })

  it.each([
    ['lc: an active connection weighs 256 inactive', lc, [{ inactive: 256 }, { active: 1 }], 'A'],
    ['lc: 257 inactive weigh more than an active', lc, [{ inactive: 257 }, { active: 1 }], 'B'],
    [
      'lc: weight only says whether',
      lc,
      [
        { weight: 100, active: 2 },
        { weight: 1, active: 1 },
      ],
      'B',
    ],
    ['lc: drained', lc, [{ weight: 0 }, { active: 9 }], 'B'],
    ['wlc: per weight', wlc, [{ weight: 2, active: 3 }, { active: 2 }], 'A'],
    ['wlc: inactive count', wlc, [{ weight: 3, active: 3, inactive: 1 }, { active: 1 }], 'B'],
    ['wlc: drained', wlc, [{ weight: 0 }, { active: 9 }], 'B'],
    ['sed: inactive do not count', sed, [{ inactive: 999 }, {}], 'A'],
    ['sed: the heavy before the idle', sed, [{ weight: 1 }, { weight: 9, active: 1 }], 'B'],
    ['nq: the idle before the heavy', nq, [{ weight: 9, active: 1 }, { weight: 1 }], 'B'],
    ['nq: the first of the idle', nq, [{ active: 1 }, { weight: 1 }, { weight: 9 }], 'B'],
    ['nq: an idle one that is overloaded does not count', nq, [{ overloaded: true }, { active: 5 }], 'B'],
    ['nq: nobody', nq, [{ weight: 0 }, { overloaded: true }], '-'],
    ['sed: nobody', sed, [{ weight: 0 }, { overloaded: true }], '-'],
    ['wlc: nobody', wlc, [{ weight: 0 }, { overloaded: true }], '-'],
    ['lc: nobody', lc, [{ weight: 0 }, { overloaded: true }], '-'],
  ] as const)('%s', (_, make, rows, expected) => {
    const table = tableOf(rows)
    expect(sequence(make(table, plain), table, 1)).toBe(expected)
  })

  type Fraction = readonly [bigint, bigint]
  const smaller = ([a, b]: Fraction, [c, d]: Fraction) => a * d < c * b
  const overheadOf = (row: Row) => BigInt(row.active) * 256n + BigInt(row.inactive)
  const free = (row: Row) => row.weight > 0 && !row.overloaded
  const delay = (row: Row): Fraction => [BigInt(row.active) + 1n, BigInt(row.weight)]
  /** The first of the least by a formula in exact fractions. */
  const firstLeast = (rows: readonly Row[], cost: (row: Row) => Fraction, wanted = free): number =>
    rows.reduce(
      (least, row, index) =>
        wanted(row) && (least < 0 || smaller(cost(row), cost(rows[least]!))) ? index : least,
      -1,
    )
  const idle = (row: Row) => free(row) && row.active === 0

  it.each([
    ['lc', lc, (rows: readonly Row[]) => firstLeast(rows, (row) => [overheadOf(row), 1n])],
    ['wlc', wlc, (rows: readonly Row[]) => firstLeast(rows, (row) => [overheadOf(row), BigInt(row.weight)])],
    ['sed', sed, (rows: readonly Row[]) => firstLeast(rows, delay)],
    ['nq', nq, (rows: readonly Row[]) => (rows.some(idle) ? rows.findIndex(idle) : firstLeast(rows, delay))],
  ] as const)('%s equals its formula', (_, make, reference) => {
    fc.assert(
      fc.property(anyRows, (rows) => {
        const table = tableOf(rows)
        expect(make(table, plain).pick(table, pickOf())).toBe(reference(rows))
      }),
    )
  })
})

describe('moreLoaded', () => {
  it.each([
    // 2^39 x (2^31 - 1) against one less: both products are the same double.
    ['the smallest difference beyond doubles', 2 ** 39, 0x7fffffff, 2 ** 39 - 1, 0x7fffffff, true],
    ['products one apart near 2^60', 2 ** 30, 2 ** 30 - 1, 2 ** 30 + 1, 2 ** 30, true],
    ['equal fractions', 2 ** 39, 2 ** 30, 2 ** 38, 2 ** 29, false],
  ])('%s', (_, a, b, c, d, expected) => {
    expect(moreLoaded(a, b, c, d)).toBe(expected)
    expect(moreLoaded(c, d, a, b)).toBe(false)
  })

  it('is exact where products pass 2^53, above all where they are close', () => {
    const load = fc.maxSafeNat().map((value) => value % 2 ** 40)
    const weight = fc.integer({ min: 1, max: 0x7fffffff })
    const close = fc
      .tuple(weight, weight, fc.integer({ min: 1, max: 300 }), fc.integer({ min: -2, max: 2 }))
      .map(([b, d, factor, off]) => [b * factor, b, d * factor + off, d] as const)
    fc.assert(
      fc.property(fc.oneof(fc.tuple(load, weight, load, weight), close), ([a, b, c, d]) => {
        expect(moreLoaded(a, b, c, d)).toBe(BigInt(a) * BigInt(d) > BigInt(c) * BigInt(b))
      }),
      { numRuns: 2000 },
    )
  })
})
