import { describe, expect, it } from 'vitest'
import { transaction, violations, type Rows } from '../shows/acknowledged.ts'
import { storeKills } from './storeKills.ts'

describe('the check for lost commits', () => {
  /** The rows after transactions 1 to `last` of one lane. */
  const after = (last: number): { head: Rows; log: Rows } => {
    const rows = Array.from({ length: last }, (_, i) => transaction(0, i + 1)).flat()
    const of = (bucket: string): Rows => {
      const kept = new Map<string, string>()
      for (const row of rows.filter((row) => row.bucket === bucket)) {
        if (row.value === null) kept.delete(row.key)
        else kept.set(row.key, row.value)
      }
      return [...kept]
    }
    return { head: of('head'), log: of('log') }
  }
  const { head, log } = after(30)

  it.each([
    ['all there', head, log, 30, null],
    ['the one under way there as well', head, log, 29, null],
    ['nothing yet', [], [], 0, null],
    ['an acknowledged one lost', head, log, 31, 'acknowledged 31, found 30'],
    ['all lost', [], [], 30, 'acknowledged 30, found 0'],
    ['one from nowhere', head, log, 28, 'found 30'],
    [
      'half a transaction',
      [
        ['0.a', '30'],
        ['0.b', '29'],
      ],
      log,
      29,
      'half of a transaction',
    ],
    ['a row lost', head, log.slice(1), 30, 'row 11 is missing'],
    ['a row changed', head, log.map(([key, value]) => [key, `${value}!`] as const), 30, 'other than written'],
    ['a delete lost', head, [...log, ['0/10', 'x']], 30, 'row 0/10 should not be there'],
  ] as const)('%s', (_, head, log, acknowledged, expected) => {
    const found = violations(head, log, new Map([[0, acknowledged]]))
    if (expected === null) expect(found).toEqual([])
    else expect(found.join('\n')).toContain(expected)
  })
})

describe('acknowledged commits', () => {
  it('survive kill -9', async () => {
    const count = 12
    const report = await storeKills(count)
    expect(report).toMatchObject({ crashes: count, wrong: [] })
    expect(report.acknowledged).toBeGreaterThan(count)
  }, 600_000)
})
