import fc from 'fast-check'
import { expect, it } from 'vitest'
import { editDistance, nearest } from './nearest.ts'

it.each([
  ['lisen', 'listen'],
  ['lsiten', 'listen'],
  ['serv', 'serve'],
  ['servers', 'server'],
  ['tpo', 'top'],
  ['elephant', null],
  ['', null],
])('takes "%s" for %s', (text, meant) => {
  expect(nearest(text, ['listen', 'serve', 'server', 'top'])).toBe(meant)
})

it('measures a distance', () => {
  const word = fc.string({ maxLength: 8 })
  fc.assert(
    fc.property(word, word, (a, b) => {
      expect(editDistance(a, b)).toBe(editDistance(b, a))
      expect(editDistance(a, b) === 0).toBe(a === b)
      expect(editDistance(a, b)).toBeGreaterThanOrEqual(Math.abs(a.length - b.length))
      expect(editDistance(a, b)).toBeLessThanOrEqual(Math.max(a.length, b.length))
    }),
  )
})
