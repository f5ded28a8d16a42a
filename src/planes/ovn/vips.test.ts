import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { addressBytes, addressText } from '../../model/address.ts'
import { addressProblem, parseBackends, parseVip, vipText } from './vips.ts'

const address = fc.oneof(
  fc.ipV4(),
  fc
    .uint8Array({ minLength: 16, maxLength: 16 })
    .filter((bytes) => bytes[10] !== 0xff)
    .map(addressText),
)

describe('texts of vips', () => {
  it.each([
    ['10.0.0.1:80', { address: '10.0.0.1', port: 80 }],
    ['10.0.0.1', { address: '10.0.0.1', port: 0 }],
    ['[2001:db8::1]:80', { address: '2001:db8::1', port: 80 }],
    ['2001:db8::1', { address: '2001:db8::1', port: 0 }],
    ['2001:db8::1:80', { address: '2001:db8::1:80', port: 0 }],
    ['[2001:DB8:0::1]', { address: '2001:db8::1', port: 0 }],
    ['10.0.0.1:70000', null],
    ['10.0.0.1:', null],
    ['10.0.0.256:80', null],
    ['fe80::1%eth0', null],
    ['^vip:80', null],
    ['', null],
  ])('%s', (text, expected) => expect(parseVip(text)).toEqual(expected))

  it('is read back as it was written', () => {
    fc.assert(
      fc.property(address, fc.integer({ min: 0, max: 65_535 }), (host, port) => {
        expect(parseVip(vipText({ address: host, port }))).toEqual({
          address: addressText(addressBytes(host)),
          port,
        })
      }),
    )
  })

  it('reads a list, and skips what is empty or wrong', () => {
    expect(parseBackends('10.0.0.1:80,,10.0.0.1:80, [::1:2]:3 ,nonsense')).toEqual([
      { address: '10.0.0.1', port: 80 },
      { address: '10.0.0.1', port: 80 },
      { address: '::1:2', port: 3 },
    ])
  })

  it.each([
    ['10.0.0.1', 4, null],
    ['2001:db8::1', 6, null],
    ['2001:db8::1', 4, 'is not an IPv4 address'],
    ['0.0.0.0', 4, 'stands for no address'],
    ['::', 6, 'stands for no address'],
    ['127.0.0.1', 4, 'loopback'],
    ['::1', 6, 'loopback'],
    ['224.0.0.1', 4, 'no address of one host'],
    ['255.255.255.255', 4, 'no address of one host'],
    ['ff02::1', 6, 'no address of one host'],
    ['fe80::1', 6, 'link-local'],
    ['fe80::1%eth0', 6, 'is not an IP address'],
    ['10.0.0.01', 4, 'is not an IP address'],
  ] as const)('%s as IPv%i', (text, family, problem) => {
    if (problem === null) expect(addressProblem(text, family)).toBeNull()
    else expect(addressProblem(text, family)).toContain(problem)
  })
})
