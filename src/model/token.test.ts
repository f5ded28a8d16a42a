import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { token } from './token.ts'

it('is visible ASCII without the delimiters of RFC 9110', () => {
  const delimiters = '"(),/:;<=>?@[\\]{}'
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0x1ff }), (code) => {
      const character = String.fromCharCode(code)
      const visible = code > 0x20 && code < 0x7f
      expect(token.test(character)).toBe(visible && !delimiters.includes(character))
    }),
    { numRuns: 2000 },
  )
  expect(token.test('')).toBe(false)
})
