import { describe, expect, it } from 'vitest'
import { isOwnListener, isSamePlace } from './listeners.ts'

const local = () => ['10.0.2.15', '127.0.0.1', '::1', 'fe80::1', '2001:db8::5']

describe('isOwnListener', () => {
  it.each<[string, string, number, boolean]>([
    ['0.0.0.0', '127.0.0.1', 4672, true],
    ['0.0.0.0', '127.44.0.9', 4672, true],
    ['0.0.0.0', '10.0.2.15', 4672, true],
    ['0.0.0.0', '::ffff:10.0.2.15', 4672, true],
    ['0.0.0.0', '10.0.2.16', 4672, false],
    ['0.0.0.0', '127.0.0.1', 80, false],
    ['0.0.0.0', '0.0.0.0', 4672, true],
    ['::', '127.0.0.1', 4672, true],
    ['::', '2001:0db8::5', 4672, true],
    ['::', '::', 4672, true],
    ['::', '2001:db8::6', 4672, false],
    ['127.0.0.1', '127.0.0.1', 4672, true],
    ['127.0.0.1', '127.0.0.2', 4672, false],
    ['127.0.0.1', '0.0.0.0', 4672, true],
    ['127.0.0.1', '10.0.2.15', 4672, false],
    ['10.0.2.15', '10.0.2.15', 4672, true],
    ['::1', '::', 4672, true],
    // A service of any port would carry a client's 4672 there.
    ['0.0.0.0', '127.0.0.1', 0, true],
    ['10.0.2.15', '127.0.0.1', 0, false],
    ['0.0.0.0', 'localhost', 4672, false],
  ])('bound to %s, backend %s port %s: %s', (bound, address, port, expected) => {
    expect(isOwnListener([{ address: bound, port: 4672 }], address, port, local)).toBe(expected)
  })

  it('looks at each listener', () => {
    const listeners = [
      { address: '127.0.0.1', port: 1 },
      { address: '10.0.2.15', port: 2 },
    ]
    expect(isOwnListener(listeners, '10.0.2.15', 2, local)).toBe(true)
    expect(isOwnListener(listeners, '10.0.2.15', 1, local)).toBe(false)
    expect(isOwnListener([], '127.0.0.1', 1, local)).toBe(false)
  })
})

it.each<[string, number, string, number, boolean]>([
  ['127.0.0.1', 80, '127.0.0.1', 80, true],
  ['127.0.0.1', 80, '127.0.0.1', 81, false],
  ['127.0.0.1', 0, '127.0.0.1', 0, false],
  ['127.0.0.1', 80, '127.0.0.2', 80, false],
  ['0.0.0.0', 80, '127.0.0.2', 80, true],
  ['0.0.0.0', 80, '::1', 80, false],
  ['::', 80, '127.0.0.1', 80, true],
  ['::', 80, '0.0.0.0', 80, true],
  ['::1', 80, '0:0::1', 80, true],
])('%s port %i and %s port %i are the same place: %s', (a, portA, b, portB, expected) => {
  const [one, other] = [
    { address: a, port: portA },
    { address: b, port: portB },
  ]
  expect([isSamePlace(one, other), isSamePlace(other, one)]).toEqual([expected, expected])
})
