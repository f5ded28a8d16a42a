import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { addressText, canonicalAddress } from '../model/address.ts'
import { proxyHeader } from './proxyProtocol.ts'

const port = fc.integer({ min: 0, max: 65535 })
const v4 = fc.uint8Array({ minLength: 4, maxLength: 4 }).map(addressText)
const v6 = fc.uint8Array({ minLength: 16, maxLength: 16 }).map(addressText)

describe('proxyHeader', () => {
  it.each([
    {
      name: 'IPv4',
      ends: { remoteAddress: '192.0.2.1', remotePort: 56324, localAddress: '198.51.100.7', localPort: 443 },
      hex: '0d0a0d0a000d0a515549540a 21 11 000c c0000201 c6336407 dc04 01bb',
    },
    {
      name: 'IPv6',
      ends: { remoteAddress: '2001:db8::1', remotePort: 1, localAddress: '::1', localPort: 65535 },
      hex: `0d0a0d0a000d0a515549540a 21 21 0024 20010db8000000000000000000000001 ${'0'.repeat(31)}1 0001 ffff`,
    },
  ])('$name', ({ ends, hex }) => {
    expect(proxyHeader(ends).toString('hex')).toBe(hex.replaceAll(' ', ''))
  })

  it('says what it was given, in the length it names', () => {
    for (const [address, size] of [
      [v4, 4],
      [v6, 16],
    ] as const) {
      fc.assert(
        fc.property(address, port, address, port, (remoteAddress, remotePort, localAddress, localPort) => {
          const header = proxyHeader({ remoteAddress, remotePort, localAddress, localPort })
          expect(header.readUInt16BE(14)).toBe(header.length - 16)
          const text = (at: number): string => addressText(header.subarray(at, at + size))
          expect(canonicalAddress(text(16))).toBe(canonicalAddress(remoteAddress))
          expect(canonicalAddress(text(16 + size))).toBe(canonicalAddress(localAddress))
          expect([header.readUInt16BE(16 + 2 * size), header.readUInt16BE(18 + 2 * size)]).toEqual([
            remotePort,
            localPort,
          ])
        }),
      )
    }
  })

  it('refuses two families', () => {
    const ends = { remoteAddress: '::1', remotePort: 1, localAddress: '127.0.0.1', localPort: 2 }
    expect(() => proxyHeader(ends)).toThrow('one family')
  })
})
