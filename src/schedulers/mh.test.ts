import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { buildMaglev, type Lookup } from './maglev.ts'
import { mh } from './mh.ts'
import { anyAddress, anyRows, pickOf, plain, type Row, tableOf } from './sample.ts'

const rowsOf = (size: number, weight = (_index: number) => 100): Partial<Row>[] =>
  Array.from({ length: size }, (_, index) => ({
    name: `10.1.${index >> 8}.${index & 255}:80`,
    weight: weight(index),
  }))

const counts = (lookup: Lookup, size: number): number[] => {
  const found = Array.from({ length: size }, () => 0)
  for (const index of lookup) found[index]!++
  return found
}

/** Share of the slots that change hands although neither owner came or went. */
const disruption = (before: readonly Partial<Row>[], after: readonly Partial<Row>[]): number => {
  const [old, now] = [buildMaglev(tableOf(before)), buildMaglev(tableOf(after))]
  const stay = new Set(after.map((row) => row.name))
  const known = new Set(before.map((row) => row.name))
  let moved = 0
  for (let slot = 0; slot < old.length; slot++) {
    const from = before[old[slot]!]!.name
    const to = after[now[slot]!]!.name
    if (from !== to && stay.has(from) && known.has(to)) moved++
  }
  return moved / old.length
}

describe('the Maglev table', () => {
  it.each([
    [1, 4093],
    [40, 4093],
    [41, 65537],
    [655, 65537],
    [656, 655373],
  ])('of %i destinations has %i slots', (size, slots) => {
    expect(buildMaglev(tableOf(rowsOf(size))).length).toBe(slots)
  })

  it('is empty where nobody has weight', () => {
    expect(buildMaglev(tableOf([])).length).toBe(0)
    expect(buildMaglev(tableOf([{ maxWeight: 0 }])).length).toBe(0)
  })

  it('gives equal weights shares that differ by one slot at most', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string(), { minLength: 1, maxLength: 40 }), (names) => {
        const shares = counts(buildMaglev(tableOf(names.map((name) => ({ name })))), names.length)
        expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1)
      }),
      { numRuns: 30 },
    )
  })

  it('gives shares by configured weight, at least one slot, and none to a drained one', () => {
    const anyWeights = fc.array(fc.oneof(fc.nat(5), fc.nat(65_535)), { minLength: 1, maxLength: 40 })
    fc.assert(
      fc.property(anyWeights, (values) => {
        const total = values.reduce((sum, weight) => sum + weight, 0)
        if (total === 0) return
        const lookup = buildMaglev(tableOf(rowsOf(values.length, (index) => values[index]!)))
        counts(lookup, values.length).forEach((share, index) => {
          const due = (lookup.length * values[index]!) / total
          if (values[index] === 0) expect(share).toBe(0)
          else expect(share).toBeGreaterThanOrEqual(1)
          // The last round ends amid the list, and light ones begin with a slot in advance.
          expect(Math.abs(share - due)).toBeLessThanOrEqual(values.length + 1 + due / values.length)
        })
      }),
      { numRuns: 50 },
    )
  })

  it('does not depend on list order', () => {
    const rows = rowsOf(12, (index) => 1 + index * 7)
    fc.assert(
      fc.property(fc.shuffledSubarray(rows, { minLength: 12 }), (shuffled) => {
        const [one, other] = [buildMaglev(tableOf(rows)), buildMaglev(tableOf(shuffled))]
        expect(one.every((owner, slot) => rows[owner]!.name === shuffled[other[slot]!]!.name)).toBe(true)
      }),
      { numRuns: 20 },
    )
  })

  it('moves hardly anyone else when one of a hundred leaves or comes', () => {
    const rows = rowsOf(100)
    for (const gone of [0, 37, 99]) {
      const rest = rows.filter((_, index) => index !== gone)
      expect(disruption(rows, rest)).toBeLessThan(0.01)
      expect(disruption(rest, rows)).toBeLessThan(0.01)
    }
  })
})

describe('mh', () => {
  const clients = Array.from({ length: 2000 }, (_, index) => Uint8Array.of(10, 7, index >> 8, index & 255))

  it('sends even consecutive clients evenly', () => {
    const table = tableOf(rowsOf(10))
    const scheduler = mh(table, plain)
    const found = Array.from({ length: 10 }, () => 0)
    for (const source of clients) found[scheduler.pick(table, pickOf({ source }))]!++
    // 200 each; five standard deviations are 67.
    for (const share of found) expect(Math.abs(share - 200)).toBeLessThan(67)
  })

  it.each([
    ['health', false],
    ['fallback', true],
  ])('keeps every other client where one is lost by %s, and spreads its own', (kind, fallback) => {
    const table = tableOf(rowsOf(10))
    const scheduler = mh(table, { fallback, port: false })
    const before = clients.map((source) => scheduler.pick(table, pickOf({ source })))
    if (kind === 'health') table.weight[3] = 0
    else table.overloaded[3] = 1
    scheduler.changed(table, 'health')
    const after = clients.map((source) => scheduler.pick(table, pickOf({ source })))
    after.forEach((index, client) => {
      if (before[client] === 3) expect(index).not.toBe(3)
      else expect(index).toBe(before[client])
    })
    expect(new Set(after.filter((_, client) => before[client] === 3))).toHaveLength(9)
    expect(clients.map((source) => scheduler.pick(table, pickOf({ source })))).toEqual(after)
  })

  it('refuses the clients of an overloaded destination without fallback', () => {
    const table = tableOf(rowsOf(2))
    const scheduler = mh(table, plain)
    const before = clients.map((source) => scheduler.pick(table, pickOf({ source })))
    table.overloaded[0] = 1
    expect(clients.map((source) => scheduler.pick(table, pickOf({ source })))).toEqual(
      before.map((index) => (index === 0 ? -1 : index)),
    )
  })

  it('builds again for a configured weight, not for health', () => {
    const table = tableOf(rowsOf(2))
    const scheduler = mh(table, plain)
    const chosen = () => clients.map((source) => scheduler.pick(table, pickOf({ source })))
    const before = chosen()
    table.maxWeight[0] = 0
    scheduler.changed(table, 'health')
    expect(chosen()).toEqual(before)
    scheduler.changed(table, 'weight')
    expect(new Set(chosen())).toEqual(new Set([1]))
  })

  it('tells the ports of a client apart only where asked', () => {
    const table = tableOf(rowsOf(10))
    const chosen = (port: boolean) => {
      const scheduler = mh(table, { fallback: false, port })
      return new Set(clients.map((_, sourcePort) => scheduler.pick(table, pickOf({ sourcePort })))).size
    }
    expect(chosen(true)).toBe(10)
    expect(chosen(false)).toBe(1)
  })

  it('always finds somebody with fallback, and agrees with itself without', () => {
    fc.assert(
      fc.property(anyRows, anyAddress, (rows, source) => {
        // Down destinations keep their configured weight; nobody has weight in force without one.
        const table = tableOf(rows.map((row) => ({ ...row, maxWeight: Math.max(row.weight, row.maxWeight) })))
        const free = (index: number) => table.weight[index]! > 0 && table.overloaded[index] === 0
        const found = mh(table, { fallback: true, port: false }).pick(table, pickOf({ source }))
        expect(found >= 0).toBe(rows.some((_, index) => free(index)))
        const strict = mh(table, plain).pick(table, pickOf({ source }))
        if (strict >= 0) expect(strict).toBe(found)
      }),
    )
  })
})
