import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { plainCheck as check, plainDestination, plainService } from '../plain.ts'
import type { Destination, DestinationCheck, VirtualService } from '../plane.ts'
import { checkAdvice, checkMode, checkRefusal, healthRows } from './health.ts'
import { vipText } from './vips.ts'

const told: DestinationCheck = { ...check, decides: false }
const options = { interval: '5', timeout: '3', success_count: '1', failure_count: '1' }

const backend = (last: number, fields: Partial<Destination> = {}): Destination =>
  plainDestination(`10.0.0.${last}`, { id: `b${last}`, check, ...fields })

/** The rows where every address is that of port vmLAST, and these backends are down. */
const rowsOf = (spec: VirtualService, down: readonly string[] = []) =>
  healthRows(spec, {
    mappings: new Map(
      spec.destinations.map(({ address }) => [
        address,
        { port: `vm${address.split(/[.:]/).at(-1)}`, source: spec.family === 4 ? '10.0.0.254' : 'fd00::fe' },
      ]),
    ),
    down: ({ id }) => down.includes(id),
  })

const service = (...destinations: readonly Destination[]): VirtualService =>
  plainService({ address: '192.0.2.1', destinations })

const ids = (destinations: readonly Destination[]): readonly string[] => destinations.map(({ id }) => id)

describe('rows of checks', () => {
  it('there are none without checks', () => {
    expect(rowsOf(service(backend(2, { check: null })))).toEqual({
      checks: [],
      ipPortMappings: {},
      listed: [],
      ctFlush: false,
      watch: null,
    })
  })

  it('say how often, and map each backend', () => {
    expect(rowsOf(service(backend(2), backend(3)))).toEqual({
      checks: [{ vip: '192.0.2.1:80', options }],
      ipPortMappings: { '10.0.0.2': 'vm2:10.0.0.254', '10.0.0.3': 'vm3:10.0.0.254' },
      listed: [],
      ctFlush: true,
      watch: null,
    })
  })

  it('have IPv6 in brackets', () => {
    const spec = plainService({
      address: 'fd09::9',
      family: 6,
      destinations: [plainDestination('fd00::3', { check })],
    })
    expect(rowsOf(spec)).toMatchObject({
      checks: [{ vip: '[fd09::9]:80' }],
      ipPortMappings: { '[fd00::3]': 'vm3:[fd00::fe]' },
    })
  })

  it('are in whole seconds, and the most eager of all', () => {
    const spec = service(
      backend(2, { check: { ...check, intervalMs: 1500, timeoutMs: 200, rise: 3, fall: 4 } }),
      backend(3, { check: { ...check, intervalMs: 9000, rise: 2, fall: 5 } }),
    )
    expect(rowsOf(spec).checks).toEqual([
      {
        vip: '192.0.2.1:80',
        options: { interval: '2', timeout: '1', success_count: '2', failure_count: '4' },
      },
    ])
  })

  it('keep a drained backend listed without a mapping, which lets nobody in, and watched by a row of its own', () => {
    const rows = rowsOf(service(backend(2), backend(3, { weight: 0, check: told })))
    expect(rows.ipPortMappings).toEqual({ '10.0.0.2': 'vm2:10.0.0.254' })
    expect([ids(rows.listed), rows.ctFlush]).toEqual([['b3'], true])
    expect(rows.watch).toEqual({
      name: 'web (watched, no traffic)',
      vips: { '192.0.2.1:80': '10.0.0.3:80' },
      checks: rows.checks,
      ipPortMappings: { '10.0.0.3': 'vm3:10.0.0.254' },
    })
  })

  it('leave a backend that is down to OVN, which takes it back when it is up', () => {
    const rows = rowsOf(service(backend(2), backend(3, { weight: 0 })), ['b3'])
    expect(rows.ipPortMappings).toEqual({ '10.0.0.2': 'vm2:10.0.0.254', '10.0.0.3': 'vm3:10.0.0.254' })
    expect([ids(rows.listed), rows.watch]).toEqual([['b3'], null])
  })

  it('do not believe in a weight of 0 that OVN would not bring about', () => {
    const rows = rowsOf(service(backend(2), backend(3, { weight: 0 })))
    expect([Object.keys(rows.ipPortMappings), ids(rows.listed)]).toEqual([['10.0.0.2'], ['b3']])
    expect(rows.watch?.vips).toEqual({ '192.0.2.1:80': '10.0.0.3:80' })
  })

  it('by fb-zero-to-one only watch, so that OVN leaves nobody out', () => {
    const rows = rowsOf(service(backend(2, { check: told }), backend(3, { check: told })), ['b2', 'b3'])
    expect([rows.checks, rows.ipPortMappings, rows.listed, rows.ctFlush]).toEqual([[], {}, [], true])
    expect(rows.watch?.vips).toEqual({ '192.0.2.1:80': '10.0.0.2:80,10.0.0.3:80' })
  })

  it('only watch where OVN would leave out whom it does not check', () => {
    const rows = rowsOf(service(backend(2), backend(3, { check: null })))
    expect([rows.checks, rows.ctFlush]).toEqual([[], false])
    expect(rows.watch?.vips).toEqual({ '192.0.2.1:80': '10.0.0.2:80' })
  })

  it('have no backend without mapping in the row that watches', () => {
    const spec = service(backend(2), backend(3, { weight: 0, check: told }))
    expect(healthRows(spec, { mappings: new Map(), down: () => false }).watch).toBe(null)
  })

  it('send nothing to a backend of weight 0, whatever else there is, and watch all that is checked', () => {
    const destination = fc
      .record({
        last: fc.integer({ min: 2, max: 5 }),
        port: fc.constantFrom(80, 81),
        weight: fc.constantFrom(0, 1, 7),
        check: fc.constantFrom(null, check, told),
        isDown: fc.boolean(),
      })
      .map(({ last, port, isDown, ...fields }) => ({
        isDown,
        destination: backend(last, { port, id: `b${last}-${port}`, ...fields }),
      }))
    fc.assert(
      fc.property(
        fc.uniqueArray(destination, { selector: (one) => one.destination.id, minLength: 1 }),
        (all) => {
          const spec = service(...all.map((one) => one.destination))
          const down = all.flatMap((one) => (one.isDown ? one.destination.id : []))
          const rows = rowsOf(spec, down)
          const excludes = rows.checks.length > 0
          for (const { destination: one, isDown } of all) {
            const mapped = `10.0.0.${one.address.split('.').at(-1)}` in rows.ipPortMappings
            const listed = one.weight > 0 || rows.listed.includes(one)
            const gets = listed && (!excludes || (mapped && !isDown))
            if (one.weight === 0) expect(gets).toBe(false)
            else if (!isDown || !excludes) expect(gets).toBe(true)
            const watched = (rows.watch?.vips['192.0.2.1:80'] ?? '').split(',').includes(vipText(one))
            if (one.check !== null) expect(watched || (excludes && mapped && listed)).toBe(true)
          }
          expect(excludes).toBe(checkMode(spec) === 'excluding')
        },
      ),
    )
  })
})

describe('what OVN cannot check', () => {
  it.each<[Partial<VirtualService>, string]>([
    [{ protocol: 'sctp' }, 'OVN checks backends of tcp and udp only, not of sctp'],
    [{ port: 'any' }, 'of a service of any port'],
    [{ ovn: { template: { hv1: '192.0.2.2' } } }, 'of a service with a template'],
    [{ protocol: 'udp' }, 'backend b2: OVN checks a udp service by udp, not by tcp'],
  ])('%j', (fields, cause) => {
    const refusal = checkRefusal(plainService({ ...fields, destinations: [backend(2)] }))
    expect(refusal).toContain(cause)
    expect(refusal).toContain('"pulse"')
    expect(checkRefusal(plainService({ ...fields, destinations: [backend(2, { check: null })] }))).toBe(null)
  })

  it('is nothing of tcp by tcp and udp by udp', () => {
    expect(checkRefusal(service(backend(2)))).toBe(null)
    const udp = backend(2, { check: { ...check, type: 'udp' } })
    expect(checkRefusal({ ...service(udp), protocol: 'udp' })).toBe(null)
  })
})

describe('advice about checks', () => {
  it.each<[string, VirtualService, readonly string[]]>([
    ['nothing of equal ones', service(backend(2), backend(3)), []],
    [
      'different pulses',
      service(backend(2), backend(3, { check: { ...check, intervalMs: 2000 } })),
      [
        'the backends of web have different pulses, and OVN has one for all of them: the least of each holds, interval 2s, timeout 3s, rise 1, fall 1; give them equal ones',
      ],
    ],
    [
      'some without a check',
      service(backend(2), backend(3, { check: null })),
      [
        'OVN does not check b3 of web, so it only tells Torb what it sees, and nobody takes a dead backend out while no Torb runs: give all of them pulses of type tcp',
      ],
    ],
    [
      'one address twice',
      service(backend(2), backend(2, { id: 'other', port: 81 })),
      [
        "several backends of web have the address 10.0.0.2, and OVN's ip_port_mappings know addresses only: one of them cannot drain, its connections end as soon as its weight is 0",
      ],
    ],
  ])('%s', (_, spec, said) => {
    expect(checkAdvice(spec)).toEqual(said)
  })
})
