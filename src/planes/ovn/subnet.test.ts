import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { addressText } from '../../model/address.ts'
import { contains, covers, hosts, networkText, parseSubnet, type Subnet } from './subnet.ts'

const read = (text: string): Subnet => parseSubnet(text) ?? expect.unreachable(`${text} is a network`)

const subnets = fc.constantFrom(4, 16).chain((size) =>
  fc.record({
    address: fc.uint8Array({ minLength: size, maxLength: size }).map(addressText),
    prefix: fc.integer({ min: 0, max: size * 8 }),
  }),
)

describe('subnet', () => {
  it.each([
    ['10.0.0.1/24', '10.0.0.0/24'],
    ['10.0.0.130/255.255.255.128', '10.0.0.128/25'],
    ['10.0.0.1', '10.0.0.1/32'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['FD00:0::1/64', 'fd00::/64'],
    ['fd00::1', 'fd00::1/128'],
  ])('reads %s', (text, network) => {
    expect(networkText(read(text))).toBe(network)
  })

  it.each([
    '',
    '10.0.0/24',
    '10.0.0.1/33',
    '10.0.0.1/',
    '10.0.0.1/-1',
    '10.0.0.1/255.0.255.0',
    'fd00::/129',
    'fd00::/x',
  ])('refuses "%s"', (text) => {
    expect(parseSubnet(text)).toBe(null)
  })

  it('contains what lies in it, of its own family', () => {
    expect(contains(read('10.0.0.0/25'), '10.0.0.127')).toBe(true)
    expect(contains(read('10.0.0.0/25'), '10.0.0.128')).toBe(false)
    expect(contains(read('::/0'), '10.0.0.1')).toBe(false)
    expect(covers(read('10.0.0.0/8'), read('10.1.0.0/16'))).toBe(true)
    expect(covers(read('10.1.0.0/16'), read('10.0.0.0/8'))).toBe(false)
  })

  it('gives hosts from the end, without network and broadcast', () => {
    expect([...hosts(read('10.0.0.5/29'))]).toEqual([6, 5, 4, 3, 2, 1].map((host) => `10.0.0.${host}`))
    expect([...hosts(read('10.0.0.5/31'))]).toEqual([])
    expect(hosts(read('fd00::1/64')).next().value).toBe('fd00::fffe')
  })

  it('holds for every network: its text is read as itself, and its hosts are in it', () => {
    fc.assert(
      fc.property(subnets, (subnet) => {
        const again = read(networkText(subnet))
        expect(networkText(again)).toBe(networkText(subnet))
        expect(contains(again, subnet.address)).toBe(true)
        expect(covers(again, subnet) && covers(subnet, again)).toBe(true)
        for (const host of hosts(subnet)) {
          expect(contains(subnet, host)).toBe(true)
          break
        }
      }),
    )
  })
})
