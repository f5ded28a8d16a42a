import * as fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { injectedApi, type InjectedApi } from '../../test/fixtures/api.ts'

let api: InjectedApi
beforeAll(async () => {
  api = await injectedApi()
})
afterAll(async () => api[Symbol.asyncDispose]())
beforeEach(async () => {
  const { table } = api.functions
  for (const name of table.names()) await table.remove(name)
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
      'limits.wait: "soon" must be a whole number above 0 with its unit, s, m or h, such as 2s',
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
    ['PATCH', '/functions/nobody', 404, 'no function "nobody" is in force'],
    ['DELETE', '/functions/nobody', 404, 'no function "nobody" is in force'],
    ['GET', '/functions?ful', 400, 'did you mean "full"?'],
    ['GET', '/functions?full=no', 400, 'full takes no value'],
    ['GET', '/functions?full&rejected', 400, 'full and rejected ask for different things: give one of them'],
    ['GET', '/functions?limit=2&rejected', 400, 'limit and rejected ask for different things'],
    ['GET', '/functions?limit=0', 400, 'limit must be a number from 1 up'],
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
