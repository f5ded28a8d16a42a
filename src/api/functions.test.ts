import * as fc from 'fast-check'
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
      expect(await problem('GET', `/functions/${unknown}`)).toBe('404 unable to locate specified object')
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
    for (const message of ['', '', 'gone']) etcd.report(message === '' ? 'current' : 'stale', message)
    expect(api.events.since(seen).map(({ event }) => event)).toEqual([
      { at: expect.any(Number), type: 'source-changed', source: 'etcd', state: 'current', message: '' },
      { at: expect.any(Number), type: 'source-changed', source: 'etcd', state: 'stale', message: 'gone' },
    ])
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
    expect(await problem('POST', '/sources/etcd/confirm')).toBe('404 unable to locate specified object')
    expect(await problem('POST', '/sources/file/confirm')).toBe('404 unable to locate specified object')
    expect(await problem('POST', '/sources/consul/confirm')).toBe(
      '400 source must be one of rest, file, etcd',
    )
  })
})

describe('what is refused changes nothing', () => {
  const bodies: readonly (readonly [body: string, error: string])[] = [
    ['', 'EOF'],
    ['{"ips": [', 'unexpected EOF: the body ends within a value'],
    ['[]', 'must be an object, not an array'],
    ['null', 'ips must be an array, not absent; weights must be an array, not absent'],
    ['{"ips": ["a.test"]}', 'weights must be an array, not absent'],
    ['{"ips": "a.test", "weights": [1]}', 'ips must be an array, not a string'],
    [
      '{"ips": ["a.test"], "weights": [1, 2]}',
      'weights has 2 numbers for the 1 of ips: give one weight for each instance',
    ],
    ['{"ips": ["a.test"], "weights": [-1]}', 'weights.0 must not be negative: give 0 to send it nothing'],
    ['{"ips": ["a.test"], "weights": ["3"]}', 'weights.0 must be a number from 0 up'],
    ['{"ips": ["a.test"], "weights": [1e10]}', 'weights.0 must be at most 1000000000'],
    [
      '{"ips": ["http://a.test/"], "weights": [1]}',
      'ips: "http://a.test/" is no instance: leave the scheme and the path away',
    ],
    [
      '{"ips": ["a.test:0"], "weights": [1]}',
      'ips: "a.test:0" is no instance: write host or host:port, an IPv6 address in brackets',
    ],
    [
      '{"ips": ["nowhere.invalid"], "weights": [1]}',
      'ips: "nowhere.invalid" is neither an address nor a name that resolves: no such name as nowhere.invalid',
    ],
    [
      '{"ips": ["127.0.0.1:4672"], "weights": [1]}',
      "instance 127.0.0.1:4672 is Torb's own API: balancing to it would let strangers in as local; name the port of a server",
    ],
    [
      '{"ips": [], "weights": [], "metod": "wrr"}',
      'unknown field "metod" (did you mean "method"?): allowed are ips, weights, ',
    ],
    ['{"ips": [], "weights": [], "method": "rr"}', 'method must be one of wrr, least-request, hash'],
    ['{"ips": [], "weights": [], "hash_header": "X-A"}', 'hash_header needs "method": "hash"'],
    [
      '{"ips": [], "weights": [], "method": "hash", "hash_header": "X A"}',
      'hash_header must be the name of a header field',
    ],
    [
      '{"ips": [], "weights": [], "limits": {"queue": 1}}',
      'limits.queue needs limits.in_flight: nobody waits where nothing is full',
    ],
    ['{"ips": [], "weights": [], "limits": {"in_flight": 0}}', 'limits.in_flight must be at least 1'],
    [
      '{"ips": [], "weights": [], "limits": {"wait": "soon"}}',
      'limits.wait: invalid interval format, such as 2s',
    ],
    ['{"ips": [], "weights": [], "retries": 9}', 'retries must be at most 8'],
    ['{"ips": [], "weights": [], "ejection": {"base": "-1s"}}', 'ejection.base: '],
    [`{"ips": [], "weights": [], "x": "${'x'.repeat(1024 * 1024)}"}`, 'the body is larger than 1 MiB'],
  ]

  it.each(bodies.map(([body, error]) => [body.slice(0, 80), body, error] as const))(
    '%s',
    async (_, body, error) => {
      await api.request('PUT', '/functions/kept', resnet)
      const [stored, applied] = [api.store.dump(), api.functions.applied.length]
      for (const name of ['kept', 'new']) {
        const told = await problem('PUT', `/functions/${name}`, body)
        expect(told.slice(0, 4 + error.length)).toBe(`400 ${error}`)
      }
      expect([api.store.dump(), api.functions.applied.length]).toEqual([stored, applied])
      expect(api.functions.table.names()).toEqual(['kept'])
    },
  )

  it.each([
    ['PUT', '/functions/a%2Fb', 400, 'must hold no slash'],
    ['PUT', '/functions/a%20b', 400, 'cannot stand in a path as it is'],
    ['PUT', `/functions/${'x'.repeat(256)}`, 400, 'at most 255'],
    ['PATCH', '/functions/nobody', 404, 'unable to locate'],
    ['DELETE', '/functions/nobody', 404, 'unable to locate'],
    ['GET', '/functions?ful', 400, 'did you mean "full"?'],
    ['GET', '/functions?full=no', 400, 'full takes no value'],
    ['GET', '/functions?full&rejected', 400, 'give one of them'],
  ])('%s %s: %i', async (method, path, status, reason) => {
    const before = api.store.dump()
    const body = method === 'PUT' ? resnet : method === 'PATCH' ? {} : undefined
    expect(await problem(method, path, body)).toMatch(new RegExp(`^${status} .*${RegExp.escape(reason)}`))
    expect(api.store.dump()).toBe(before)
  })

  it.each([
    ['POST', '/functions/f', 405],
    ['PUT', '/functions', 405],
    ['GET', '/sources/etcd/confirm', 405],
    ['GET', '/functions/', 404],
    ['GET', '/sources', 404],
  ])('%s %s: %i', async (method, path, status) => {
    expect((await api.request(method, path)).status).toBe(status)
  })

  it('by those who may not', async () => {
    const before = api.store.dump()
    for (const [headers, status] of [
      [{ 'x-forwarded-for': '192.0.2.1' }, 401],
      [{ origin: 'http://elsewhere.example' }, 403],
      [{ 'content-type': 'text/plain' }, 415],
    ] as const) {
      expect((await api.request('PUT', '/functions/f', resnet, headers)).status).toBe(status)
      expect((await api.request('POST', '/sources/etcd/confirm', {}, headers)).status).toBe(status)
    }
    expect(api.store.dump()).toBe(before)
  })

  it('where the disk is full', async () => {
    await api.request('PUT', '/functions/f', resnet)
    const applied = api.functions.applied.length
    api.store.full = true
    expect(await problem('PUT', '/functions/f', { ips: [], weights: [] })).toBe('507 no room in the test')
    expect(await problem('PATCH', '/functions/f', { weights: [1, 1] })).toMatch(/^507 /)
    expect(await problem('DELETE', '/functions/f')).toMatch(/^507 /)
    api.store.full = false
    expect(api.functions.applied).toHaveLength(applied)
    expect(api.functions.table.function('f')?.spec.weights).toEqual([3, 1])
  })

  it('fuzzed: never a 5xx', async () => {
    const key = fc.oneof(
      fc.constantFrom('ips', 'weights', 'method', 'limits', 'ejection', 'retries', '__proto__', 'in_flight'),
      fc.string(),
    )
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { depthSize: 'small' },
        fc.jsonValue(),
        fc.constantFrom(['a.test'], [1], 'wrr', 'hash'),
        fc.dictionary(key, tie('any'), { maxKeys: 6 }),
      ),
    })).any
    const body = fc.oneof(value.map(text), fc.string({ unit: 'binary' }))
    const name = fc.oneof(fc.constantFrom('f', 'kept', '__proto__', '...'), fc.webSegment())
    await api.request('PUT', '/functions/kept', resnet)
    await fc.assert(
      fc.asyncProperty(fc.constantFrom('PUT', 'PATCH'), name, body, async (method, name, body) => {
        const before = api.store.dump()
        const { status } = await api.request(method, `/functions/${name}`, body)
        if (status !== 200) {
          expect([301, 400, 404, 405]).toContain(status)
          expect(api.store.dump()).toBe(before)
        }
      }),
      { numRuns: 300 },
    )
  })
})
