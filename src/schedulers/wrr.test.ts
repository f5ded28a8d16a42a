import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { anyWeight, become, pickOf, plain, sequence, tableOf, weights } from './sample.ts'
import type { Table } from './scheduler.ts'
import { wrr } from './wrr.ts'

const divisorOf = (values: readonly number[]): number => {
  const positive = values.filter((value) => value > 0)
  for (let divisor = Math.min(...positive); divisor > 1; divisor--) {
    if (positive.every((value) => value % divisor === 0)) return divisor
  }
  return 1
}

/** The passes one by one, as contract and kernel tell them: no skipping ahead. */
class SlowWrr {
  #at = -1
  #threshold: number
  readonly #step: number
  readonly #highest: number

  constructor(table: Table) {
    const values = [...table.weight]
    this.#step = divisorOf(values)
    this.#highest = Math.max(0, ...values) - (this.#step - 1)
    this.#threshold = this.#highest
  }

  pick(table: Table): number {
    const free = (index: number) => table.weight[index]! > 0 && table.overloaded[index] === 0
    if (!Array.from({ length: table.size }, (_, index) => free(index)).includes(true)) return -1
    for (;;) {
      if (++this.#at === table.size) {
        this.#at = 0
        this.#threshold -= this.#step
        if (this.#threshold <= 0) this.#threshold = this.#highest
      }
      if (free(this.#at) && table.weight[this.#at]! >= this.#threshold) return this.#at
    }
  }
}

describe('wrr', () => {
  it.each([
    ['4, 3, 2', weights(4, 3, 2), 'AABABCABCAABABCABC'],
    ['400, 300, 200', weights(400, 300, 200), 'AABABCABCAABABCABC'],
    ['equal weights', weights(100, 100, 100), 'ABCABCABCABCABCABC'],
    ['1, 3', weights(1, 3), 'BBABBBABBBABBBABBB'],
    ['a drained one', weights(2, 0, 1), 'AACAACAACAACAACAAC'],
    ['2, 4, 6', weights(2, 4, 6), 'CBCABCCBCABCCBCABC'],
    [
      'the heaviest overloaded',
      tableOf([{ weight: 9, overloaded: true }, { weight: 2 }, {}]),
      'BBCBBCBBCBBCBBCBBC',
    ],
    ['nobody', weights(0, 0), '------------------'],
    ['an empty list', weights(), '------------------'],
  ])('%s', (_, table, expected) => {
    expect(sequence(wrr(table, plain), table, 18)).toBe(expected)
  })

  it.each([
    // After A, A B, A B the passes at 4 and 3 are over: the threshold stays at 2, the list begins anew.
    ['same weights', 5, [4, 3, 2], 'ABCABCAAB'],
    ['a lower maximum takes the threshold down with it', 1, [2, 1, 1], 'AABCAABCA'],
    ['a step of 2 puts the threshold on its grid, from 2 to 3', 5, [8, 4, 2], 'ABABCAAAB'],
    ['all drained', 3, [0, 0, 0], '---------'],
  ])('restarts at the head: %s', (_, before, after, expected) => {
    const table = weights(4, 3, 2)
    const scheduler = wrr(table, plain)
    sequence(scheduler, table, before)
    table.weight.set(after)
    scheduler.changed(table, 'weight')
    expect(sequence(scheduler, table, 9)).toBe(expected)
  })

  it('begins with the first destination of an empty list', () => {
    const table = weights()
    const scheduler = wrr(table, plain)
    expect(sequence(scheduler, table, 1)).toBe('-')
    become(table, [{ weight: 2 }, { weight: 1 }])
    scheduler.changed(table, 'set')
    expect(sequence(scheduler, table, 6)).toBe('AABAAB')
  })

  it('counts per period are the weights, from any point of the sequence and after any change', () => {
    const few = fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(few, few, fc.integer({ min: 1, max: 30 }), fc.nat(100), (before, after, factor, start) => {
        const table = weights(...before)
        const scheduler = wrr(table, plain)
        sequence(scheduler, table, start)
        become(
          table,
          after.map((weight) => ({ weight: weight * factor })),
        )
        scheduler.changed(table, 'set')
        sequence(scheduler, table, start)
        const step = divisorOf(after)
        const counts = after.map(() => 0)
        const period = after.reduce((sum, weight) => sum + weight, 0) / step
        for (let turn = 0; turn < period; turn++) counts[scheduler.pick(table, pickOf())]!++
        expect(counts).toEqual(after.map((weight) => weight / step))
      }),
    )
  })

  it('equals the passes taken one by one, while overloads come and go', () => {
    const entry = fc.record({ weight: fc.oneof(fc.integer({ min: 0, max: 30 }), fc.constant(500)) })
    fc.assert(
      fc.property(
        fc.array(entry, { minLength: 1, maxLength: 6 }),
        fc.array(fc.uint8Array({ minLength: 6, maxLength: 6, max: 1 }), { maxLength: 30 }),
        (rows, overloads) => {
          const table = tableOf(rows)
          const scheduler = wrr(table, plain)
          const slow = new SlowWrr(table)
          for (const overload of overloads) {
            table.overloaded.set(overload.subarray(0, table.size))
            expect(scheduler.pick(table, pickOf())).toBe(slow.pick(table))
          }
        },
      ),
    )
  })

  it('does not walk through passes that take nobody', () => {
    fc.assert(
      fc.property(anyWeight, (weight) => {
        const table = tableOf([{ weight: 0x7fffffff, overloaded: true }, { weight }, { weight: 1 }])
        expect(sequence(wrr(table, plain), table, 1)).toBe(weight > 0 ? 'B' : 'C')
      }),
    )
  })
})
