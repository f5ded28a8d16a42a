import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { addressOf, addressText } from './addressText.ts'

describe('addresses as text', () => {
  it.each([
    ['224.0.0.81', 'e0000051'],
    ['ff02::1', 'ff020000000000000000000000000001'],
    ['::', '00000000000000000000000000000000'],
    ['fd00:1:2:3:4:5:6:7', 'fd000001000200030004000500060007'],
    ['fe80::', 'fe800000000000000000000000000000'],
  ])('%s', (text, hex) => {
    expect(Buffer.from(addressOf(text)).toString('hex')).toBe(hex)
    expect(addressText(addressOf(text))).toBe(text)
  })

  it('are read as they were written', () => {
    for (const size of [4, 16]) {
      fc.assert(
        fc.property(fc.uint8Array({ minLength: size, maxLength: size }), (bytes) => {
          expect(addressOf(addressText(bytes))).toEqual(bytes)
        }),
      )
    }
  })

  it.each(['', '1.2.3', 'fe80::1%eth0', '::g', 'example'])('refuses "%s"', (text) => {
    expect(() => addressOf(text)).toThrow(`"${text}" is no IPv4 or IPv6 address`)
  })
})
