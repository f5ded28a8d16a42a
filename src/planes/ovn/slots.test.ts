import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { layOut, type Layout, type Spread, type Weighted } from './slots.ts'

const named = (...weights: readonly number[]): Weighted[] => weights.map((weight, n) => [`b${n}`, weight])
const counts = ({ list }: Pick<Layout, 'list'>): Record<string, number> => {
  const found: Record<string, number> = {}
  for (const entry of list) found[entry] = (found[entry] ?? 0) + 1
  return found
}

/** Open vSwitch 3.1's hash values, dealt to the entries as group_setup_dp_hash_table does. @returns shares in per cent */
function dealt(list: readonly string[]): Record<string, number> {
  const values = Math.max(16, 2 ** Math.ceil(Math.log2(list.length)))
  const hits = list.map((_, n) => Math.floor(values / list.length) + (n < values % list.length ? 1 : 0))
  const shares: Record<string, number> = {}
  list.forEach((entry, n) => (shares[entry] = (shares[entry] ?? 0) + ((hits[n] ?? 0) / values) * 100))
  return shares
}

const weightList = fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 1, maxLength: 16 })
const spreads: readonly Spread[] = ['each', 'proportion', 'table']

describe('a list of backends by weights', () => {
  it.each<[string, Spread, readonly number[], Record<string, number>]>([
    ['3:1', 'proportion', [3, 1], { b0: 3, b1: 1 }],
    ['300:100', 'proportion', [300, 100], { b0: 3, b1: 1 }],
    ['equal ones once', 'proportion', [100, 100, 100], { b0: 1, b1: 1, b2: 1 }],
    ['weight 0 left out', 'proportion', [0, 3, 1], { b1: 3, b2: 1 }],
    ['all at 0', 'proportion', [0, 0], {}],
    ['one alone', 'proportion', [7], { b0: 1 }],
    ['one alone in a table', 'table', [0, 7], { b1: 1 }],
    ['each once', 'each', [3, 1, 0], { b0: 1, b1: 1 }],
    ['100:40:1', 'proportion', [100, 40, 1], { b0: 42, b1: 17, b2: 1 }],
    ['a table of equals', 'table', [1, 1, 1], { b0: 22, b1: 21, b2: 21 }],
  ])('%s', (_, spread, weights, expected) => {
    expect(counts(layOut(spread, named(...weights), 64, []))).toEqual(expected)
  })

  it('states the error of shares as they come out', () => {
    expect(layOut('proportion', named(3, 1), 64, []).error).toBe(0)
    expect(layOut('proportion', named(100, 40, 1), 64, []).error).toBeCloseTo(0.957, 3)
    expect(layOut('proportion', named(1000, 1), 64, []).error).toBeCloseTo(1.463, 2)
    expect(layOut('proportion', named(1000, 1), 256, []).error).toBeLessThan(1)
    // 6, 5 and 5 of 16 hash values.
    expect(layOut('each', named(1, 1, 1), 64, []).error).toBeCloseTo(37.5 - 100 / 3, 6)
  })

  it('keeps the budget, and gives every positive weight an entry and weight 0 none', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...spreads),
        fc.array(fc.integer({ min: 0, max: 1000 }), { maxLength: 16 }),
        fc.integer({ min: 16, max: 256 }),
        (spread, weights, slots) => {
          const { list } = layOut(spread, named(...weights), slots, [])
          expect(list.length).toBeLessThanOrEqual(slots)
          const listed = weights.flatMap((weight, n) => (weight > 0 ? [`b${n}`] : []))
          expect(Object.keys(counts({ list })).sort()).toEqual(listed.sort())
        },
      ),
    )
  })

  it('has the error that it states, and at most a point where the smallest share allows it', () => {
    fc.assert(
      fc.property(weightList, (weights) => {
        const total = weights.reduce((sum, weight) => sum + weight, 0)
        const layout = layOut('proportion', named(...weights), 256, [])
        const shares = dealt(layout.list)
        const listed = counts(layout)
        const errors = weights.flatMap((weight, n) =>
          [shares[`b${n}`] ?? 0, ((listed[`b${n}`] ?? 0) / layout.list.length) * 100].map((share) =>
            Math.abs(share - (weight / total) * 100),
          ),
        )
        expect(layout.error).toBeCloseTo(Math.max(...errors), 6)
        if (new Set(weights).size > 1) expect(layout.error).toBeLessThanOrEqual(weights.length > 8 ? 4 : 1)
      }),
    )
  })

  it('is the same again from its own list', () => {
    fc.assert(
      fc.property(fc.constantFrom(...spreads), weightList, (spread, weights) => {
        const { list } = layOut(spread, named(...weights), 64, [])
        expect(layOut(spread, named(...weights), 64, list).list).toEqual(list)
      }),
    )
  })
})

describe('a table', () => {
  const table = (weights: readonly Weighted[], previous: readonly string[]): readonly string[] =>
    layOut('table', weights, 64, previous).list

  it('moves only what was of the backend that goes', () => {
    fc.assert(
      fc.property(
        weightList.filter(({ length }) => length > 2),
        fc.nat(15),
        (weights, pick) => {
          const all = named(...weights)
          const before = table(all, [])
          const gone = `b${pick % weights.length}`
          const after = table(
            all.filter(([entry]) => entry !== gone),
            before,
          )
          before.forEach((entry, position) => {
            if (entry !== gone) expect(after[position]).toBe(entry)
          })
        },
      ),
    )
  })

  it('takes for a newcomer no more than its entries, and gives it those that it had', () => {
    fc.assert(
      fc.property(
        weightList.filter(({ length }) => length > 2),
        (weights) => {
          const all = named(...weights)
          const whole = table(all, [])
          const fewer = table(all.slice(1), whole)
          const again = table(all, fewer)
          const moved = again.filter((entry, position) => entry !== fewer[position])
          expect(moved).toHaveLength(again.filter((entry) => entry === 'b0').length)
          expect(new Set(moved)).toEqual(new Set(['b0']))
        },
      ),
    )
  })

  it('moves between two sets of weights as few entries as the counts differ', () => {
    fc.assert(
      fc.property(
        fc
          .integer({ min: 2, max: 12 })
          .chain((length) =>
            fc.tuple(
              fc.array(fc.integer({ min: 1, max: 100 }), { minLength: length, maxLength: length }),
              fc.array(fc.integer({ min: 1, max: 100 }), { minLength: length, maxLength: length }),
            ),
          ),
        ([one, two]) => {
          const before = table(named(...one), [])
          const after = table(named(...two), before)
          const [had, has] = [counts({ list: before }), counts({ list: after })]
          const gained = Object.keys(has).reduce(
            (sum, key) => sum + Math.max(0, (has[key] ?? 0) - (had[key] ?? 0)),
            0,
          )
          expect(after.filter((entry, position) => entry !== before[position])).toHaveLength(gained)
        },
      ),
    )
  })

  it('of ten equals moves nobody who was not on the one that goes', () => {
    const before = table(named(...Array<number>(10).fill(1)), [])
    // Who the client is makes the scores, positions the candidates: rendezvous hashing.
    const chosen = (list: readonly string[], client: number): string => {
      const scores = list.map(
        (_, position) => (Math.imul(client + 1, 0x9e3779b1) ^ Math.imul(position + 1, 0x85ebca6b)) >>> 0,
      )
      return list[scores.indexOf(Math.max(...scores))] ?? ''
    }
    const after = table(named(0, ...Array<number>(9).fill(1)), before)
    for (let client = 0; client < 500; client++) {
      const was = chosen(before, client)
      if (was !== 'b0') expect(chosen(after, client)).toBe(was)
    }
  })
})
