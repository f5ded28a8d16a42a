import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { carrierOf, protocolNames } from '../model/names.ts'
import { endpointKey, parseEndpointKey } from './endpoint.ts'

it('an endpoint is read from its key as it was written', () => {
  const byAddress = fc.record({
    protocol: fc.constantFrom(...protocolNames.map(carrierOf)),
    address: fc.oneof(fc.ipV4(), fc.constantFrom('::1', '2001:db8::1', '::')),
    port: fc.oneof(fc.integer({ min: 1, max: 65535 }), fc.constant('any' as const)),
    fwmark: fc.constant(0),
  })
  const byMark = fc.record({
    protocol: fc.constant('tcp' as const),
    address: fc.constant(''),
    port: fc.constant(0),
    fwmark: fc.integer({ min: 1, max: 0xffffffff }),
  })
  fc.assert(
    fc.property(fc.oneof(byAddress, byMark), (endpoint) => {
      expect(parseEndpointKey(endpointKey(endpoint))).toEqual(endpoint)
    }),
  )
  for (const text of ['', 'tcp', 'icmp 10.0.0.1:80', 'tcp 10.0.0.1', 'fwmark x']) {
    expect(parseEndpointKey(text), text).toBeNull()
  }
})

it('an http service meets one of tcp at the same address and port', () => {
  const at = { address: '10.0.0.1', port: 80, fwmark: 0 }
  expect(endpointKey({ protocol: 'http', ...at })).toBe(endpointKey({ protocol: 'tcp', ...at }))
})
