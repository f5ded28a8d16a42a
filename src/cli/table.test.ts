import fc from 'fast-check'
import { expect, it } from 'vitest'
import { printable, table } from './table.ts'

it('aligns its columns', () => {
  const columns = [{ title: 'NAME' }, { title: 'N', align: 'right' }, { title: 'WHY' }] as const
  const rows = [
    ['a', '1', 'x'],
    ['longer', '1000', ''],
  ]
  expect(table(columns, rows, false)).toEqual(['NAME       N  WHY', 'a          1  x', 'longer  1000'])
})

it('keeps columns as far apart as it is told', () => {
  const columns = [{ title: 'NAME' }, { title: 'N', align: 'right', gap: 1 }, { title: 'M', gap: 3 }] as const
  expect(table(columns, [['a', '10', 'x']], false)).toEqual(['NAME  N   M', 'a    10   x'])
})

it('colours without moving anything', () => {
  const columns = [{ title: 'A' }, { title: 'B' }] as const
  const lines = table(columns, [[{ text: 'up', style: 'green' }, 'b']], true)
  expect(lines).toEqual(['\u001b[2mA\u001b[0m   \u001b[2mB\u001b[0m', '\u001b[32mup\u001b[0m  b'])
})

it('lets no text of others steer the terminal', () => {
  expect(printable('a\u001b[2Jb\nc\u202ed')).toBe('a·[2Jb·c·d')
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      // oxlint-disable-next-line no-control-regex -- control characters are what it is about
      expect(printable(text)).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/)
    }),
  )
})
