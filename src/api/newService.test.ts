import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { emptied, injectedApi, type InjectedApi } from '../../test/fixtures/api.ts'

let api: InjectedApi
beforeAll(async () => {
  api = await injectedApi()
})
afterAll(async () => api[Symbol.asyncDispose]())
beforeEach(() => emptied(api))

const pulse = { type: 'none' }
const one = { host: '172.17.0.2', port: 4444, weight: 3, pulse }
const two = { host: '172.17.0.3', port: 4444, pulse }
const service = { host: '10.0.0.1', port: 4444 }
const put = (body: unknown) => api.request('PUT', '/service/web', body)

describe('a service with its backends', () => {
  it('is written at once, in the order given, and told as if one came after the other', async () => {
    const before = api.control.events.since(0).length
    const answer = await put({ ...service, backends: { b: one, A: two, ' ': { ...two, port: 1 } } })
    expect([answer.status, answer.body]).toEqual([200, ''])
    expect(api.control.backends('web').map(({ id, options }) => [id, options.host, options.port])).toEqual([
      ['b', '172.17.0.2', 4444],
      ['A', '172.17.0.3', 4444],
      [' ', '172.17.0.3', 1],
    ])
    const held = (await Array.fromAsync(api.plane.observe(['web']))).at(0)?.[1]
    expect(held?.destinations.map(({ address, weight }) => [address, weight])).toEqual([
      ['172.17.0.2', 3],
      ['172.17.0.3', 100],
      ['172.17.0.3', 100],
    ])
    const events = api.control.events.since(0).slice(before)
    expect(events.map(({ event }) => event.type)).toEqual([
      'service-created',
      'backend-created',
      'backend-created',
      'backend-created',
    ])
    // What the file or GORB would do next is possible.
    expect((await api.request('PATCH', '/service/web/A', { weight: 1 })).status).toBe(200)
    expect((await api.request('PUT', '/service/web/b', one)).status).toBe(409)
    expect((await put({ ...service, backends: {} })).status).toBe(409)
  })

  it('fields of a backend match in any case, ids do not', async () => {
    expect(
      (await put('{"HOST":"10.0.0.1","port":1,"Backends":{"Host":{"HOST":"172.17.0.2","port":2}}}')).status,
    ).toBe(200)
    expect(api.control.backends('web').map(({ id, options }) => [id, options.host])).toEqual([
      ['Host', '172.17.0.2'],
    ])
  })

  it.each([
    ['a port too many', { a: one, b: { ...two, port: 65_536 } }, '400 backends.b.port must be at most 65535'],
    ['no port', { a: one, b: { host: '172.17.0.3' } }, '400 backend "b": endpoint information is missing'],
    [
      'an unknown field',
      { a: { ...one, wieght: 1 } },
      /^400 backends\.a: unknown field "wieght" \(did you mean "weight"\?\)/,
    ],
    [
      'the address of another',
      { a: one, b: one },
      '409 backend "b": specified object already exists: backend "a" of service "web" is 172.17.0.2:4444 already',
    ],
    ['another family', { a: one, b: { ...two, host: '::1' } }, /^400 backend "b": /],
    ['another service', { a: { ...one, vsid: 'x' } }, /^400 backend "a": vsid "x" is not this service/],
    ['a slash in its id', { 'a/b': one }, /^400 .*must hold no slash/],
    ['no object', [one], /^400 backends must be an object/],
  ])('%s refuses all of it', async (_, backends, expected) => {
    const { status, body } = await put({ ...service, backends })
    const text = `${status} ${(JSON.parse(body) as { error: string }).error}`
    if (typeof expected === 'string') expect(text).toBe(expected)
    else expect(text).toMatch(expected)
    expect(api.control.serviceIds()).toEqual([])
  })

  it('that the plane refuses is not there', async () => {
    api.plane.refuse = () => 'no room'
    expect((await put({ ...service, backends: { a: one } })).status).toBe(500)
    expect(api.control.serviceIds()).toEqual([])
  })

  it('PATCH takes no backends: each has a path of its own', async () => {
    await put(service)
    const { status, body } = await api.request('PATCH', '/service/web', { backends: { a: one } })
    expect([status, body]).toEqual([400, expect.stringContaining('unknown field \\"backends\\"')])
  })
})
