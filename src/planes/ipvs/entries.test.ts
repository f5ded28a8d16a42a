import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { addressText } from '../../model/address.ts'
import {
  carrierOf,
  flagBit,
  forwardingNames,
  protocolNames,
  schedulerNames,
  tunnelTypes,
} from '../../model/names.ts'
import { endpointKey } from '../endpoint.ts'
import type { Destination, VirtualService } from '../plane.ts'
import {
  endpointOfKey,
  fromEntries,
  keyText,
  serviceKey,
  serviceKeys,
  toDestination,
  toService,
} from './entries.ts'
import { destination, virtualService } from './rig.ts'

const bytes = (family: 4 | 6) =>
  fc.uint8Array({ minLength: family === 4 ? 4 : 16, maxLength: family === 4 ? 4 : 16 })
const addressOf = (family: 4 | 6) => bytes(family).map(addressText)
const thresholds = fc
  .tuple(fc.nat(0xffffffff), fc.nat(0xffffffff))
  .map(([a, b]) => ({ upperThreshold: Math.max(a, b), lowerThreshold: Math.min(a, b) }))

const destinationOf = (family: 4 | 6): fc.Arbitrary<Destination> =>
  fc
    .record({
      address: addressOf(family),
      port: fc.nat(65535),
      weight: fc.nat(0x7fffffff),
      maxWeight: fc.nat(0x7fffffff),
      forwarding: fc.constantFrom(...forwardingNames),
      type: fc.constantFrom(...tunnelTypes),
      tunnelPort: fc.nat(65535),
      maxConnections: fc.nat(100),
      thresholds,
      id: fc.uuid(),
    })
    .map(({ thresholds: limits, type, tunnelPort, ...rest }) => ({
      ...rest,
      ...limits,
      tunnel: rest.forwarding === 'tunnel' ? { type, port: tunnelPort } : null,
      check: null,
    }))

const serviceOf = (family: 4 | 6): fc.Arbitrary<VirtualService> =>
  fc
    .record({
      id: fc.uuid(),
      family: fc.constant(family),
      endpoint: fc.oneof(
        fc.record({
          protocol: fc.constantFrom(...protocolNames.map(carrierOf)),
          address: addressOf(family),
          port: fc.oneof(fc.integer({ min: 1, max: 65535 }), fc.constant('any' as const)),
          fwmark: fc.constant(0),
        }),
        fc.integer({ min: 1, max: 0xffffffff }).map((fwmark) => ({
          protocol: 'tcp' as const,
          address: '',
          port: 0,
          fwmark,
        })),
      ),
      scheduler: fc.constantFrom(...schedulerNames),
      flags: fc.subarray(Object.values(flagBit)).map((bits) => bits.reduce((sum, bit) => sum | bit, 0)),
      persistence: fc.option(
        fc.record({
          timeout: fc.integer({ min: 1, max: 2_678_400 }),
          prefix: fc.integer({ min: 1, max: family === 4 ? 32 : 128 }),
        }),
      ),
      destinations: fc.uniqueArray(destinationOf(family), {
        maxLength: 6,
        selector: ({ address, port }) => `${address} ${port}`,
      }),
    })
    .map(({ endpoint, ...rest }) => ({ ...rest, ...endpoint, proxyProtocol: false, attach: null, ovn: null }))

const anyService = fc.oneof(serviceOf(4), serviceOf(6))

/** As the kernel shows it: flag HASHED is its own, and destinations are newest first. */
const asKernel = (spec: VirtualService) => {
  const service = toService(spec)
  return {
    service: { ...service, flags: service.flags | flagBit.hashed },
    destinations: spec.destinations.map(toDestination).toReversed(),
  }
}

describe('entries', () => {
  it('of a service that is known come back as it was applied', () => {
    fc.assert(
      fc.property(anyService, (spec) => {
        const { service, destinations } = asKernel(spec)
        expect(fromEntries(service, destinations, spec)).toEqual(spec)
      }),
    )
  })

  it('of an unknown service come back but for ids, configured weights and the flag that is the kernel’s own', () => {
    fc.assert(
      fc.property(anyService, (spec) => {
        const { service, destinations } = asKernel(spec)
        const seen = fromEntries(service, destinations, null)
        expect(seen.id).toBe(endpointKey(spec))
        expect(seen.destinations.map(({ id }) => id)).toEqual(
          spec.destinations.map(({ address, port }) =>
            endpointKey({ protocol: 'tcp', address, port, fwmark: 0 }).slice(4),
          ),
        )
        expect({ ...seen, id: spec.id }).toEqual({
          ...spec,
          flags: spec.flags & ~flagBit.hashed,
          destinations: spec.destinations.map((known, index) => ({
            ...known,
            id: seen.destinations[index]?.id,
            maxWeight: known.weight,
            maxConnections: 0,
          })),
        })
      }),
    )
  })

  it('name one service by one text, and a mark by one for each family', () => {
    fc.assert(
      fc.property(anyService, anyService, (a, b) => {
        const same =
          a.fwmark === 0 ? endpointKey(a) === endpointKey(b) : a.fwmark === b.fwmark && a.family === b.family
        expect(keyText(serviceKey(a, a.family)) === keyText(serviceKey(b, b.family))).toBe(same)
        expect(endpointOfKey(serviceKey(a, a.family))).toEqual({
          protocol: a.protocol,
          address: a.address,
          port: a.port,
          fwmark: a.fwmark,
        })
        expect(serviceKeys(a).map(keyText)).toContain(keyText(serviceKey(a, a.family)))
      }),
    )
  })

  it('bear the numbers of ip_vs.h', () => {
    const spec = virtualService({
      protocol: 'sctp',
      flags: flagBit.onePacket | flagBit.hashed,
      persistence: { timeout: 300, prefix: 24 },
    })
    expect(toService(spec)).toEqual({
      key: { family: 2, fwmark: 0, protocol: 132, address: Uint8Array.of(10, 9, 0, 1), port: 80 },
      scheduler: 'rr',
      flags: 0x05,
      timeout: 300,
      prefix: 24,
      engine: '',
    })
    const tunnel = destination(1, { forwarding: 'tunnel', tunnel: { type: 'gue', port: 6080 } })
    expect(toDestination(tunnel)).toMatchObject({ forwarding: 2, tunnelType: 1, tunnelPort: 6080 })
    expect(toDestination(destination(1, { forwarding: 'dr' }))).toMatchObject({
      forwarding: 3,
      tunnelType: 0,
    })
  })

  it('whose forwarding an old kernel wrote over (local node) count as what was asked', () => {
    const asked = virtualService({ destinations: [destination(1, { forwarding: 'dr' })] })
    const { service, destinations } = asKernel(asked)
    const local = destinations.map((one) => ({ ...one, forwarding: 1 }))
    expect(fromEntries(service, local, asked)).toEqual(asked)
    expect(fromEntries(service, local, null).destinations[0]?.forwarding).toBe('nat')
  })

  it('of other protocols have no endpoint', () => {
    const key = { family: 2, fwmark: 0, protocol: 1, address: Uint8Array.of(1, 2, 3, 4), port: 5 } as const
    expect(endpointOfKey(key)).toBe(null)
  })
})
