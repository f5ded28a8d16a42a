import { describe, expect, it } from 'vitest'
import { networkOf } from './affinity.ts'

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
