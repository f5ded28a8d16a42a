import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { flagBit } from '../../model/names.ts'
import { plainDestination, plainService } from '../plain.ts'
import type { VirtualService } from '../plane.ts'
import { mark, markedService } from './marks.ts'
import { wrong } from './refusals.ts'
import {
  columnsThatDiffer,
  columnValues,
  layoutAdvice,
  rowsOf,
  servicesOf,
  type LoadBalancerRow,
} from './rows.ts'
import type { NorthboundRow } from './tables.ts'
import { parseBackends, parseVip } from './vips.ts'

const attach = { switches: ['inside'], routers: [], groups: [] }
const mapOf = (column: Readonly<Record<string, string>>): ReadonlyMap<string, string> =>
  new Map(Object.entries(column))

/** A row as the replica would hold it. */
const held = (row: LoadBalancerRow): NorthboundRow<'Load_Balancer'> => ({
  uuid: 'u',
  name: row.name,
  vips: mapOf(row.vips),
  protocol: row.protocol,
  selection_fields: row.selection_fields,
  options: mapOf(row.options),
  ip_port_mappings: mapOf(row.ip_port_mappings),
  health_check: [],
  external_ids: mapOf(row.external_ids),
})

const rowOf = (spec: VirtualService, previous: readonly string[] = []): LoadBalancerRow =>
  rowsOf(spec, { owner: 'torb', previous }).main.row

const serviceOf = (family: 4 | 6): fc.Arbitrary<VirtualService> => {
  const address = (n: number): string =>
    family === 4 ? `10.${n >> 8}.${n & 255}.7` : `fd00::${n.toString(16)}`
  const whole = family === 4 ? 32 : 128
  return fc
    .record({
      id: fc.string({ minLength: 1, maxLength: 20 }),
      vip: fc.integer({ min: 1, max: 60_000 }),
      port: fc.oneof(fc.constant('any' as const), fc.integer({ min: 1, max: 65_535 })),
      protocol: fc.constantFrom('tcp', 'udp', 'sctp'),
      scheduler: fc.constantFrom('rr', 'wrr', 'sh', 'dh', 'mh'),
      flags: fc.constantFrom(0, flagBit.fallback),
      timeout: fc.option(fc.integer({ min: 1, max: 65_535 })),
      ovn: fc.option(
        fc.record(
          {
            when_empty: fc.constantFrom('reject', 'drop', 'event'),
            slots: fc.integer({ min: 8, max: 256 }),
            skip_snat: fc.boolean(),
            add_route: fc.boolean(),
            neighbor_responder: fc.constantFrom('all', 'reachable', 'none'),
          },
          { requiredKeys: [] },
        ),
      ),
      backends: fc.uniqueArray(
        fc.record({
          n: fc.integer({ min: 1, max: 60_000 }),
          port: fc.integer({ min: 1, max: 65_535 }),
          weight: fc.integer({ min: 0, max: 300 }),
          id: fc.string({ minLength: 1, maxLength: 12 }),
        }),
        { maxLength: 8, selector: ({ n }) => n },
      ),
    })
    .map(({ id, vip, port, protocol, scheduler, flags, timeout, ovn, backends }) =>
      plainService({
        id,
        address: address(vip),
        family,
        port,
        protocol,
        scheduler,
        flags,
        persistence: timeout === null ? null : { timeout, prefix: whole },
        attach,
        ovn,
        destinations: backends.map((backend) =>
          plainDestination(address(backend.n), {
            id: backend.id,
            port: port === 'any' ? 0 : backend.port,
            weight: backend.weight,
          }),
        ),
      }),
    )
    .filter((spec) => wrong(spec) === null)
}
const anyService = fc.oneof(serviceOf(4), serviceOf(6))

describe('a service as a row', () => {
  it.each<[string, Partial<VirtualService>, Partial<LoadBalancerRow>]>([
    [
      'with what a person would have written',
      {
        scheduler: 'wrr',
        destinations: [plainDestination('10.0.0.2', { weight: 3 }), plainDestination('10.0.0.3')],
      },
      {
        name: 'web',
        vips: { '10.0.0.1:80': '10.0.0.2:80,10.0.0.2:80,10.0.0.2:80,10.0.0.3:80' },
        protocol: 'tcp',
        selection_fields: [],
        options: { reject: 'true' },
        ip_port_mappings: {},
      },
    ],
    [
      'of any port, which has no protocol',
      { port: 'any', destinations: [plainDestination('10.0.0.2', { port: 0 })] },
      { vips: { '10.0.0.1': '10.0.0.2' }, protocol: null },
    ],
    [
      'of IPv6, in brackets',
      { address: 'fd00::1', family: 6, protocol: 'udp', destinations: [plainDestination('fd00::2')] },
      { vips: { '[fd00::1]:80': '[fd00::2]:80' }, protocol: 'udp' },
    ],
    ['without backends', {}, { vips: { '10.0.0.1:80': '' }, options: { reject: 'true' } }],
    ['by the source', { scheduler: 'sh' }, { selection_fields: ['ip_src'] }],
    [
      'by source and port',
      { scheduler: 'mh', flags: flagBit.port },
      { selection_fields: ['ip_src', 'tp_src'] },
    ],
    ['by the destination', { scheduler: 'dh' }, { selection_fields: ['ip_dst'] }],
    [
      'that keeps clients',
      { persistence: { timeout: 60, prefix: 32 } },
      { selection_fields: ['ip_src', 'ip_dst'], options: { reject: 'true' } },
    ],
    [
      'that learns clients',
      { persistence: { timeout: 60, prefix: 32 }, ovn: { affinity: 'learned' } },
      { selection_fields: [], options: { reject: 'true', affinity_timeout: '60' } },
    ],
    [
      'with options',
      {
        ovn: {
          when_empty: 'event',
          hairpin_snat_ip: '10.0.0.9',
          skip_snat: true,
          add_route: true,
          neighbor_responder: 'all',
        },
      },
      {
        options: {
          event: 'true',
          hairpin_snat_ip: '10.0.0.9',
          skip_snat: 'true',
          add_route: 'true',
          neighbor_responder: 'all',
        },
      },
    ],
    ['that drops', { ovn: { when_empty: 'drop' } }, { options: {} }],
    [
      'with a template',
      { id: 'a/b', ovn: { template: { hv1: '10.0.0.7' } } },
      {
        vips: { '^torb_torb__a_2fb:80': '' },
        options: { reject: 'true', template: 'true', 'address-family': 'ipv4' },
      },
    ],
  ])('%s', (_, fields, expected) => {
    expect(rowOf(plainService({ attach, ...fields }))).toMatchObject(expected)
  })

  it('has nothing that OVN cannot read', () => {
    fc.assert(
      fc.property(anyService, (spec) => {
        const [[key, value] = ['', '']] = Object.entries(rowOf(spec).vips)
        expect(parseVip(key)).toEqual({ address: spec.address, port: spec.port === 'any' ? 0 : spec.port })
        expect(parseBackends(value)).toHaveLength(value === '' ? 0 : value.split(',').length)
      }),
    )
  })

  it('is known again by its marks, all of it, and is then the same row', () => {
    fc.assert(
      fc.property(anyService, (spec) => {
        const row = rowOf(spec)
        const read = markedService(mapOf(row.external_ids))
        expect(read).toEqual(spec)
        if (read === null) return
        const previous = Object.values(row.vips)[0]?.split(',') ?? []
        expect(columnsThatDiffer(held(row), rowOf(read, previous))).toEqual([])
      }),
    )
  })

  it('is no service where somebody spoilt the marks', () => {
    const { external_ids: ids } = rowOf(plainService({ destinations: [plainDestination('10.0.0.2')] }))
    for (const spoilt of ['', '{', '[]', '{"10.0.0.9:80":1}', '{"10.0.0.2:80":-1}'])
      expect(markedService(mapOf({ ...ids, [mark.backends]: spoilt }))).toBeNull()
    for (const spoilt of ['', 'null', '{}', ids[mark.spec]?.replace('"rr"', '"nobody"') ?? ''])
      expect(markedService(mapOf({ ...ids, [mark.spec]: spoilt }))).toBeNull()
  })

  it('leaves alone what others have set in it', () => {
    const row = rowOf(plainService())
    const theirs = {
      ...row,
      options: { ...row.options, hairpin: 'x' },
      external_ids: { ...row.external_ids, neutron: 'y' },
    }
    expect(columnsThatDiffer(held(theirs), row)).toEqual([])
    const wanted = rowOf(plainService({ ovn: { when_empty: 'drop' } }))
    const columns = columnsThatDiffer(held(theirs), wanted)
    expect(columns).toEqual(['options', 'external_ids'])
    expect(columnValues(held(theirs), wanted, columns)).toMatchObject({
      options: { hairpin: 'x' },
      external_ids: { neutron: 'y', [mark.owner]: 'torb' },
    })
  })
})

it('more slots are advised where they help', () => {
  const of = (...weights: readonly number[]): readonly string[] =>
    layoutAdvice(
      plainService({
        scheduler: 'wrr',
        destinations: weights.map((weight, n) => plainDestination(`10.0.0.${n + 2}`, { weight })),
      }),
    )
  expect(of(1000, 1)).toEqual([
    'shares of web are up to 1.5 percentage points off its weights with 64 slots: give it more, such as "ovn": {"slots": 256}',
  ])
  expect([...of(3, 1), ...of(1, 1, 1), ...of(100, 40, 1)]).toEqual([])
})

describe('a row of somebody else as services', () => {
  const foreign: LoadBalancerRow = {
    name: 'lb0',
    vips: { '10.0.0.1:80': '10.0.0.2:80,10.0.0.3:80', '10.0.0.1': '10.0.0.2', nonsense: '10.0.0.2' },
    protocol: 'udp',
    selection_fields: [],
    options: {},
    ip_port_mappings: {},
    external_ids: {},
  }
  const of = (row: Partial<LoadBalancerRow>): readonly VirtualService[] =>
    servicesOf(held({ ...foreign, ...row }), attach)

  it('is one for each VIP that OVN can read', () => {
    expect(of({}).map(({ address, port, protocol }) => [address, port, protocol])).toEqual([
      ['10.0.0.1', 80, 'udp'],
      ['10.0.0.1', 'any', 'tcp'],
    ])
  })

  it.each<[string, Partial<LoadBalancerRow>, Partial<VirtualService>]>([
    ['equal shares', {}, { scheduler: 'rr', persistence: null, ovn: { when_empty: 'drop' } }],
    [
      'a backend several times',
      { vips: { '10.0.0.1:80': '10.0.0.2:80,10.0.0.2:80,10.0.0.3:80' } },
      { scheduler: 'wrr' },
    ],
    ['reject', { options: { reject: 'true' } }, { ovn: null }],
    ['the source', { selection_fields: ['ip_src'] }, { scheduler: 'sh', flags: 0 }],
    ['source and port', { selection_fields: ['ip_src', 'tp_src'] }, { scheduler: 'sh', flags: flagBit.port }],
    ['the destination', { selection_fields: ['ip_dst'] }, { scheduler: 'dh' }],
    [
      'both',
      { selection_fields: ['ip_dst', 'ip_src'] },
      { scheduler: 'rr', persistence: { timeout: 300, prefix: 32 } },
    ],
    [
      'affinity',
      { options: { affinity_timeout: '60', event: 'true' } },
      { persistence: { timeout: 60, prefix: 32 }, ovn: { when_empty: 'event', affinity: 'learned' } },
    ],
  ])('by %s', (_, row, expected) => {
    expect(of(row)[0]).toMatchObject(expected)
  })

  it('is what Torb would write for the same', () => {
    fc.assert(
      fc.property(anyService, (spec) => {
        const plain = {
          ...spec,
          flags: 0,
          destinations: spec.destinations.map((one) => ({ ...one, weight: 1 })),
        }
        const row = rowOf(plain)
        const [found] = servicesOf(held(row), attach)
        expect(found).toBeDefined()
        if (found === undefined) return
        const again = rowOf({ ...found, id: plain.id, ovn: found.ovn })
        expect({ ...again, external_ids: {}, vips: {} }).toEqual({ ...row, external_ids: {}, vips: {} })
      }),
    )
  })
})
