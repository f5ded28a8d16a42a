import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fo } from './fo.ts'
import { ovf } from './ovf.ts'
import { anyRows, pickOf, plain, sequence, tableOf } from './sample.ts'

describe('fo and ovf', () => {
  it.each([
    ['fo: the highest weight', fo, [{ weight: 1 }, { weight: 3 }, { weight: 2 }], 'BBB'],
    ['fo: the first of equals', fo, [{ weight: 3 }, { weight: 3 }], 'AAA'],
    [
      'fo: the next where it is overloaded',
      fo,
      [{ weight: 1 }, { weight: 3, overloaded: true }, { weight: 2 }],
      'CCC',
    ],
    ['fo: connections do not count', fo, [{ weight: 1 }, { weight: 3, active: 1000 }], 'BBB'],
    ['fo: nobody', fo, [{ weight: 0 }, { overloaded: true }], '---'],
    ['ovf: the highest weight', ovf, [{ weight: 1 }, { weight: 3 }], 'BBB'],
    ['ovf: as many as its weight are not too many', ovf, [{ weight: 1 }, { weight: 3, active: 3 }], 'BBB'],
    ['ovf: one more overflows', ovf, [{ weight: 1 }, { weight: 3, active: 4 }], 'AAA'],
    [
      'ovf: nobody where all are full',
      ovf,
      [
        { weight: 1, active: 2 },
        { weight: 3, active: 4 },
      ],
      '---',
    ],
    ['ovf: drained', ovf, [{ weight: 0 }], '---'],
  ] as const)('%s', (_, make, rows, expected) => {
    const table = tableOf(rows)
    expect(sequence(make(table, plain), table, 3)).toBe(expected)
  })

  it.each([
    ['fo', fo, () => true],
    ['ovf', ovf, (row: { active: number; weight: number }) => row.active <= row.weight],
  ] as const)('%s takes the first of the heaviest that qualify', (_, make, qualifies) => {
    fc.assert(
      fc.property(anyRows, (rows) => {
        const able = rows.map((row) =>
          row.weight > 0 && !row.overloaded && qualifies(row) ? row.weight : -1,
        )
        const best = Math.max(-1, ...able)
        const table = tableOf(rows)
        expect(make(table, plain).pick(table, pickOf())).toBe(best < 0 ? -1 : able.indexOf(best))
      }),
    )
  })
})
