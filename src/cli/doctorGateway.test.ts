import { describe, expect, it } from 'vitest'
import type { WireFunctionInFull, WireFunctionList } from '../api/wireFunction.ts'
import { gatewayFindings, readGatewayFacts, type GatewayFacts } from './doctorGateway.ts'
import { openRest } from './rest.ts'
import { listeningApi } from '../../test/fixtures/api.ts'

type Instance = WireFunctionInFull['instances'][number]

const statistics: NonNullable<Instance['statistics']> = {
  active: 0,
  ejected: false,
  requests: 0,
  retries: 0,
  failures: 0,
  responses: { '1xx': 0, '2xx': 0, '3xx': 0, '4xx': 0, '5xx': 0 },
  bytes_in: 0,
  bytes_out: 0,
  response_ms: null,
}
const well: Instance = {
  instance: 'a:80',
  address: '192.0.2.1',
  port: 80,
  weight: 1,
  health: null,
  statistics,
}
const unknown = { ...well, instance: 'gone.test', address: '' }
const down = { ...well, health: { up: false, reason: 'connection refused', share: 0 } }
const ejected = { ...well, statistics: { ...statistics, ejected: true } }

const named = (
  name: string,
  instances: Instance[],
  of: Partial<WireFunctionInFull> = {},
): WireFunctionInFull => ({
  name,
  source: 'rest',
  zone: '',
  options: { ips: [], weights: [], method: 'wrr' },
  feedback: false,
  instances,
  statistics: { waiting: 0, overloaded: 0, expired: 0, unavailable: 0, loops: 0 },
  ...of,
})

const zone = {
  zone: 'zone-b',
  state: 'current',
  message: '',
  age: 1,
  endpoint: 'e:2379',
  revision: 7,
  held: null,
} as const
const etcd = { source: 'etcd', state: 'current', message: '', age: 1, functions: 2, rejected: 0 } as const
const ring = { port: 8080, transport: 'ring', portable_reason: '', workers: 2 } as const

const list = (of: Partial<WireFunctionList>): GatewayFacts['running'] => ({
  list: { gateway: ring, sources: [], total: of.functions?.length ?? 0, functions: [], ...of },
  rejected: [],
})
const findings = (running: GatewayFacts['running'], isRing = true) =>
  gatewayFindings({ api: 'http://x', cores: 4, running, failure: null }, isRing).map(
    ({ level, subject, fact, cure }) => `${level} ${subject}: ${fact}${cure === '' ? '' : ` → ${cure}`}`,
  )

describe('a running gateway', () => {
  it('has nothing amiss', () => {
    expect(
      findings(list({ functions: [named('f', [well])], sources: [{ ...etcd, zones: [zone] }] })),
    ).toEqual([
      'ok gateway: listens on port 8080, 2 Workers, on io_uring',
      'ok source: etcd, zone zone-b: current at e:2379, revision 7, as of 1 s ago; 2 functions of etcd in all',
      'ok functions: 1 function with 1 instance',
    ])
  })

  const fallBack = {
    ...ring,
    transport: 'portable',
    portable_reason: 'too old: take 6.1',
    workers: 1,
  } as const
  it.each<[string, GatewayFacts['running'], RegExp]>([
    [
      'node:net',
      list({ gateway: fallBack }),
      /^note gateway: .* one Worker, on node:net, .* → too old: take 6.1$/m,
    ],
    ['none, no functions', list({ gateway: null }), /^ok gateway: the Torb at http:\/\/x runs none/m],
    [
      'none',
      list({ gateway: null, functions: [named('f', [])] }),
      /^note gateway: .* keeps 1 function .* → start it with --gateway/m,
    ],
    [
      'a source that is away',
      list({ sources: [{ ...etcd, zones: [{ ...zone, state: 'stale', age: 300, message: 'start it' }] }] }),
      /^problem source: etcd, zone zone-b: stale .* as of 5 min ago.* → what was known of it stays in force; start it$/m,
    ],
    [
      'a source that never was there',
      list({ sources: [{ ...etcd, state: 'starting', age: null, zones: [] }] }),
      /^problem source: etcd: starting, never loaded; .* → it has not answered yet$/m,
    ],
    [
      'a loss that is held',
      list({ sources: [{ ...etcd, zones: [{ ...zone, state: 'held', message: 'etcd has lost 3 of 4' }] }] }),
      /^note source: .* held .* → etcd has lost 3 of 4$/m,
    ],
    [
      'rejected keys',
      {
        ...list({})!,
        rejected: ['k', 'l'].map((key) => ({ source: 'etcd' as const, key, reason: 'no JSON', since: '' })),
      },
      /^problem rejected keys: k of etcd: no JSON and 1 more .* → mend the value/m,
    ],
    [
      'no instance',
      list({ functions: [named('f', [])] }),
      /^problem functions: no usable instance: f \(it has none\) →/m,
    ],
    [
      'all down',
      list({ functions: [named('f', [down, unknown])] }),
      /^problem functions: no usable .*: f \(a:80 is down: connection refused\)/m,
    ],
    [
      'a name',
      list({ functions: [named('f', [well, unknown])] }),
      /^note instances: 1 left out: the name of gone.test does not resolve, of f →/m,
    ],
    [
      'ejected',
      list({ functions: [named('f', [well, ejected])] }),
      /^note instances: 1 left out: a:80 is ejected/m,
    ],
    [
      'many',
      list({ functions: [named('f', [well, ...Array.from({ length: 7 }, () => down)])] }),
      /7 left out: .*; and 2 more →/,
    ],
    [
      'no room',
      list({ functions: [named('f', [well], { statistics: null })] }),
      /^problem functions: the gateway has no room for f →/m,
    ],
    [
      'a queue',
      list({
        functions: [
          named('f', [well], {
            statistics: { waiting: 3, overloaded: 0, expired: 0, unavailable: 0, loops: 0 },
          }),
        ],
      }),
      /^note queues: .* f \(3\) →/m,
    ],
  ])('%s', (_name, running, line) => {
    expect(findings(running).join('\n')).toMatch(line)
  })

  it('takes an instance whose ejection is switched off for usable', () => {
    const options = { ips: [], weights: [], method: 'wrr', ejection: null }
    expect(findings(list({ functions: [named('f', [ejected], { options })] })).join('\n')).not.toMatch(
      /ejected/,
    )
  })
})

it('says what a gateway would have where no Torb runs', () => {
  expect([findings(null), findings(null, false)].flat()).toEqual([
    'ok gateway: no Torb answers at http://x; a function gateway here would have 4 Workers, one a core, on io_uring',
    'ok gateway: no Torb answers at http://x; a function gateway here would have one Worker on node:net, at about twice the CPU',
  ])
})

it('asks a Torb; that none runs is a problem only where one must', async () => {
  await using api = await listeningApi()
  const { url } = api.api
  const rest = openRest(url, null)
  expect(await readGatewayFacts(rest, true)).toMatchObject({
    running: { list: { gateway: null }, rejected: [] },
    failure: null,
  })
  await api.api.close()
  expect((await readGatewayFacts(rest, false)).failure).toBeNull()
  expect(gatewayFindings(await readGatewayFacts(rest, true), true)).toEqual([
    expect.objectContaining({ level: 'problem', cure: expect.stringContaining('no Torb answers at') }),
  ])
})
