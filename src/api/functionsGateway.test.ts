import { mkdtempDisposableSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { injectedApi, type InjectedApi } from '../../test/fixtures/api.ts'
import { named, startInstance, startTestGateway } from '../gateway/gatewaySuite.ts'
import { openStore } from '../store/sqlite.ts'
import { mostInstances } from './metrics/functions.ts'
import type { WireRequestExplanation } from './routes/explain.ts'
import { functionListShape, functionShape } from './wireFunction.ts'

/** The API over a real gateway. */
async function withGateway(api: InjectedApi) {
  const running = await startTestGateway()
  const { gateway } = running
  api.functions.gateway = {
    port: gateway.port,
    transport: gateway.transport,
    workers: gateway.workers,
    portableReason: 'asked for',
    rules: { zones: ['zone-b'], dummy: false, hopLimit: 1, vouched: 'signed' },
    state: (name) => gateway.state(name),
    counters: () => gateway.counters(),
    apply: async (changes) => await gateway.apply(changes),
  }
  return running
}

const shown = async (api: InjectedApi, name: string) =>
  functionShape.parse(JSON.parse((await api.request('GET', `/functions/${name}`)).body))

it('what is acknowledged is in force, and what was counted is shown', async () => {
  await using api = await injectedApi()
  await using gateway = await withGateway(api)
  await using a = await named('a')
  await using b = await startInstance((_request, response) => response.writeHead(404).end('none'))
  const put = async (weights: number[]) =>
    (await api.request('PUT', '/functions/f', { ips: [a.text, b.text], weights })).status
  expect(await put([1, 0])).toBe(200)
  expect(await gateway.get('/function/f/')).toMatchObject({ status: 200, body: 'a' })
  expect(await put([0, 1])).toBe(200)
  expect((await gateway.get('/function/f/')).status).toBe(404)
  await expect
    .poll(async () =>
      (await shown(api, 'f')).instances.map(({ statistics }) => (statistics?.bytes_out ?? 0) > 4),
    )
    .toEqual([true, true])
  const { instances, statistics } = await shown(api, 'f')
  expect(statistics).toEqual({ waiting: 0, overloaded: 0, expired: 0, unavailable: 0, loops: 0 })
  expect(instances.map(({ weight, statistics }) => [weight, statistics])).toEqual([
    [
      0,
      expect.objectContaining({
        active: 0,
        ejected: false,
        requests: 1,
        retries: 0,
        failures: 0,
        responses: { '1xx': 0, '2xx': 1, '3xx': 0, '4xx': 0, '5xx': 0 },
        response_ms: { mean: expect.any(Number), p50: expect.any(Number), p99: expect.any(Number) },
      }),
    ],
    [1, expect.objectContaining({ responses: { '1xx': 0, '2xx': 0, '3xx': 0, '4xx': 1, '5xx': 0 } })],
  ])
  const list = functionListShape.parse(JSON.parse((await api.request('GET', '/functions')).body))
  expect(list.gateway).toEqual({
    port: gateway.gateway.port,
    transport: 'portable',
    portable_reason: 'asked for',
    workers: 1,
  })
  expect((await api.request('DELETE', '/functions/f')).status).toBe(200)
  expect((await gateway.get('/function/f/')).status).toBe(404)
})

it('explains a request as it then goes', async () => {
  await using api = await injectedApi()
  const target = '/function/f/echo?x=1'
  const explained = async () =>
    JSON.parse(
      (await api.request('GET', `/explain/request?target=${encodeURIComponent(target)}`)).body,
    ) as WireRequestExplanation
  expect((await explained()).steps).toEqual([expect.stringContaining('No gateway runs in this Torb')])
  await using gateway = await withGateway(api)
  const echo = (name: string) => startInstance((request, response) => response.end(`${name} ${request.url}`))
  await using a = await echo('a')
  await using b = await echo('b')
  expect([(await explained()).status, (await gateway.get(target)).status]).toEqual([404, 404])
  for (const [weights, bodies] of [
    [
      [3, 1],
      ['a', 'a', 'a', 'b'],
    ],
    [
      [0, 1],
      ['b', 'b', 'b', 'b'],
    ],
  ] as const) {
    await api.request('PUT', '/functions/f', { ips: [a.text, b.text, '192.0.2.1'], weights: [...weights, 0] })
    const { path, instances } = await explained()
    const answers = []
    for (let i = 0; i < 4; i++) answers.push((await gateway.get(target)).body)
    expect(answers).toEqual(bodies.map((name) => `${name} ${path}`))
    expect(instances.map(({ share }) => share * 4)).toEqual(
      ['a', 'b', 'c'].map((name) => bodies.filter((body) => body === name).length),
    )
  }
  await api.request('PUT', '/functions/f', { ips: [], weights: [] })
  expect([(await explained()).status, (await gateway.get(target)).status]).toEqual([503, 503])
  expect((await api.request('GET', '/explain/request?target=x')).body).toMatch(/target must be a path/)
})

it('metrics have functions, instances, the gateway and sources, each sample once', async () => {
  await using api = await injectedApi()
  await using gateway = await withGateway(api)
  await using a = await named('a')
  const etcd = api.functions.table.source('etcd')
  etcd.report('current', '')
  etcd.reject('golb/function/zone-b/bad', 'no')
  const zone = {
    zone: 'zone-b',
    state: 'current',
    endpoint: '',
    revision: 12,
    message: '',
    held: null,
  } as const
  api.functions.etcd = { status: () => ({ zones: [{ ...zone, age: 250 }] }), confirm: () => 0 }
  await api.request('PUT', '/functions/f', { ips: [a.text, a.text, '192.0.2.1'], weights: [2, 1, 0] })
  await api.request('PUT', '/functions/none', { ips: [], weights: [] })
  for (let i = 0; i < 3; i++) await gateway.get('/function/f/')
  await gateway.get('/function/none')
  await gateway.get('/function/nobody')
  const page = async () => (await api.request('GET', '/metrics')).body.trimEnd().split('\n')
  const f = `function="f",instance="${a.text}"`
  await expect.poll(page).toContain('torb_gateway_forwarded_total{outcome="completed"} 3')
  const lines = await page()
  for (const line of [
    'torb_functions 2',
    'torb_functions_without_instance_metrics 0',
    'torb_function_instances{function="f"} 2',
    'torb_function_waiting_requests{function="f"} 0',
    'torb_function_unserved_requests_total{function="none",reason="unavailable"} 1',
    'torb_function_unserved_requests_total{function="f",reason="loop"} 0',
    'torb_function_response_duration_seconds_bucket{function="f",le="30"} 3',
    'torb_function_response_duration_seconds_bucket{function="f",le="+Inf"} 3',
    'torb_function_response_duration_seconds_count{function="f"} 3',
    `torb_function_instance_weight{${f}} 3`,
    `torb_function_instance_requests_total{${f}} 3`,
    `torb_function_instance_responses_total{${f},code="2xx"} 3`,
    'torb_function_instance_requests_total{function="f",instance="192.0.2.1"} 0',
    `torb_instance_active_requests{instance="${a.text}"} 0`,
    'torb_instance_ejected{instance="192.0.2.1"} 0',
    'torb_gateway_workers 1',
    'torb_gateway_client_connections 1',
    'torb_gateway_requests_total 5',
    'torb_gateway_refused_total 2',
    'torb_gateway_retries_total 0',
    'torb_gateway_timeouts_total 0',
    'torb_source_state{source="etcd",state="current"} 1',
    'torb_source_state{source="etcd",state="stale"} 0',
    'torb_source_rejected_keys{source="etcd"} 1',
    'torb_source_age_seconds{source="etcd"} 0.25',
    'torb_source_zone_revision{source="etcd",zone="zone-b"} 12',
    'torb_events_total{type="function-created"} 2',
  ])
    expect(lines).toContain(line)
  const samples = lines
    .filter((line) => !line.startsWith('#'))
    .map((line) => line.slice(0, line.lastIndexOf(' ')))
  expect(new Set(samples).size).toBe(samples.length)
  // A name that only a client knows makes no series.
  expect(lines.join('\n')).not.toContain('nobody')
})

it('without a gateway there are no counters, only what is kept', async () => {
  await using api = await injectedApi()
  await api.request('PUT', '/functions/f', { ips: ['192.0.2.1'], weights: [1] })
  const { body } = await api.request('GET', '/metrics')
  expect(body).toContain('torb_gateway_workers 0\n')
  expect(body).toContain('torb_function_instance_weight{function="f",instance="192.0.2.1"} 1\n')
  expect(body).not.toMatch(
    /^torb_(gateway_requests|instance|function_instance_requests|function_waiting)\S* \d/m,
  )
})

it('series of instances are bounded', async () => {
  await using api = await injectedApi()
  const { table } = api.functions
  const spec = (name: string, size: number) => ({
    ips: Array.from({ length: size }, (_, i) => `10.${name === 'a' ? 1 : 2}.${i >> 8}.${i & 255}`),
    weights: Array<number>(size).fill(1),
  })
  const functions = new Map(['a', 'b', 'c', 'd', 'e'].map((name) => [name, spec(name, 4096)]))
  table.replaceConfigured(functions)
  await table.published()
  const { body } = await api.request('GET', '/metrics')
  expect(body.match(/^torb_function_instance_weight\{/gm)?.length).toBe(8192)
  expect(body).toContain('torb_functions_without_instance_metrics 3\n')
  expect(body).toContain('torb_function_instances{function="e"} 4096\n')
  expect(mostInstances).toBe(10_000)
})

it('is on the disk when it is acknowledged', async () => {
  using directory = mkdtempDisposableSync(join(tmpdir(), 'torb-functions-'))
  const open = async () => await openStore(directory.path, { log: () => undefined })
  const f = { ips: ['10.0.0.1:80', '10.0.0.2'], weights: [0.25, 3], method: 'hash', hash_header: 'X-A' }
  const before = await open()
  {
    await using api = await injectedApi([], before)
    for (const [method, path, body] of [
      ['PUT', '/functions/f', f],
      ['PUT', '/functions/g', { ips: [], weights: [] }],
      ['PATCH', '/functions/f', { weights: [1, 3] }],
      ['DELETE', '/functions/g', undefined],
    ] as const)
      expect((await api.request(method, path, body)).status).toBe(200)
  }
  await before.close()
  const after = await open()
  {
    await using api = await injectedApi([], after)
    expect(api.functions.table.names()).toEqual(['f'])
    expect(await shown(api, 'f')).toMatchObject({ source: 'rest', options: { ...f, weights: [1, 3] } })
  }
  await after.close()
})
