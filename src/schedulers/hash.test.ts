import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fnvBasis, foldAddress, hash32, hashText, mix32 } from './hash.ts'
import { ipv4 } from './sample.ts'

describe('hash', () => {
  it('folds addresses in network order, IPv6 by XOR of its words', () => {
    expect(foldAddress(ipv4('10.0.0.1'))).toBe(0x0a000001)
    expect(foldAddress(ipv4('192.168.1.7')) >>> 0).toBe(0xc0a80107)
    expect(foldAddress(new Uint8Array(16).fill(0xff))).toBe(0)
    const documentation = Uint8Array.of(0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)
    expect(foldAddress(documentation)).toBe(0x20010db9)
  })

  it('hash32 is the upper bits of the product with 0x61c88647', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 31 }), (value, bits) => {
        const product = BigInt.asUintN(32, BigInt(value) * 0x61c88647n)
        expect(hash32(value, bits)).toBe(Number(product >> BigInt(32 - bits)))
      }),
    )
  })

  // Vectors: fmix32 computed apart; FNV-1a of '' and 'foobar' from RFC 9923 (0x811c9dc5, 0xbf9cf968).
  it('mix32 and hashText give known values', () => {
    expect(mix32(0)).toBe(0)
    expect(mix32(1)).toBe(0x514e28b7)
    expect(mix32(-1)).toBe(0x81f16f39)
    expect(hashText('', fnvBasis)).toBe(mix32(0x811c9dc5))
    expect(hashText('foobar', fnvBasis)).toBe(mix32(0xbf9cf968))
  })
})
