import { isIPv6, SocketAddress } from 'node:net'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  addressBytes,
  addressText,
  canonicalAddress,
  endpointText,
  familyOf,
  isLoopback,
  networkOf,
  readNetwork,
} from './address.ts'

describe('addresses', () => {
  it.each([
    ['10.0.0.1', 4],
    ['::1', 6],
    ['2001:db8::1', 6],
    ['::ffff:1.2.3.4', 6],
    // Read as octal by some, as decimal by others: refused.
    ['010.0.0.1', null],
    ['1.2.3', null],
    ['web', null],
    ['', null],
    ['1.2.3.4 ', null],
  ])('family of "%s" is %s', (text, family) => {
    expect(familyOf(text)).toBe(family)
  })

  it.each([
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['::', '::'],
    ['1::', '1::'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
    ['1:0:2:0:3:0:4:0', '1:0:2:0:3:0:4:0'],
    ['1:0:0:2:3:0:0:4', '1::2:3:0:0:4'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
  ])('canonical text of %s is %s', (text, canonical) => {
    expect(canonicalAddress(text)).toBe(canonical)
  })

  it('bytes and text are each other', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 4, maxLength: 4 }), (bytes) => {
        expect(addressBytes(addressText(bytes))).toEqual(bytes)
      }),
    )
    fc.assert(
      fc.property(fc.ipV6(), (text) => {
        const bytes = addressBytes(text)
        const written = addressText(bytes)
        expect(isIPv6(written)).toBe(true)
        expect(addressBytes(written)).toEqual(bytes)
        // Node's own reading of the same address; it shows the IPv4-mapped ones dotted.
        const node = new SocketAddress({ address: text, family: 'ipv6' }).address
        if (!node.includes('.')) expect(written).toBe(node)
      }),
    )
  })

  it('endpoints and loopback', () => {
    expect(endpointText('::1', 80)).toBe('[::1]:80')
    expect(endpointText('1.2.3.4', 'any')).toBe('1.2.3.4:any')
    expect(
      ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1', '128.0.0.1', '::2', 'localhost'].map(isLoopback),
    ).toEqual([true, true, true, true, false, false, false])
  })
})

describe('networkOf', () => {
  it.each([
    ['10.1.2.3', 32, '10.1.2.3'],
    ['10.1.2.3', 24, '10.1.2.0'],
    ['10.1.255.3', 20, '10.1.240.0'],
    ['255.255.255.255', 1, '128.0.0.0'],
    ['2001:db8:1:2:3:4:5:6', 128, '2001:db8:1:2:3:4:5:6'],
    ['2001:db8:1:2:3:4:5:6', 64, '2001:db8:1:2::'],
    ['2001:db8:ffff::1', 36, '2001:db8:f000::'],
  ])('%s/%i is %s', (address, prefix, network) => {
    expect(networkOf(address, prefix)).toBe(network)
  })
})

describe('readNetwork', () => {
  it.each([
    ['10.0.0.0/8', '10.0.0.0', 8, 4],
    ['192.0.2.7', '192.0.2.7', 32, 4],
    ['0.0.0.0/0', '0.0.0.0', 0, 4],
    ['2001:DB8::/32', '2001:db8::', 32, 6],
    ['::ffff:192.0.2.7', '192.0.2.7', 32, 4],
  ] as const)('%s', (text, address, prefix, family) => {
    expect(readNetwork(text)).toEqual({ address, prefix, family })
  })

  it.each([
    '',
    'a',
    '10.0.0.0/33',
    '::/129',
    '10.0.0.0/',
    '10.0.0.0/-1',
    '10/8',
    '1.2.3.4/8/8',
    'fe80::1%lo',
    ' ::1',
  ])('"%s" is none', (text) => {
    expect(readNetwork(text)).toBeNull()
  })
})
