import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { chainLimit, forwardedFields, readForwarded } from './forwarded.ts'

const isTrusted = (address: string): boolean => address.startsWith('10.') || address === '2001:db8::1'
const read = (...lines: readonly string[]) => {
  const valueOf = (name: string): string =>
    lines
      .filter((line) => line.toLowerCase().startsWith(`${name}:`))
      .map((line) => line.slice(name.length + 1).trim())
      .join(',')
  const [chain, host, proto] = forwardedFields
  return readForwarded([valueOf(chain), valueOf(host), valueOf(proto)], '10.0.0.1', isTrusted)
}

describe('what a trusted proxy tells', () => {
  it.each([
    ['nothing', [], '10.0.0.1', ''],
    ['one address', ['X-Forwarded-For: 192.0.2.7'], '192.0.2.7', '192.0.2.7'],
    [
      'what a client made up before it',
      ['x-forwarded-for: 9.9.9.9, 192.0.2.7'],
      '192.0.2.7',
      '9.9.9.9, 192.0.2.7',
    ],
    [
      'the same in a line of its own',
      ['X-Forwarded-For: 9.9.9.9', 'Accept: *', 'X-FORWARDED-FOR:192.0.2.7 '],
      '192.0.2.7',
      '9.9.9.9, 192.0.2.7',
    ],
    [
      'trusted proxies behind each other',
      ['X-Forwarded-For: 9.9.9.9,192.0.2.7, 10.9.9.9'],
      '192.0.2.7',
      '9.9.9.9, 192.0.2.7, 10.9.9.9',
    ],
    ['only trusted ones', ['X-Forwarded-For: 10.1.1.1, 10.2.2.2'], '10.1.1.1', '10.1.1.1, 10.2.2.2'],
    ['ports', ['X-Forwarded-For: 192.0.2.7:4711, 2001:db8::1'], '192.0.2.7', '192.0.2.7:4711, 2001:db8::1'],
    ['IPv6 with a port', ['X-Forwarded-For: [2001:db8::7]:4711'], '2001:db8::7', '[2001:db8::7]:4711'],
    ['a mapped address', ['X-Forwarded-For: ::ffff:192.0.2.7'], '192.0.2.7', '::ffff:192.0.2.7'],
    [
      'what is no address',
      ['X-Forwarded-For: 9.9.9.9, unknown, 10.2.2.2'],
      '10.2.2.2',
      '9.9.9.9, unknown, 10.2.2.2',
    ],
    ['another field', ['X-Forwarded-Forty: 9.9.9.9', 'Y: X-Forwarded-For: 9.9.9.9'], '10.0.0.1', ''],
  ])('%s', (_, lines, client, chain) => {
    expect(read(...lines)).toMatchObject({ client, chain })
  })

  it('the last protocol and host are those of the nearest proxy', () => {
    expect(
      read('X-Forwarded-Proto: gopher, https', 'X-Forwarded-Host: a', 'X-Forwarded-Host: b'),
    ).toMatchObject({
      proto: 'https',
      host: 'b',
    })
    expect(read('X-Forwarded-Proto: a b', `X-Forwarded-Host: ${'x'.repeat(513)}`)).toMatchObject({
      proto: null,
      host: null,
    })
  })

  it('of long chains the newest whole addresses are kept, and the client is among them', () => {
    const address = fc.ipV4().filter((text) => !isTrusted(text))
    fc.assert(
      fc.property(fc.array(address, { minLength: 1, maxLength: 100 }), (addresses) => {
        const { chain, client } = read(`X-Forwarded-For: ${addresses.join(',')}`)
        expect(client).toBe(addresses.at(-1))
        expect(chain.length).toBeLessThanOrEqual(chainLimit)
        const kept = chain.split(', ')
        expect(kept).toEqual(addresses.slice(-kept.length))
        expect(kept.length).toBeGreaterThanOrEqual(Math.min(addresses.length, 15))
      }),
    )
  })
})
