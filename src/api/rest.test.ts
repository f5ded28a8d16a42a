import * as fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { defaultWeight } from '../model/backend.ts'
import { emptied, injectedApi, type InjectedApi } from '../../test/fixtures/api.ts'
import { backendShape, fullServiceListShape, serviceShape } from './wire.ts'

let api: InjectedApi
beforeAll(async () => {
  api = await injectedApi()
})
afterAll(async () => api[Symbol.asyncDispose]())
beforeEach(() => emptied(api))

const service = { host: '10.0.0.1', port: 4444, protocol: 'tcp', method: 'rr', persistent: true }
const backend = { host: '172.17.0.2', port: 4444, method: 'nat', weight: 100, pulse: { type: 'none' } }

async function withOne(): Promise<void> {
  expect((await api.request('PUT', '/service/0', service)).status).toBe(200)
  expect((await api.request('PUT', '/service/0/1', backend)).status).toBe(200)
}

const problem = async (...request: Parameters<InjectedApi['request']>) => {
  const { status, headers, body } = await api.request(...request)
  expect(headers['content-type']).toBe('application/json')
  const { error, ...rest } = JSON.parse(body) as { error: string }
  expect(rest).toEqual({})
  expect(body).toBe(`{\n\t"error": ${JSON.stringify(error)}\n}`)
  return `${status} ${error}`
}

describe('the wire', () => {
  it('a write answers 200, empty, without a type', async () => {
    for (const [method, path, body] of [
      ['PUT', '/service/0', service],
      ['PUT', '/service/0/1', backend],
      ['PATCH', '/service/0', { method: 'wlc' }],
      ['PATCH', '/service/0/1', { weight: 7 }],
      ['DELETE', '/service/0/1', undefined],
      ['DELETE', '/service/0', undefined],
    ] as const) {
      const answer = await api.request(method, path, body)
      expect([answer.status, answer.body, answer.headers['content-type']], `${method} ${path}`).toEqual([
        200,
        '',
        undefined,
      ])
    }
  })

  it('GET has the keys of GORB first and in its order', async () => {
    await withOne()
    await api.request('PUT', '/service/empty', { ...service, port: 1 })
    const one = await api.request('GET', '/service/0')
    expect(one.headers['content-type']).toBe('application/json')
    expect(one.body.slice(0, one.body.indexOf(',\n\t"owner"'))).toBe(
      '{\n\t"options": {\n\t\t"host": "10.0.0.1",\n\t\t"port": 4444,\n\t\t"protocol": "tcp",\n\t\t"method": "rr",\n\t\t"flags": "",\n\t\t"persistent": true,\n\t\t"fallback": "fb-default"\n\t},\n\t"health": 0,\n\t"backends": [\n\t\t"1"\n\t],\n\t"backends_count": 1,\n\t"fallback": "fb-default"',
    )
    expect((await api.request('GET', '/service/empty')).body).toContain(
      '"health": 0,\n\t"backends": [],\n\t"backends_count": 0',
    )
    const { body } = await api.request('GET', '/service/0/1')
    expect(body.slice(0, body.indexOf(',\n\t"reason"'))).toBe(
      '{\n\t"options": {\n\t\t"host": "172.17.0.2",\n\t\t"port": 4444,\n\t\t"weight": 100,\n\t\t"method": "nat",\n\t\t"pulse": {\n\t\t\t"type": "none",\n\t\t\t"interval": "1m",\n\t\t\t"args": null\n\t\t},\n\t\t"max_weight": 100\n\t},\n\t"metrics": {\n\t\t"status": 0,\n\t\t"health": 0,\n\t\t"uptime": 0\n\t}',
    )
    expect((await api.request('GET', '/service')).body).toBe('[\n\t"0",\n\t"empty"\n]')
  })

  it('answers as its schemas say', async () => {
    await withOne()
    await api.request('PUT', '/service/mark', { fwmark: 7, persistence: { netmask: 24 }, drain: '5s' })
    const read = async (path: string): Promise<unknown> => JSON.parse((await api.request('GET', path)).body)
    for (const id of ['0', 'mark']) serviceShape.strict().parse(await read(`/service/${id}`))
    backendShape.strict().parse(await read('/service/0/1'))
    const full = fullServiceListShape.parse(await read('/service?full'))
    expect(full.map(({ id, backends }) => [id, backends.map((backend) => backend.id)])).toEqual([
      ['0', ['1']],
      ['mark', []],
    ])
    const { id: _id, backends: _backends, ...inFull } = full[0] ?? {}
    const { backends: _ids, ...alone } = serviceShape.parse(await read('/service/0'))
    expect(inFull).toEqual(alone)
  })

  it('an empty list in full', async () => {
    expect((await api.request('GET', '/service?full')).body).toBe('[]')
  })

  it('shows objects without statistics where the plane gives none', async () => {
    await withOne()
    const counters = api.plane.counters.bind(api.plane)
    api.plane.counters = () => Promise.reject(new Error('gone'))
    expect((await api.request('GET', '/service/0')).body).toContain('"statistics": null')
    api.plane.counters = counters
  })

  it.each([
    ['GET', '/service/', 404, '404 page not found\n'],
    ['GET', '/nowhere', 404, '404 page not found\n'],
    ['PUT', '/service/0/1/2', 404, '404 page not found\n'],
    ['POST', '/service/0', 405, ''],
    ['PUT', '/service', 405, ''],
    ['HEAD', '/service', 405, ''],
    ['PROPFIND', '/service', 405, ''],
    ['GET', '/counters/zero', 405, ''],
    ['DELETE', '/counters/zero/0', 405, ''],
    ['POST', '/counters', 404, '404 page not found\n'],
    ['POST', '/counters/zero/0/1', 404, '404 page not found\n'],
    ['GET', '//service/./0', 301, ''],
  ])('%s %s: %s', async (method, path, status, body) => {
    const answer = await api.request(method, path)
    expect([answer.status, answer.body]).toEqual([status, body])
    expect(answer.headers['allow']).toBeUndefined()
    if (status === 404) expect(answer.headers['content-type']).toBe('text/plain; charset=utf-8')
    if (status === 301) expect(answer.headers['location']).toBe('/service/0')
  })

  it('ids are decoded segments', async () => {
    expect((await api.request('PUT', '/service/a%20%C3%A9%3F', service)).status).toBe(200)
    expect(api.control.serviceIds()).toEqual(['a é?'])
    expect((await api.request('GET', '/service/a%20é%3f')).status).toBe(200)
    for (const id of ['__proto__', 'constructor', '...']) {
      expect((await api.request('GET', `/service/${id}`)).status).toBe(404)
    }
  })
})

describe('bodies', () => {
  it.each([
    ['', 'EOF'],
    [' \n', 'EOF'],
    ['{"port": 1', 'unexpected EOF: the body ends within a value'],
    ['{"host": "', 'unexpected EOF: the body ends within a value'],
    ['null', 'endpoint information is missing'],
    ['{}', 'endpoint information is missing'],
    ['[]', 'must be an object, not an array'],
    ['7', 'must be an object, not a number'],
    ['{"port": 0}', 'endpoint information is missing'],
    ['{"port": 1, "protocol": "ip"}', 'specified protocol is unknown'],
    ['{"port": 1, "flags": "sh-port|x"}', 'specified flag is unknown'],
    ['{"port": 1, "fallback": "x"}', 'specified fallback flag is unknown'],
    ['{"port": 65536}', 'port must be at most 65535'],
    ['{"port": "80"}', 'port must be a whole number from 1 to 65535, or "any"'],
    ['{"port": 1, "fwmark": 1e99}', 'fwmark must be at most 4294967295'],
    [
      '{"port": 1, "backends": {"a": {"host": "10.0.0.1", "port": 1, "weight": 1e99}}}',
      'backends.a.weight must be a whole number from 0 to 2147483647',
    ],
    ['{"port": 1, "host": 7}', 'host must be a string, not a number'],
    ['{"port": 1, "persistent": "yes"}', 'persistent must be a boolean, not a string'],
    ['{"port": 1, "persistence": {"timeout": 0.5}}', 'persistence.timeout must be a whole number'],
    [
      '{"port": 1, "persistence": {"tiemout": 1}}',
      'persistence: unknown field "tiemout" (did you mean "timeout"?): allowed are timeout, netmask',
    ],
    ['[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1', 'the body is nested deeper than 32 levels'],
    [Buffer.from('{"host": "\xff"}', 'latin1'), 'the body is not valid UTF-8'],
    [`{"port": 1, "x": "${'x'.repeat(1024 * 1024)}"}`, 'the body is larger than 1 MiB (1048576 bytes)'],
  ])('%s', async (body, expected) => {
    expect(await problem('PUT', '/service/0', body)).toBe(`400 ${expected}`)
    expect(api.control.serviceIds()).toEqual([])
  })

  it('names an unknown field and all there are', async () => {
    const answer = await problem('PUT', '/service/0', { port: 1, '': 1, metod: 'rr' })
    expect(answer).toMatch(
      /^400 unknown field "": allowed are host, .*; unknown field "metod" \(did you mean "method"\?\): /,
    )
    expect(await problem('PUT', '/service/0', '{"port": 1, "__proto__": {"host": "10.0.0.9"}}')).toContain(
      'unknown field "__proto__"',
    )
  })

  it('field names match in any case, text after the value is ignored', async () => {
    expect(
      (
        await api.request(
          'PUT',
          '/service/0',
          '{"HOST":"10.0.0.1","Port":80,"port":81,"Persistence":{"TIMEOUT":5}} x',
        )
      ).status,
    ).toBe(200)
    expect(api.control.service('0')?.options).toMatchObject({
      host: '10.0.0.1',
      port: 81,
      persistence: { timeout: 5 },
    })
  })

  it.each([
    ['text/plain', 'not text/plain'],
    ['application/x-www-form-urlencoded', 'not application/x-www-form-urlencoded'],
    ['application/jsonx', 'not application/jsonx'],
    ['text/plain;application/json', 'not text/plain'],
    ['', 'and this one names no type'],
  ])('of type "%s" are refused', async (type, what) => {
    expect(await problem('PUT', '/service/0', '{}', { 'content-type': type })).toBe(
      `415 a body must be application/json, ${what}: add -H "Content-Type: application/json"`,
    )
  })

  it('may say their charset', async () => {
    expect(
      (await api.request('PUT', '/service/0', service, { 'content-type': 'Application/JSON; charset=utf-8' }))
        .status,
    ).toBe(200)
  })

  it('fuzzed: never a 5xx, and no change where they are refused', async () => {
    const key = fc.oneof(
      fc.constantFrom(
        'host',
        'port',
        'weight',
        'method',
        'pulse',
        'args',
        'flags',
        'persistence',
        'limits',
        '__proto__',
      ),
      fc.string(),
    )
    const value = fc.letrec((tie) => ({
      any: fc.oneof({ depthSize: 'small' }, fc.jsonValue(), fc.dictionary(key, tie('any'), { maxKeys: 6 })),
    })).any
    const body = fc.oneof(
      value.map((json) => JSON.stringify(json)),
      fc.string({ unit: 'binary' }),
      fc.tuple(value, fc.nat(200)).map(([json, at]) => JSON.stringify(json).slice(0, at)),
      fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes)),
    )
    const route = fc.constantFrom(
      ['PUT', '/service/f'],
      ['PUT', '/service/0/f'],
      ['PATCH', '/service/0'],
      ['PATCH', '/service/0/1'],
    )
    await withOne()
    await fc.assert(
      fc.asyncProperty(route, body, async ([method = '', path = ''], text) => {
        const before = api.store.dump()
        const { status } = await api.request(method, path, text)
        if (status !== 200) {
          expect([400, 409]).toContain(status)
          expect(api.store.dump()).toEqual(before)
        } else if (path.endsWith('f')) {
          await api.request('DELETE', path)
        }
      }),
      { numRuns: 500 },
    )
  })
})

describe('paths and queries', () => {
  it('fuzzed: never a 5xx, and nothing created', async () => {
    const piece = fc.oneof(
      fc.constantFrom(
        'service',
        'functions',
        'sources',
        'etcd',
        'confirm',
        '0',
        '1',
        'explain',
        'metrics',
        'plane',
        'counters',
        'zero',
        '..',
        '.',
        '',
        '%2f',
        '%00',
        '%zz',
        '%ff',
        '__proto__',
      ),
      fc.webSegment(),
    )
    const pair = fc.tuple(
      fc.constantFrom('full', 'rejected', 'drain', 'source', 'destination', 'protocol', 'x', '__proto__'),
      fc.webQueryParameters(),
    )
    const target = fc
      .tuple(fc.array(piece, { maxLength: 5 }), fc.array(pair, { maxLength: 3 }))
      .map(
        ([pieces, pairs]) =>
          `/${pieces.join('/')}?${pairs.map(([name, value]) => `${name}=${value}`).join('&')}`,
      )
    const method = fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE')
    await withOne()
    const before = api.store.dump()
    await fc.assert(
      fc.asyncProperty(method, target, async (method, target) => {
        fc.pre(method !== 'DELETE' || !/^\/(\/|\.\/)*service\/[01]/.test(target))
        expect((await api.request(method, target)).status, `${method} ${target}`).toBeLessThan(500)
      }),
      { numRuns: 500 },
    )
    expect(api.store.dump()).toEqual(before)
  })
})

describe('refusals', () => {
  it('have the status of their kind', async () => {
    await withOne()
    expect(await problem('PUT', '/service/0', service)).toBe('409 specified object already exists')
    expect(await problem('PUT', '/service/0/1', backend)).toBe('409 specified object already exists')
    for (const [method, path] of [
      ['GET', '/service/x'],
      ['GET', '/service/0/x'],
      ['DELETE', '/service/x'],
      ['DELETE', '/service/0/x'],
      ['DELETE', '/service/x/1'],
    ] as const) {
      expect(await problem(method, path)).toBe('404 unable to locate specified object')
    }
    expect(await problem('PATCH', '/service/x', {})).toBe('404 unable to locate specified object')
    expect(await problem('PUT', '/service/x/1', backend)).toBe('404 unable to locate specified object')
    expect(await problem('PUT', '/service/x/1', {})).toBe('400 endpoint information is missing')
    expect(await problem('PATCH', '/service/0', { port: 5 })).toMatch(/^400 /)
    expect(await problem('PUT', '/service/0/2', { ...backend, host: '::1' })).toBe(
      '400 incompatible address families',
    )
    expect(await problem('PUT', '/service/0/2', { ...backend, vsid: '7' })).toMatch(/^400 vsid "7" is not/)
    expect(await problem('PUT', '/service/0/2', { ...backend, weight: -1 })).toMatch(/^400 weight must be/)
    expect(await problem('DELETE', '/service/0/1?drain=soon')).toMatch(/^400 drain "soon" is not a duration/)
    expect(await problem('DELETE', '/service/0/1?drian=30s')).toBe(
      '400 unknown field "drian" (did you mean "drain"?): allowed are wait, timeout, drain',
    )
    expect(await problem('GET', `/service/${'x'.repeat(256)}`)).toBe(
      '400 vs must have at most 255 characters',
    )
    expect(await problem('GET', '/service/a%2Fb')).toMatch(/^400 vs \(id of the service\) must hold no slash/)
    expect(await problem('GET', '/service/%ff')).toMatch(/^400 /)
  })

  it('by the plane are 500 with its reason, and leave nothing', async () => {
    api.plane.refuse = () => 'port 4444 is taken by another program: stop it'
    expect(await problem('PUT', '/service/0', service)).toContain('500 ')
    expect(await problem('PUT', '/service/0', service)).toContain('port 4444 is taken')
    expect(api.control.serviceIds()).toEqual([])
  })

  it('of an unforeseen kind are 500 in plain words, with the cause in the log', async () => {
    const explain = api.plane.explain.bind(api.plane)
    api.plane.explain = () => Promise.reject(new TypeError('a secret inside'))
    expect(await problem('GET', '/explain?source=1.2.3.4&destination=10.0.0.1:80')).toBe(
      '500 Torb failed to answer this request; its log says why',
    )
    expect(api.log()).toContain('a secret inside')
    api.plane.explain = explain
    expect(await problem('GET', '/explain?source=fe80::1&destination=10.0.0.1:80')).toBe(
      '400 source fe80::1 and destination 10.0.0.1 are of different families: give a client of IPv4',
    )
    expect(await problem('GET', '/explain?source=x&destination=10.0.0.1:80')).toMatch(
      /^400 source "x" is not an address and port/,
    )
    expect(await problem('GET', '/explain')).toMatch(/^400 source must be a string, not absent/)
  })
})

describe('weights', () => {
  it('default, drained at creation, patched, with the configured one beside', async () => {
    await withOne()
    const { weight: _weight, ...unweighted } = backend
    await api.request('PUT', '/service/0/2', { ...unweighted, host: '172.17.0.3' })
    await api.request('PUT', '/service/0/3', { ...backend, host: '172.17.0.4', weight: 0 })
    await api.request('PATCH', '/service/0/1', { weight: 0 })
    await api.request('PATCH', '/service/0/2', '{}')
    const shown = await Promise.all(
      ['1', '2', '3'].map(async (id) => {
        const { options } = backendShape.parse(
          JSON.parse((await api.request('GET', `/service/0/${id}`)).body),
        )
        return [options.weight, options.max_weight]
      }),
    )
    expect(shown).toEqual([
      [0, 0],
      [defaultWeight, defaultWeight],
      [0, 0],
    ])
  })

  it('of a service that is persistent: kept, and said in the log to pin nobody', async () => {
    await withOne()
    expect(api.log()).toContain('pins no client')
  })
})
