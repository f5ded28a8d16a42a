import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { backendBody, backendPatchBody, patchBackend, readBackend } from './backend.ts'
import { parseInterval } from './duration.ts'
import { defaultPulse, pulseBody, readPulse } from './pulse.ts'
import {
  flagBits,
  patchService,
  prefixLength,
  readService,
  serviceBody,
  type ServiceBody,
} from './service.ts'

const refusal = (run: () => unknown): string => {
  try {
    run()
    return 'accepted'
  } catch (error) {
    return (error as Error).message
  }
}

describe("GORB's intervals", () => {
  it.each([
    ['5s', 5000],
    [' 5S ', 5000],
    ['+5s', 5000],
    ['1sec', 1000],
    ['2seconds', 2000],
    ['1m', 60_000],
    ['1min', 60_000],
    ['3minutes', 180_000],
    ['1h', 3_600_000],
    ['2hours', 7_200_000],
    ['99999999999s', (2 ** 31 - 1) * 1000],
  ])('"%s" is %i ms', (text, ms) => {
    expect(parseInterval(text)).toBe(ms)
  })

  it.each(['5', 's', '', '5ms', '1d', '1.5s', '5 s', '1second', '1minute', '1hour', 's5', '5s5'])(
    '"%s" is no interval',
    (text) => {
      expect(refusal(() => parseInterval(text))).toBe('invalid interval format')
    },
  )

  it.each(['0s', '-5s', '-0h', '+0m'])('"%s" is not positive', (text) => {
    expect(refusal(() => parseInterval(text))).toBe('pulse interval must be positive')
  })
})

describe('a service', () => {
  const read = (body: unknown, hasDefaultHost = true) => readService(serviceBody.parse(body), hasDefaultHost)

  it('gets GORB defaults', () => {
    expect(read({ port: 80 })).toEqual({
      host: '',
      port: 80,
      protocol: 'tcp',
      method: 'wrr',
      flags: '',
      persistent: false,
      fallback: 'fb-default',
    })
  })

  it.each<[ServiceBody, string]>([
    [{}, 'endpoint information is missing'],
    [{ port: 0 }, 'endpoint information is missing'],
    [{ port: 0, protocol: 'x', flags: 'x' }, 'endpoint information is missing'],
    [{ port: 1, protocol: 'icmp', flags: 'x' }, 'specified protocol is unknown'],
    [{ port: 1, flags: 'x', fallback: 'x' }, 'specified flag is unknown'],
    [{ port: 1, flags: 'sh-port|' }, 'specified flag is unknown'],
    [{ port: 1, flags: 'toString' }, 'specified flag is unknown'],
    [{ port: 1, fallback: 'x', method: 'x' }, 'specified fallback flag is unknown'],
    [{ port: 1, drain: '5' }, 'invalid interval format'],
    [{ fwmark: 1, port: 1 }, 'fwmark stands instead of host, port and protocol: leave them out'],
  ])('%j is refused: %s', (body, text) => {
    expect(refusal(() => read(body))).toBe(text)
  })

  it('an unknown scheduler is refused with those there are', () => {
    expect(refusal(() => read({ port: 1, method: 'best' }))).toContain(
      '"best" is not a scheduler: choose one of rr, wrr, lc,',
    )
  })

  it('an empty host needs a default', () => {
    expect(refusal(() => read({ port: 1 }, false))).toBe('endpoint information is missing')
    expect(refusal(() => read({ port: 1, host: 'h' }, false))).toBe('accepted')
    expect(refusal(() => read({ fwmark: 5 }, false))).toBe('accepted')
  })

  it.each([
    ['', 0],
    ['sh-fallback|sh-port', 0x18],
    ['flag-1|flag-2|flag-3', 0x38],
    ['mh-fallback|mh-port|one-packet|hashed', 0x1e],
  ])('flags "%s" are %i', (list, bits) => {
    expect(flagBits(list)).toBe(bits)
  })

  it.each([
    [24, 24],
    ['24', 24],
    ['255.255.255.0', 24],
    ['255.255.255.255', 32],
    ['128.0.0.0', 1],
  ])('netmask %s is /%i', (netmask, prefix) => {
    expect(prefixLength(netmask)).toBe(prefix)
  })

  it.each(['255.0.255.0', '0.0.0.0', '255.255.255', '255.255.255.256', 'x', '129', '0'])(
    'netmask %s is refused',
    (netmask) => {
      expect(refusal(() => prefixLength(netmask))).toContain('is not a netmask')
    },
  )

  it('PATCH: given fields replace, absent ones stay', () => {
    const before = read({ host: 'h', port: 80, method: 'rr', flags: 'sh-port', persistence: { timeout: 9 } })
    expect(patchService(before, { method: 'SH' }, true)).toEqual({ ...before, method: 'sh' })
    expect(patchService(before, {}, true)).toEqual(before)
    const marked = read({ fwmark: 7 })
    expect(patchService(marked, { method: 'lc' }, true)).toEqual({ ...marked, method: 'lc' })
  })

  it('what only http has is kept, and refused of another protocol', () => {
    const http = { trusted_proxies: ['10.0.0.0/8', '::1'] }
    const before = read({ host: 'h', port: 80, protocol: 'http', http })
    expect(patchService(before, { method: 'rr' }, true)).toEqual({ ...before, method: 'rr', http })
    expect(refusal(() => read({ host: 'h', port: 80, http }))).toBe(
      'http is only for services of "protocol": "http", and this one has tcp: leave it out',
    )
  })

  it('what was read is read again as the same', () => {
    fc.assert(
      fc.property(
        fc.record(
          {
            host: fc.string(),
            port: fc.integer({ min: 1, max: 65535 }),
            protocol: fc.constantFrom('tcp', 'UDP', 'sctp'),
            method: fc.constantFrom('rr', 'MH', 'twos'),
            flags: fc.constantFrom('', 'sh-port', 'flag-1|hashed'),
            persistent: fc.boolean(),
            fallback: fc.constantFrom('fb-default', 'fb-zero-to-one', 'fb-default|fb-zero-to-one'),
            persistence: fc.record({ timeout: fc.integer({ min: 1, max: 1000 }) }),
            drain: fc.constant('5s'),
          },
          { requiredKeys: ['port'] },
        ),
        (body) => {
          const once = read(body)
          expect(read(once)).toEqual(once)
        },
      ),
    )
  })
})

describe('a backend', () => {
  const read = (body: unknown, anyPort = false) => readBackend(backendBody.parse(body), anyPort)

  it('gets GORB defaults', () => {
    expect(read({ host: '10.0.0.1', port: 80 })).toEqual({
      host: '10.0.0.1',
      port: 80,
      weight: 100,
      method: 'nat',
      pulse: { type: 'tcp', interval: '1m', args: null },
    })
    expect(read({ host: 'h', port: 1, weight: 0, method: 'IPIP' })).toMatchObject({
      weight: 0,
      method: 'tunnel',
    })
    expect(read({ host: 'h' }, true).port).toBe(0)
  })

  it.each([
    [{}, 'endpoint information is missing'],
    [{ host: 'h' }, 'endpoint information is missing'],
    [{ port: 1 }, 'endpoint information is missing'],
    [{ host: 'h', port: 1, method: 'x', pulse: { type: 'x' } }, 'specified forwarding method is unknown'],
    [{ host: 'h', port: 1, pulse: { type: 'x', interval: 'x' } }, 'specified pulse type is unknown'],
    [{ host: 'h', port: 1, pulse: { interval: 'x' } }, 'invalid interval format'],
    [
      { host: 'h', port: 1, pulse: { fast_interval: '0s' } },
      'fast_interval: pulse interval must be positive',
    ],
    [{ host: 'h', port: 1, tunnel: { type: 'gue', port: 1 } }, 'tunnel needs "method": "tunnel"'],
    [{ host: 'h', port: 1, method: 'tunnel', tunnel: { type: 'gue' } }, 'tunnel of type gue needs a port'],
    [
      { host: 'h', port: 1, limits: { upper_threshold: 5, lower_threshold: 5 } },
      'lower_threshold 5 must be below upper_threshold 5',
    ],
  ])('%j is refused: %s', (body, text) => {
    expect(refusal(() => read(body))).toBe(text)
  })

  it.each([-1, 1.5, 2 ** 31, '5', null, true])('weight %j is refused', (weight) => {
    expect(backendBody.safeParse({ host: 'h', port: 1, weight }).success).toBe(false)
  })

  it('PATCH changes weight, pulse and limits alone', () => {
    const before = read({ host: 'h', port: 1, weight: 5 })
    expect(patchBackend(before, { weight: 0 })).toEqual({ ...before, weight: 0 })
    expect(patchBackend(before, {})).toEqual(before)
    expect(patchBackend(before, { host: 'h', port: 1, method: 'NAT' })).toEqual(before)
    expect(patchBackend(before, { pulse: { type: 'none' } }).pulse.type).toBe('none')
    expect(patchBackend(before, { limits: { max_connections: 3 } }).limits).toEqual({ max_connections: 3 })
    expect(refusal(() => patchBackend(before, { host: 'other' }))).toContain(
      'host of a backend cannot be changed (it is h)',
    )
    expect(backendPatchBody.parse({ weight: null })).toEqual({ weight: null })
  })
})

describe('a pulse', () => {
  it.each([
    [
      { expect: 200, port: 8080, timeout: 2 },
      { expect: 200, port: 8080, timeout: 2 },
    ],
    [
      { expect: '204', port: '81' },
      { expect: 204, port: 81 },
    ],
  ])('numbers and digit strings are both taken: %j', (args, read) => {
    expect(pulseBody.parse({ type: 'http', args }).args).toEqual(read)
  })

  it.each([
    { expect: true },
    { expect: 'ok' },
    { expect: 1.5 },
    { port: 0 },
    { port: '70000' },
    { timeout: -1 },
    { path: 'health' },
    { path: '/a b' },
    { method: 'GET /' },
    { scheme: 'ftp' },
    { host: 'a/b' },
    { other: 1 },
  ])('args %j are refused', (args) => {
    expect(pulseBody.safeParse({ type: 'http', args }).success).toBe(false)
  })

  it('the default one is one object', () => {
    expect(readPulse(undefined)).toBe(defaultPulse)
    expect(readPulse({ type: 'TCP' })).toBe(defaultPulse)
    expect(readPulse({ type: 'http', rise: 2 })).toEqual({
      type: 'http',
      interval: '1m',
      args: null,
      rise: 2,
    })
  })
})
