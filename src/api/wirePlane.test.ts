import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { injectedApi } from '../../test/fixtures/api.ts'
import { backendBody, readBackend } from '../model/backend.ts'
import { flagBit, flagNames, forwardingNames, schedulerNames, tunnelTypes } from '../model/names.ts'
import { readService, serviceBody } from '../model/service.ts'
import { endpointKey } from '../planes/endpoint.ts'
import type { Destination, VirtualService } from '../planes/plane.ts'
import { planesShape } from './routes/plane.ts'
import { wireForeign } from './wirePlane.ts'

const web: VirtualService = {
  id: 'tcp 10.0.0.1:80',
  address: '10.0.0.1',
  port: 80,
  protocol: 'tcp',
  fwmark: 0,
  family: 4,
  scheduler: 'mh',
  flags: flagBit.fallback | flagBit.third,
  persistence: { timeout: 300, prefix: 24 },
  proxyProtocol: false,
  attach: null,
  ovn: null,
  destinations: [
    {
      id: '10.0.1.1:0',
      address: '10.0.1.1',
      port: 0,
      weight: 3,
      maxWeight: 3,
      forwarding: 'tunnel',
      tunnel: { type: 'gue', port: 6080 },
      maxConnections: 0,
      upperThreshold: 8,
      lowerThreshold: 0,
      check: null,
    },
  ],
}

it('GET /plane has the entries of others, facts and announcers', async () => {
  const since = Date.UTC(2026, 0, 1)
  const consul = { name: 'consul', url: 'http://127.0.0.1:8500', message: 'refused', pending: 2, since }
  await using api = await injectedApi([{ ...consul, state: 'unreachable' }])
  api.plane.strangers = [web]
  Object.assign(api.plane, { facts: () => Promise.resolve({ timeouts: { tcp: 900 } }) })
  const { body } = await api.request('GET', '/plane')
  const answer = planesShape.parse(JSON.parse(body))
  expect(JSON.parse(body)).toEqual(answer)
  expect(answer.version).toBe('1.2.3')
  expect(answer.planes).toMatchObject([
    { name: 'userspace', services: 0, failing: 0, problem: '', facts: { timeouts: { tcp: 900 } } },
  ])
  expect(answer.planes[0]?.foreign).toEqual([
    {
      id: 'tcp 10.0.0.1:80',
      family: 4,
      options: {
        host: '10.0.0.1',
        port: 80,
        protocol: 'tcp',
        method: 'mh',
        flags: 'mh-fallback|flag-3',
        persistence: { timeout: 300, netmask: 24 },
      },
      backends: [
        {
          id: '10.0.1.1:0',
          options: {
            host: '10.0.1.1',
            port: 0,
            weight: 3,
            method: 'tunnel',
            tunnel: { type: 'gue', port: 6080 },
            limits: { upper_threshold: 8, lower_threshold: 0 },
          },
        },
      ],
    },
  ])
  expect(answer.announcers).toEqual([{ ...consul, state: 'unreachable', since: '2026-01-01T00:00:00.000Z' }])
  const metrics = (await api.request('GET', '/metrics')).body
  for (const line of [
    'torb_plane_foreign_services{plane="userspace"} 1',
    'torb_announcer_up{announcer="consul"} 0',
    'torb_announcer_pending{announcer="consul"} 2',
  ])
    expect(metrics).toContain(`${line}\n`)
})

it('a plane that does not tell says why, and has no figure', async () => {
  await using api = await injectedApi()
  api.plane.foreign = () => Promise.reject(new Error('no permission'))
  const answer = planesShape.parse(JSON.parse((await api.request('GET', '/plane')).body))
  expect(answer.planes).toMatchObject([{ problem: 'no permission', foreign: [], facts: {} }])
  expect((await api.request('GET', '/metrics')).body).not.toMatch(/^torb_plane_foreign_services\{/m)
})

it('an entry of others is told in words that PUT would take, and that mean the same', () => {
  const nothing = { maxConnections: 0, upperThreshold: 0, lowerThreshold: 0 }
  const destination = fc
    .record({
      address: fc.ipV4(),
      port: fc.integer({ min: 1, max: 65_535 }),
      weight: fc.nat(65_535),
      forwarding: fc.constantFrom(...forwardingNames),
      type: fc.constantFrom(...tunnelTypes),
      tunnelPort: fc.integer({ min: 1, max: 65_535 }),
      upper: fc.nat(1000),
    })
    .map(({ type, tunnelPort, upper, ...rest }): Destination => {
      const tunnel = rest.forwarding === 'tunnel' ? { type, port: type === 'gue' ? tunnelPort : 0 } : null
      const id = `${rest.address}:${rest.port}`
      const lowerThreshold = Math.max(0, upper - 1)
      return {
        ...nothing,
        ...rest,
        id,
        tunnel,
        maxWeight: rest.weight,
        check: null,
        upperThreshold: upper,
        lowerThreshold,
      }
    })
  const address = fc.record({
    protocol: fc.constantFrom('tcp', 'udp', 'sctp'),
    address: fc.ipV4(),
    port: fc.integer({ min: 1, max: 65_535 }),
    fwmark: fc.constant(0),
  })
  const mark = fc.record({
    protocol: fc.constant('tcp'),
    address: fc.constant(''),
    port: fc.constant(0),
    fwmark: fc.integer({ min: 1, max: 0xffffffff }),
  })
  const entry = fc
    .record({
      endpoint: fc.oneof(address, mark),
      scheduler: fc.constantFrom(...schedulerNames),
      flags: fc.integer({ min: 0, max: 0x1f }).map((bits) => bits << 1),
      persistence: fc.option(
        fc.record({
          timeout: fc.integer({ min: 1, max: 2_678_400 }),
          prefix: fc.integer({ min: 1, max: 32 }),
        }),
      ),
      destinations: fc.array(destination, { maxLength: 3 }),
    })
    .map(({ endpoint, ...rest }): VirtualService => {
      return { ...web, ...endpoint, ...rest, id: endpointKey(endpoint) }
    })
  fc.assert(
    fc.property(entry, (entry) => {
      const { id, options, backends } = wireForeign(entry)
      const read = readService(serviceBody.parse(options), false)
      expect(id).toBe(entry.id)
      expect(read.method).toBe(entry.scheduler)
      expect(read.fwmark ?? 0).toBe(entry.fwmark)
      if (entry.fwmark === 0)
        expect([read.host, read.port, read.protocol]).toEqual([entry.address, entry.port, entry.protocol])
      const names = read.flags === '' ? [] : (read.flags.split('|') as (keyof typeof flagNames)[])
      expect(names.reduce((bits, name) => bits | flagNames[name], 0)).toBe(entry.flags)
      expect(read.persistence ?? null).toEqual(
        entry.persistence && { timeout: entry.persistence.timeout, netmask: entry.persistence.prefix },
      )
      for (const [index, backend] of backends.entries()) {
        const { host, port, weight, method, tunnel, limits } = readBackend(
          backendBody.parse(backend.options),
          false,
        )
        const from = entry.destinations[index]
        expect([host, port, weight, method]).toEqual([
          from?.address,
          from?.port,
          from?.weight,
          from?.forwarding,
        ])
        expect(tunnel === undefined ? null : { port: 0, ...tunnel }).toEqual(from?.tunnel)
        expect([limits?.upper_threshold ?? 0, limits?.lower_threshold ?? 0]).toEqual([
          from?.upperThreshold,
          from?.lowerThreshold,
        ])
      }
    }),
  )
})

it('tells of an entry in a virtual network where it is attached and what it has set', () => {
  const attach = { switches: ['inside'], routers: [], groups: ['all'] }
  const { options } = wireForeign({ ...web, id: 'shop', attach, ovn: { skip_snat: true } })
  expect(options).toMatchObject({ attach, ovn: { skip_snat: true } })
  expect(readService(serviceBody.parse({ ...options, plane: 'ovn' }), false)).toMatchObject({
    attach,
    ovn: { skip_snat: true },
  })
  expect(Object.keys(wireForeign(web).options)).not.toContain('attach')
})
