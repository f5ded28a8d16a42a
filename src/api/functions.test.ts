import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { injectedApi, type InjectedApi } from '../../test/fixtures/api.ts'
import { fullFunctionListShape, functionListShape, functionShape } from './wireFunction.ts'
import { rejectedListShape } from './wireSource.ts'

let api: InjectedApi
beforeAll(async () => {
  api = await injectedApi()
  api.functions.table.source('etcd')
})
afterAll(async () => api[Symbol.asyncDispose]())
beforeEach(async () => {
  const { table } = api.functions
  for (const name of table.names()) {
    for (const { owner } of table.claims(name)) if (owner === 'rest') await table.remove(name)
  }
  table.replaceConfigured(new Map())
  api.functions.applied.length = 0
})

const resnet = { ips: ['127.0.0.1:9001', '127.0.0.1:9002'], weights: [3, 1] }
const text = JSON.stringify

const problem = async (...request: Parameters<InjectedApi['request']>) => {
  const { status, headers, body } = await api.request(...request)
  expect(headers['content-type']).toBe('application/json')
  const { error, ...rest } = JSON.parse(body) as { error: string }
  expect(rest).toEqual({})
  return `${status} ${error}`
}

const list = async (query = '') =>
  fullFunctionListShape
    .or(functionListShape)
    .parse(JSON.parse((await api.request('GET', `/functions${query}`)).body))

describe('functions by REST', () => {
  it('a write answers 200, empty, when it is stored and published', async () => {
    for (const [method, body] of [
      ['PUT', resnet],
      ['PUT', { ...resnet, method: 'least-request' }],
      ['PATCH', { weights: [1, 1] }],
      ['DELETE', undefined],
    ] as const) {
      const commits = api.store.commits
      const applied = api.functions.applied.length
      const answer = await api.request(method, '/functions/resnet', body)
      expect([answer.status, answer.body, answer.headers['content-type']], method).toEqual([
        200,
        '',
        undefined,
      ])
      expect(api.store.commits).toBe(commits + 1)
      expect(api.functions.applied).toHaveLength(applied + 1)
    }
    expect(api.functions.applied.at(-1)).toEqual({ name: 'resnet', published: null })
  })

  it('shows a function as it was given, with its defaults, places and sources', async () => {
    await api.request('PUT', '/functions/resnet', {
      ips: ['127.0.0.1:9001', 'one.test', '[2001:DB8::1]:80'],
      weights: [3, 0.5, 0],
      limits: { in_flight: 4 },
      ejection: null,
    })
    // A name is looked up beside the answer.
    await expect.poll(() => api.functions.table.function('resnet')?.instances[1]?.address).toBe('192.0.2.7')
    const answer = await api.request('GET', '/functions/resnet')
    expect(functionShape.parse(JSON.parse(answer.body))).toEqual(JSON.parse(answer.body))
    expect(answer.body).toMatchInlineSnapshot(`
      "{
      	"name": "resnet",
      	"source": "rest",
      	"zone": "",
      	"options": {
      		"ips": [
      			"127.0.0.1:9001",
      			"one.test",
      			"[2001:DB8::1]:80"
      		],
      		"weights": [
      			3,
      			0.5,
      			0
      		],
      		"method": "wrr",
      		"limits": {
      			"in_flight": 4
      		},
      		"ejection": null
      	},
      	"feedback": false,
      	"instances": [
      		{
      			"instance": "127.0.0.1:9001",
      			"address": "127.0.0.1",
      			"port": 9001,
      			"weight": 3,
      			"health": null,
      			"statistics": null
      		},
      		{
      			"instance": "one.test",
      			"address": "192.0.2.7",
      			"port": 80,
      			"weight": 0.5,
      			"health": null,
      			"statistics": null
      		},
      		{
      			"instance": "[2001:DB8::1]:80",
      			"address": "2001:db8::1",
      			"port": 80,
      			"weight": 0,
      			"health": null,
      			"statistics": null
      		}
      	],
      	"statistics": null,
      	"sources": [
      		{
      			"source": "rest",
      			"zone": "",
      			"decides": true,
      			"options": {
      				"ips": [
      					"127.0.0.1:9001",
      					"one.test",
      					"[2001:DB8::1]:80"
      				],
      				"weights": [
      					3,
      					0.5,
      					0
      				],
      				"method": "wrr",
      				"limits": {
      					"in_flight": 4
      				},
      				"ejection": null
      			}
      		}
      	],
      	"rejected": []
      }"
    `)
  })

  it('lists them by name, with and without statistics', async () => {
    for (const name of ['b', 'a', 'c']) await api.request('PUT', `/functions/${name}`, resnet)
    const brief = await list()
    expect(brief.functions.map(({ name, source, instances }) => [name, source, instances.length])).toEqual([
      ['a', 'rest', 2],
      ['b', 'rest', 2],
      ['c', 'rest', 2],
    ])
    expect(brief.gateway).toBeNull()
    expect(text(brief)).not.toContain('statistics')
    const full = await list('?full')
    expect(full.functions[0]).toMatchObject({ statistics: null, instances: [{ statistics: null }, {}] })
    const first = await list('?full&limit=2')
    expect([first.total, first.functions]).toEqual([3, full.functions.slice(0, 2)])
  })

  it('an empty list is written as all JSON is', async () => {
    const { body, headers } = await api.request('GET', '/functions')
    expect(headers['content-type']).toBe('application/json')
    const { functions } = JSON.parse(body) as { functions: unknown[] }
    expect(functions).toEqual([])
    expect(body).toBe(JSON.stringify(JSON.parse(body), null, '\t'))
  })

  it('a long list is one document of the same form', async () => {
    for (let i = 0; i < 250; i++) await api.functions.table.put(`f${i}`, resnet)
    const { body } = await api.request('GET', '/functions?full')
    expect(body).toBe(JSON.stringify(JSON.parse(body), null, '\t'))
    expect((JSON.parse(body) as { functions: unknown[] }).functions).toHaveLength(250)
  })

  it('is an event with its source', async () => {
    const seen = api.events.since(0).at(-1)?.id ?? 0
    await api.request('PUT', '/functions/resnet', resnet)
    await api.request('PATCH', '/functions/resnet', { weights: [1, 1] })
    await api.request('DELETE', '/functions/resnet')
    expect(api.events.since(seen).map(({ event }) => event)).toEqual(
      ['function-created', 'function-changed', 'function-deleted'].map((type) => ({
        at: expect.any(Number),
        type,
        function: 'resnet',
        source: 'rest',
      })),
    )
  })

  it('a name is any segment that stands in a path as it is', async () => {
    const name = "a-Z.9_~!$&'()*+,;=:@"
    expect((await api.request('PUT', `/functions/${encodeURIComponent(name)}`, resnet)).status).toBe(200)
    expect((await api.request('GET', `/functions/${name}`)).status).toBe(200)
    for (const unknown of ['__proto__', 'constructor', 'x'])
      expect(await problem('GET', `/functions/${unknown}`)).toBe(
        `404 no function "${unknown}" is in force: "torb functions" lists those there are`,
      )
  })

  it('one whose key cannot be used is unknown, and told why', async () => {
    const key = 'golb/function/zone-b/bad'
    api.functions.table.source('etcd').reject(key, 'the value is not JSON')
    expect(await problem('GET', '/functions/bad')).toBe(
      `404 no function "bad" is in force: key ${key} of etcd cannot be used, the value is not JSON`,
    )
  })
})

it('shows what health and feedback make of the weights', async () => {
  const { table } = api.functions
  await api.request('PUT', '/functions/f', resnet)
  const shown = async () => {
    const { feedback, instances } = functionShape.parse(
      JSON.parse((await api.request('GET', '/functions/f')).body),
    )
    return [feedback, ...instances.map(({ weight, health }) => [weight, health])]
  }
  expect(await shown()).toEqual([false, [3, null], [1, null]])
  table.overlay('f', table.claims('f')[0]!.spec, [2, 2], Infinity)
  await table.published()
  expect(await shown()).toEqual([true, [2, null], [2, null]])
  api.functions.health = {
    state: (_, instance) =>
      instance === '127.0.0.1:9001' ? { isUp: false, reason: 'connection refused', share: 0 } : null,
    weights: () => [0, 2],
  }
  expect(await shown()).toEqual([true, [0, { up: false, reason: 'connection refused', share: 0 }], [2, null]])
  const { body } = await api.request('GET', '/metrics')
  expect(body).toContain('torb_function_instance_up{function="f",instance="127.0.0.1:9001"} 0\n')
  expect(body).toContain('torb_function_instance_weight{function="f",instance="127.0.0.1:9001"} 0\n')
  expect(body).not.toContain('torb_function_instance_up{function="f",instance="127.0.0.1:9002"}')
  api.functions.health = null
})

describe('precedence', () => {
  const spec = (port: number) => ({ ips: [`10.0.0.1:${port}`], weights: [1] })

  it('REST stands above the file, the file above etcd; each comes back when the one above goes', async () => {
    const { table } = api.functions
    const etcd = table.source('etcd')
    etcd.put('golb/function/zone-b/f', 'zone-b', 'f', spec(3))
    table.replaceConfigured(new Map([['f', spec(2)]]))
    await api.request('PUT', '/functions/f', spec(1))
    const shown = async () => functionShape.parse(JSON.parse((await api.request('GET', '/functions/f')).body))
    const first = await shown()
    expect([first.source, first.zone, first.options.ips]).toEqual(['rest', '', ['10.0.0.1:1']])
    expect(
      first.sources.map(({ source, zone, decides, options }) => [source, zone, decides, options.ips[0]]),
    ).toEqual([
      ['rest', '', true, '10.0.0.1:1'],
      ['file', '', false, '10.0.0.1:2'],
      ['etcd', 'zone-b', false, '10.0.0.1:3'],
    ])
    expect((await api.request('DELETE', '/functions/f')).status).toBe(200)
    expect((await shown()).source).toBe('file')
    expect(await problem('DELETE', '/functions/f')).toBe(
      '409 function "f" belongs to the configuration file: delete it there',
    )
    table.replaceConfigured(new Map())
    await table.published()
    expect(await shown()).toMatchObject({ source: 'etcd', zone: 'zone-b', sources: [{ decides: true }] })
    expect(await problem('DELETE', '/functions/f')).toBe('409 function "f" belongs to etcd: delete it there')
    // What is in force is the ground of a PATCH.
    expect((await api.request('PATCH', '/functions/f', { weights: [9] })).status).toBe(200)
    expect(await shown()).toMatchObject({ source: 'rest', options: { ips: ['10.0.0.1:3'], weights: [9] } })
    etcd.remove('golb/function/zone-b/f', 'zone-b', 'f')
  })

  it('a file that is read again changes only what it has changed', async () => {
    const { table } = api.functions
    table.replaceConfigured(new Map(['same', 'other'].map((name) => [name, spec(1)])))
    await table.published()
    const before = table.function('same')!
    table.overlay('same', before.spec, [5], Date.now() + 60_000)
    await table.published()
    api.functions.applied.length = 0
    const again = new Map([
      ['same', spec(1)],
      ['other', spec(2)],
    ])
    table.replaceConfigured(again)
    await table.published()
    expect(api.functions.applied.map(({ name }) => name)).toEqual(['other'])
    expect(table.function('same')).toMatchObject({ overlay: { weights: [5] } })
    expect(table.function('other')).toMatchObject({ spec: spec(2) })
  })
})

describe('sources', () => {
  it('are shown with state, age, zones and what they hold back', async () => {
    const { table } = api.functions
    const etcd = table.source('etcd')
    const held = { since: 1_795_260_541_413, functions: ['f'], instances: 3, of: 4, onlyByOperator: true }
    const zone = {
      zone: 'zone-b',
      endpoint: 'http://127.0.0.1:2379',
      revision: 12,
      message: 'too many at once',
    }
    etcd.report('held', 'too many at once')
    api.functions.etcd = {
      status: () => ({ zones: [{ ...zone, state: 'held', age: 1500, held }] }),
      confirm: () => 0,
    }
    etcd.reject('golb/function/zone-b/bad', 'the value is not JSON')
    expect((await list()).sources).toEqual([
      {
        source: 'etcd',
        state: 'held',
        message: 'too many at once',
        age: 1.5,
        functions: 0,
        rejected: 1,
        zones: [
          {
            ...zone,
            state: 'held',
            age: 1.5,
            held: {
              since: '2026-11-21T11:29:01.413Z',
              functions: ['f'],
              instances: 3,
              of: 4,
              needs_confirmation: true,
            },
          },
        ],
      },
    ])
    api.functions.etcd = null
    etcd.settle('golb/function/zone-b/bad')
  })

  it('tell which keys cannot be used, also beside the function', async () => {
    const etcd = api.functions.table.source('etcd')
    const seen = api.events.since(0).at(-1)?.id ?? 0
    const key = 'golb/function/zone-b/f'
    etcd.put(key, 'zone-b', 'f', resnet)
    for (const reason of ['weights has 2 numbers for the 1 of ips', 'again', 'again'])
      etcd.reject(key, reason)
    const rejected = rejectedListShape.parse(
      JSON.parse((await api.request('GET', '/functions?rejected')).body),
    )
    expect(rejected).toEqual([{ source: 'etcd', key, reason: 'again', since: expect.any(String) }])
    const shown = functionShape.parse(JSON.parse((await api.request('GET', '/functions/f')).body))
    expect([shown.rejected, shown.options.weights]).toEqual([rejected, [3, 1]])
    const told = api.events.since(seen).flatMap(({ event }) => ('reason' in event ? [event.reason] : []))
    expect(told).toEqual(['weights has 2 numbers for the 1 of ips', 'again'])
    etcd.remove(key, 'zone-b', 'f')
    expect((await api.request('GET', '/functions?rejected')).body).toBe('[]')
  })

  it('a change of state is an event, the same state again is none', () => {
    const etcd = api.functions.table.source('etcd')
    const seen = api.events.since(0).at(-1)?.id ?? 0
    for (const message of ['cannot', 'still not']) etcd.report('starting', message)
    for (const message of ['', '', 'gone', 'still gone'])
      etcd.report(message === '' ? 'current' : 'stale', message)
    expect(api.events.since(seen).map(({ event }) => event)).toEqual([
      {
        at: expect.any(Number),
        type: 'source-changed',
        source: 'etcd',
        state: 'starting',
        message: 'cannot',
      },
      { at: expect.any(Number), type: 'source-changed', source: 'etcd', state: 'current', message: '' },
      { at: expect.any(Number), type: 'source-changed', source: 'etcd', state: 'stale', message: 'gone' },
    ])
    for (const message of ['a lost', 'a lost', 'a and b lost']) etcd.report('held', message)
    const held = api.events.since(seen).slice(3)
    expect(held.map(({ event }) => 'message' in event && event.message)).toEqual(['a lost', 'a and b lost'])
  })

  it('can be confirmed, and answer how many functions changed when that is in force', async () => {
    const { table } = api.functions
    const etcd = table.source('etcd')
    etcd.put('golb/function/zone-b/f', 'zone-b', 'f', resnet)
    await table.published()
    api.functions.etcd = {
      status: () => ({ zones: [] }),
      confirm: () => {
        etcd.remove('golb/function/zone-b/f', 'zone-b', 'f')
        return 1
      },
    }
    const { status, body } = await api.request('POST', '/sources/etcd/confirm')
    expect([status, JSON.parse(body)]).toEqual([200, { changes: 1 }])
    expect(table.names()).toEqual([])
    api.functions.etcd = null
    expect(await problem('POST', '/sources/etcd/confirm')).toBe(
      '404 this Torb follows no etcd: it was started without --etcd',
    )
    expect(await problem('POST', '/sources/file/confirm')).toBe(
      '404 source file never holds anything back: only etcd does',
    )
    expect(await problem('POST', '/sources/consul/confirm')).toBe(
      '400 source must be one of rest, file, etcd',
    )
  })
})
