import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { injectedApi, type InjectedApi } from '../../test/fixtures/api.ts'
import { Refusal } from '../model/refusal.ts'
import { serviceShape } from './wire.ts'

let api: InjectedApi
let zeroed: (readonly string[] | undefined)[]
beforeAll(async () => {
  api = await injectedApi()
  await api.request('PUT', '/service/web', { host: '10.0.0.1', port: 80 })
})
beforeEach(() => {
  zeroed = []
  api.plane.zero = (keys?: readonly string[]) => Promise.resolve(void zeroed.push(keys))
})
afterAll(async () => api[Symbol.asyncDispose]())

const lastEvent = () => api.events.since(0).at(-1)?.event

it('are zeroed for all services', async () => {
  const { status, body } = await api.request('POST', '/counters/zero')
  expect([status, body, zeroed]).toEqual([200, '', [undefined]])
  expect(lastEvent()).toEqual({ at: expect.any(Number), type: 'counters-zeroed' })
})

it('are zeroed for one', async () => {
  expect((await api.request('POST', '/counters/zero/web', {})).status).toBe(200)
  expect(zeroed).toEqual([['web']])
  expect(lastEvent()).toEqual({ at: expect.any(Number), type: 'counters-zeroed', service: 'web' })
})

it.each([
  ['/counters/zero/nobody', {}, 404],
  ['/counters/zero/a%2Fb', {}, 400],
  ['/counters/zero/web', { 'content-type': 'text/plain' }, 415],
  ['/counters/zero', { origin: 'http://elsewhere.example' }, 403],
  ['/counters/zero', { 'x-forwarded-for': '192.0.2.1' }, 401],
])('%s with %o: %i, and nothing is zeroed', async (path, headers, status) => {
  const body = 'content-type' in headers ? 'x=y' : undefined
  expect((await api.request('POST', path, body, headers)).status).toBe(status)
  expect(zeroed).toEqual([])
})

it('say what the plane says where it refuses', async () => {
  api.plane.zero = () =>
    Promise.reject(new Refusal('unreachable', 'the kernel does not answer: look at dmesg'))
  const before = lastEvent()
  const { status, body } = await api.request('POST', '/counters/zero')
  expect([status, JSON.parse(body)]).toEqual([503, { error: 'the kernel does not answer: look at dmesg' }])
  expect(lastEvent()).toEqual(before)
})

it('have rates where the plane measures them', async () => {
  const counters = api.plane.counters.bind(api.plane)
  const read = async () => {
    const { body } = await api.request('GET', '/service/web')
    return serviceShape.parse(JSON.parse(body)).statistics?.rates
  }
  expect(await read()).toBe(null)
  const rates = { connections: 1 / 3, packetsIn: 2, packetsOut: 3, bytesIn: 1e9, bytesOut: 5.0004 }
  api.plane.counters = async () =>
    new Map([...(await counters())].map(([id, counted]) => [id, { ...counted, rates }]))
  expect(await read()).toEqual({
    connections: 0.333,
    packets_in: 2,
    packets_out: 3,
    bytes_in: 1e9,
    bytes_out: 5,
  })
  expect((await api.request('GET', '/metrics')).body).toContain(
    'torb_service_received_bytes_per_second{service="web"} 1000000000\n',
  )
  api.plane.counters = counters
})

it('have the queue where there can be one', async () => {
  const counters = api.plane.counters.bind(api.plane)
  const read = async () => {
    const { body } = await api.request('GET', '/service/web')
    const { body: metrics } = await api.request('GET', '/metrics')
    const lines = metrics.match(/^torb_service_(waiting|unserved)_.*$/gm)
    return [serviceShape.parse(JSON.parse(body)).statistics?.queue, lines]
  }
  expect(await read()).toEqual([undefined, null])
  const queue = { waiting: 1, overloaded: 2, expired: 3 }
  api.plane.counters = async () =>
    new Map([...(await counters())].map(([id, counted]) => [id, { ...counted, queue }]))
  expect(await read()).toEqual([
    queue,
    [
      'torb_service_waiting_requests{service="web"} 1',
      'torb_service_unserved_requests_total{service="web",reason="overloaded"} 2',
      'torb_service_unserved_requests_total{service="web",reason="expired"} 3',
    ],
  ])
  api.plane.counters = counters
})
