import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { rr } from './rr.ts'
import { become, plain, sequence, tableOf, weights } from './sample.ts'

describe('rr', () => {
  it.each([
    ['takes each in turn, whatever its weight', weights(1, 5, 2), 'ABCABCA'],
    ['skips weight 0', weights(1, 0, 1), 'ACACACA'],
    ['skips the overloaded', tableOf([{ overloaded: true }, {}, {}]), 'BCBCBCB'],
    ['stays with the only one', weights(0, 3), 'BBBBBBB'],
    ['finds nobody where all are drained', weights(0, 0), '-------'],
    ['finds nobody in an empty list', weights(), '-------'],
  ])('%s', (_, table, expected) => {
    expect(sequence(rr(table, plain), table, 7)).toBe(expected)
  })

  const rows = (names: string) => Array.from(names, (name) => ({ name }))
  it.each([
    ['an addition at the end', 'ABC', 'ABCD', 'CDABCD'],
    ['an addition at the head', 'ABC', 'DABC', 'CDABCD'],
    ['the removal of another', 'ABC', 'BC', 'CBCBCB'],
    ['the removal of the last one used', 'ABC', 'AC', 'CACACA'],
    ['the removal of all up to the last one used', 'ABC', 'C', 'CCCCCC'],
    ['another order', 'ABC', 'CBA', 'ACBACB'],
  ])('goes on after B at %s', (_, before, after, expected) => {
    const table = tableOf(rows(before))
    const scheduler = rr(table, plain)
    expect(sequence(scheduler, table, 2)).toBe('AB')
    become(table, rows(after))
    scheduler.changed(table, 'set')
    expect(sequence(scheduler, table, 6)).toBe(expected)
  })

  it('is not moved by weights', () => {
    const table = weights(1, 1, 1)
    const scheduler = rr(table, plain)
    expect(sequence(scheduler, table, 1)).toBe('A')
    table.weight[0] = 7
    scheduler.changed(table, 'weight')
    scheduler.changed(table, 'health')
    expect(sequence(scheduler, table, 2)).toBe('BC')
  })

  it('gives everybody usable the same over a round', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 20 }),
        fc.nat(30),
        (values, start) => {
          const table = weights(...values)
          const live = values.filter((weight) => weight > 0).length
          const scheduler = rr(table, plain)
          sequence(scheduler, table, start)
          const round = sequence(scheduler, table, live)
          expect(new Set(round).size).toBe(live)
        },
      ),
    )
  })
})
