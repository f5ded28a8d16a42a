import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { schedulers } from './catalogue.ts'
import { anyAddress, anyRows, become, pickOf, plain, tableOf } from './sample.ts'
import type { SchedulerOptions } from './scheduler.ts'

const anyOptions = fc.record({ fallback: fc.boolean(), port: fc.boolean() })
const anyPick = fc.record({
  source: anyAddress,
  sourcePort: fc.nat(65_535),
  destination: anyAddress,
  now: fc.nat(2 ** 40),
  fraction: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
})
const anyStep = fc.oneof(
  fc.record({ kind: fc.constantFrom('set' as const, 'weight' as const, 'health' as const), rows: anyRows }),
  fc.record({ kind: fc.constant('pick' as const), pick: anyPick }),
)

/** Those that may refuse although somebody is usable. */
const refusing = (name: string, options: SchedulerOptions): boolean =>
  name === 'dh' || name === 'ovf' || ((name === 'sh' || name === 'mh') && !options.fallback)

describe.each(Object.entries(schedulers))('%s', (name, make) => {
  it('never takes a drained or overloaded destination, and finds a usable one, through any changes', () => {
    fc.assert(
      fc.property(anyRows, anyOptions, fc.array(anyStep, { maxLength: 20 }), (first, options, steps) => {
        const rowsOf = (rows: typeof first) =>
          // sh leaves those beyond its 256 slots without any, and mh those without a configured weight.
          rows.map((row) => {
            const weight = name === 'sh' ? row.weight % 20 : row.weight
            return { ...row, weight, maxWeight: Math.max(weight, row.maxWeight) }
          })
        const table = tableOf(rowsOf(first))
        const scheduler = make(table, options)
        let now = 0
        for (const step of steps) {
          if (step.kind !== 'pick') {
            // Only a change of the set may change the length of the list.
            const rows = rowsOf(step.rows)
            if (step.kind === 'set') become(table, rows)
            else
              rows
                .slice(0, table.size)
                .forEach(
                  (row, index) => (table.weight[index] = Math.min(row.weight, table.maxWeight[index]!)),
                )
            scheduler.changed(table, step.kind)
            continue
          }
          now += step.pick.now
          const { fraction, ...where } = step.pick
          const index = scheduler.pick(table, pickOf({ ...where, now, random: () => fraction }))
          const free = (at: number) => table.weight[at]! > 0 && table.overloaded[at] === 0
          expect(Number.isInteger(index) && index >= -1 && index < table.size).toBe(true)
          if (index >= 0) expect(free(index)).toBe(true)
          else if (!refusing(name, options)) {
            expect(Array.from({ length: table.size }, (_, at) => free(at))).not.toContain(true)
          }
        }
      }),
    )
  })

  it('finds nobody in an empty list, and a first destination once it is there', () => {
    const table = tableOf([])
    const scheduler = make(table, plain)
    expect(scheduler.pick(table, pickOf())).toBe(-1)
    become(table, [{ weight: 5 }])
    scheduler.changed(table, 'set')
    expect(scheduler.pick(table, pickOf())).toBe(0)
  })

  it('reads the size, not the length of the arrays', () => {
    const table = { ...tableOf([{ active: 9 }, {}, {}]), size: 1 }
    const scheduler = make(table, plain)
    for (let turn = 0; turn < 3; turn++) {
      const index = scheduler.pick(table, pickOf())
      expect(index).toBe(name === 'ovf' ? -1 : 0)
    }
  })
})
