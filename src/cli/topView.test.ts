import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { WireFunctionList } from '../api/wireFunction.ts'
import {
  averageRates,
  ratesBetween,
  rowOf,
  type BackendRow,
  type ServiceRow,
  type WireServiceInFull,
} from './inventory.ts'
import { renderDemo } from './demoView.ts'
import { shortNumber } from './serviceTable.ts'
import { eventLine, renderTop, sorted } from './topView.ts'

const backend = (id: string, fields: Partial<BackendRow> = {}): BackendRow => ({
  id,
  address: `10.0.1.${id}:80`,
  status: 'Up',
  reason: '',
  weight: 100,
  effectiveWeight: 100,
  health: 1,
  active: 0,
  connections: 0,
  bytes: 0,
  rate: null,
  ...fields,
})

const service = (
  id: string,
  backends: readonly BackendRow[],
  fields: Partial<ServiceRow> = {},
): ServiceRow => ({
  id,
  address: 'tcp 10.0.0.1:80',
  scheduler: 'rr',
  plane: 'userspace',
  health: 1,
  trouble: '',
  advice: [],
  connections: 0,
  bytes: 0,
  rate: null,
  backends,
  ...fields,
})

const down = { status: 'Down', reason: 'Down: connection refused', effectiveWeight: 0, health: 0.5 } as const
const services = [
  service('web', [backend('1', { active: 3 }), backend('2', down)], { health: 0.75 }),
  service('db', [backend('1', { active: 1 })], { trouble: 'failing: address in use' }),
]
const rates = new Map([
  ['web', { connections: 2, bytes: 1_234_567 }],
  ['web/1', { connections: 2, bytes: 1_234_567 }],
  ['web/2', { connections: 0, bytes: 0 }],
  ['db', { connections: 5.25, bytes: 99 }],
])

const none = { gateway: null, sources: [], total: 0, functions: [] }

it('shows services, backends and events', () => {
  const events = [
    { at: 0, type: 'backend-down', service: 'web', backend: '2', reason: 'connection refused' } as const,
  ]
  const lines = renderTop(
    { where: 'http://127.0.0.1:4672', services, functions: none, rates, order: 'conns', events },
    24,
    false,
  )
  expect(lines.join('\n')).toMatchInlineSnapshot(`
    "torb top  http://127.0.0.1:4672  2 services, 2 of 3 backends Up
    by conns   keys: n name, c conns, b bytes, a active, h health, w weight, q ends

    SERVICE  ADDRESS          STATUS        WEIGHT HEALTH ACTIVE CONN/S BYTES/S  REASON
    db       tcp 10.0.0.1:80  rr userspace           1.00      1    5.3      99  failing: address in use
      1        10.0.1.1:80    Up               100   1.00      1
    web      tcp 10.0.0.1:80  rr userspace           0.75      3    2.0    1.2M
      1        10.0.1.1:80    Up               100   1.00      3    2.0    1.2M
      2        10.0.1.2:80    Down           0/100   0.50      0    0.0       0  Down: connection refused

    00:00:00 backend-down service=web backend=2 reason=connection refused"
  `)
})

it('shows the functions below the services, and alone where there is no service', () => {
  const gateway = { port: 8080, transport: 'ring', portable_reason: '', workers: 2 } as const
  const functions = {
    gateway,
    sources: [],
    total: 1,
    functions: [
      {
        name: 'f',
        source: 'rest' as const,
        zone: '',
        options: { ips: ['10.0.0.1:80'], weights: [1], method: 'wrr' as const },
        feedback: false,
        instances: [
          {
            instance: '10.0.0.1:80',
            address: '10.0.0.1',
            port: 80,
            weight: 1,
            health: null,
            statistics: null,
          },
        ],
        statistics: null,
      },
    ],
  }
  const state = { where: '', rates, order: 'name', events: [] } as const
  const table = ['FUNCTION  INSTANCE', 'f         wrr rest', '            10.0.0.1:80']
  const shown = (lines: readonly string[]) =>
    lines.slice(-3).map((line, i) => line.slice(0, table[i]!.length))
  const both = renderTop({ ...state, services, functions }, 24, false)
  expect(shown(both)).toEqual(table)
  expect(both[3]).toMatch(/^SERVICE/)
  const alone = renderTop({ ...state, services: [], functions }, 24, false)
  expect(alone.slice(0, 1)).toEqual(['torb top    0 services, 0 of 0 backends Up'])
  expect(shown(alone)).toEqual(table)
  expect(alone).toHaveLength(6)
  const idle = renderTop({ ...state, services: [], functions: { ...none, gateway } }, 24, false)
  expect(idle.at(-1)).toBe('no functions')
})

it('cuts the table where the terminal is low, never the events', () => {
  const many = Array.from({ length: 50 }, (_, i) => service(`s${i}`, []))
  const events = [{ at: 0, type: 'ready', plane: 'userspace' } as const]
  const lines = renderTop(
    { where: '', services: many, functions: none, rates, order: 'name', events },
    12,
    false,
  )
  expect(lines).toHaveLength(12)
  expect(lines.at(-1)).toBe('00:00:00 ready plane=userspace')
  expect(lines.at(-3)).toBe('… 45 more lines')
  const functions = { ...none, total: 7 }
  expect(
    renderTop({ where: '', services: many, functions, rates, order: 'name', events }, 12, false),
  ).toContain('… 45 more lines and 7 more functions')
})

describe('of sources one line stays where their table is cut', () => {
  type Source = WireFunctionList['sources'][number]
  const zone = {
    zone: 'a',
    state: 'current',
    message: '',
    age: 1,
    endpoint: 'e:2379',
    revision: 7,
    held: null,
  } as const
  const rest: Source = {
    source: 'rest',
    state: 'current',
    message: '',
    age: 1,
    functions: 2,
    rejected: 0,
    zones: [],
  }
  const etcd: Source = { ...rest, source: 'etcd' }
  const stale = { ...zone, zone: 'b', state: 'stale', age: 300, message: 'nobody answers' } as const
  const line = (sources: Source[], rows: number): string => {
    const many = Array.from({ length: 50 }, (_, i) => service(`s${i}`, []))
    const functions = { ...none, gateway: null, sources, total: 1 }
    const lines = renderTop(
      { where: '', services: many, functions, rates, order: 'name', events: [] },
      rows,
      false,
    )
    expect(lines.length).toBeLessThanOrEqual(rows)
    return lines[2] ?? ''
  }
  it.each<[Source[], string]>([
    [[], ''],
    [[rest], 'sources: rest is current'],
    [[rest, { ...etcd, zones: [zone] }], 'sources: all 2 are current'],
    [[{ ...rest, rejected: 1 }], 'sources: rest is current, 1 key rejected'],
    [
      [rest, { ...etcd, zones: [zone, stale] }],
      'sources: 1 of 3 not current; etcd/b stale, as of 5 min ago: nobody answers',
    ],
    [
      [
        {
          ...etcd,
          rejected: 2,
          zones: [
            { ...stale, age: 9 },
            { ...zone, state: 'held' },
            { ...stale, zone: 'c' },
          ],
        },
      ],
      'sources: 3 of 3 not current, 2 keys rejected; the worst: etcd/c stale, as of 5 min ago: nobody answers',
    ],
    [
      [rest, { ...etcd, state: 'starting', age: null, zones: [] }],
      'sources: 1 of 2 not current; etcd starting',
    ],
  ])('%#: %s', (sources, text) => {
    expect(line(sources, 10)).toBe(text)
  })

  it('and not where there is room for the table', () => {
    expect(line([{ ...etcd, zones: [stale] }], 100)).toBe('')
  })
})

describe('the order', () => {
  it.each([
    ['name', ['db: 1', 'web: 1 2']],
    ['conns', ['db: 1', 'web: 1 2']],
    ['bytes', ['web: 1 2', 'db: 1']],
    ['active', ['web: 1 2', 'db: 1']],
    ['health', ['web: 2 1', 'db: 1']],
    ['weight', ['db: 1', 'web: 1 2']],
  ] as const)('by %s', (order, expected) => {
    const found = sorted(services, rates, order)
    expect(found.map(({ id, backends }) => `${id}: ${backends.map((each) => each.id).join(' ')}`)).toEqual(
      expected,
    )
  })
})

it('keeps the terminal from what names may hold', () => {
  expect(eventLine({ at: 0, type: 'service-created', service: 'a\u001b[2J', source: 'rest' })).toBe(
    '00:00:00 service-created service=a·[2J source=rest',
  )
})

it('counts what came between two looks, and a counter that began anew from 0', () => {
  const counted = (connections: number, bytes: number) => ({ connections, bytes })
  const before = [
    service('a', [backend('1', counted(10, 0)), backend('2', counted(50, 900))], counted(60, 900)),
  ]
  const after = [
    service(
      'a',
      [backend('1', counted(14, 50)), backend('2', counted(8, 100)), backend('3', counted(9, 9))],
      counted(66, 1000),
    ),
  ]
  expect([...ratesBetween(before, after, 2)]).toEqual([
    ['a', counted(3, 50)],
    ['a/1', counted(2, 25)],
    ['a/2', counted(4, 50)],
    ['a/3', counted(0, 0)],
  ])
})

it('shows the averages of the planes that measure them', () => {
  const rate = { connections: 1.5, bytes: 20 }
  expect([...averageRates([service('a', [backend('1', { rate }), backend('2')], { rate })])]).toEqual([
    ['a', rate],
    ['a/1', rate],
  ])
})

it('is not wider than 80 characters with common addresses', () => {
  const rate = { connections: 12_345.6, bytes: 123_456_789 }
  const backends = [
    backend('server1', { address: '172.17.0.2:4444', active: 123_456, rate, effectiveWeight: 62 }),
  ]
  const services = [service('0', backends, { address: 'tcp 10.0.2.15:4444', plane: 'userspace', rate })]
  const state = {
    where: '',
    services,
    functions: none,
    rates: averageRates(services),
    order: 'name',
    events: [],
  } as const
  const lines = renderTop(state, 24, false)
  expect(lines.filter((line) => line.length > 80)).toEqual([])
  expect(lines.at(-1)).toBe(
    '  server1    172.17.0.2:4444   Up            62/100   1.00   123k  12346    123M',
  )
})

describe('a short number', () => {
  it.each([
    [0, '0'],
    [99_999.4, '99999'],
    [99_999.5, '100k'],
    [999_499, '999k'],
    [999_500, '1.0M'],
    [1_234_567, '1.2M'],
    [9_949_999, '9.9M'],
    [9_950_000, '10M'],
    [123_456_789_012, '123G'],
  ])('%d: %s', (value, text) => {
    expect(shortNumber(value)).toBe(text)
  })

  it('has at most five characters', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e17, noNaN: true }), (value) => {
        expect(shortNumber(value)).toMatch(/^(\d{1,5}|\d\.\dk?|\d{2,4}[kMGTP]|\d\.\d[kMGTP])$/)
        expect(shortNumber(value).length).toBeLessThanOrEqual(5)
      }),
    )
  })
})

it('reads what the API answers', () => {
  const statistics = {
    connections: 7,
    packets_in: 0,
    packets_out: 0,
    bytes_in: 10,
    bytes_out: 20,
    active: 2,
    inactive: 0,
    errors: 0,
    rates: { connections: 0.5, packets_in: 0, packets_out: 0, bytes_in: 3, bytes_out: 4 },
  }
  const answer: WireServiceInFull = {
    id: 'v6',
    options: {
      host: '',
      port: 443,
      protocol: 'tcp',
      method: 'lc',
      flags: '',
      persistent: false,
      fallback: 'fb-default',
    },
    health: 0.5,
    backends: [
      {
        id: 'a',
        options: {
          host: 'a.example',
          port: 8443,
          weight: 62,
          max_weight: 100,
          method: 'nat',
          pulse: { type: 'tcp', interval: '1m', args: null },
        },
        metrics: { status: 1, health: 0.62, uptime: 0 },
        reason: 'Down: refused',
        owner: 'rest',
        overridden: false,
        draining: false,
        address: '2001:db8::2',
        statistics,
      },
    ],
    backends_count: 1,
    fallback: 'fb-default',
    owner: 'rest',
    plane: 'userspace',
    address: '2001:db8::1',
    reconcile: { state: 'failing', message: 'no', since: '2026-01-01T00:00:00.000Z' },
    statistics: null,
  }
  expect(rowOf(answer)).toEqual({
    id: 'v6',
    address: 'tcp [2001:db8::1]:443',
    scheduler: 'lc',
    plane: 'userspace',
    health: 0.5,
    trouble: 'failing: no',
    advice: [],
    connections: 0,
    bytes: 0,
    rate: null,
    backends: [
      {
        id: 'a',
        address: '[2001:db8::2]:8443',
        status: 'Down',
        reason: 'Down: refused',
        weight: 100,
        effectiveWeight: 62,
        health: 0.62,
        active: 2,
        connections: 7,
        bytes: 30,
        rate: { connections: 0.5, bytes: 7 },
      },
    ],
  })
})

it('shows the demonstration', () => {
  const state = {
    secondsLeft: 12,
    requestRate: 20,
    responseRate: 19.5,
    requests: 400,
    failed: 1,
    service: services[0]!,
    handled: new Map([
      ['1', 150],
      ['2', 50],
    ]),
    story: ['   7.0 s  server2 is stopped'],
  }
  expect(renderDemo(state, 60, false).join('\n')).toMatchInlineSnapshot(`
    "torb demo  12 s left

    load      20.0 requests/s, 19.5 answered/s, 400 so far, 1 failed
    service   tcp 10.0.0.1:80  rr  plane userspace  health 0.75

    BACKEND  ADDRESS      STATUS  WEIGHT  HEALTH  ANSWERED  SHARE                      REASON
    1        10.0.1.1:80  Up         100    1.00       150  ███████████████      75 %
    2        10.0.1.2:80  Down     0/100    0.50        50  █████                25 %  Down: connection refused

    ────────────────────────────────────────────────────────────
       7.0 s  server2 is stopped"
  `)
})
