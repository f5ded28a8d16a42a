import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { injectedApi, type InjectedApi } from '../../test/fixtures/api.ts'
import { NetworkPlane } from '../../test/fixtures/networkPlane.ts'
import { waitOf } from './wait.ts'

let plane: NetworkPlane
let api: InjectedApi
beforeEach(async () => {
  plane = new NetworkPlane()
  api = await injectedApi([], undefined, plane)
})
afterEach(() => api[Symbol.asyncDispose]())

const service = { host: '10.0.0.1', port: 80, method: 'rr' }
const backend = { host: '10.0.0.2', port: 80, pulse: { type: 'none' } }
const writes = [
  ['PUT', '/service/web', service],
  ['PUT', '/service/web/a', backend],
  ['PATCH', '/service/web', { method: 'sh' }],
  ['PATCH', '/service/web/a', { weight: 7 }],
  ['DELETE', '/service/web/a', undefined],
  ['DELETE', '/service/web', undefined],
] as const
/** Confirms each change as soon as it was accepted. */
function confirmAll(lagging: readonly string[] = []): void {
  const apply = plane.apply.bind(plane)
  plane.apply = async (changes) => {
    const outcomes = await apply(changes)
    for (const change of changes) setImmediate(() => plane.confirm(change, lagging))
    return outcomes
  }
}
const reconcile = async () => {
  const { body } = await api.request('GET', '/service/web')
  const { since: _, ...rest } = (JSON.parse(body) as { reconcile: Record<string, unknown> }).reconcile
  return rest
}

describe('?wait=applied', () => {
  it('every write may be answered when it is in effect', async () => {
    confirmAll()
    for (const [method, path, body] of writes) {
      const { status, body: answer } = await api.request(method, `${path}?wait=applied&timeout=1m`, body)
      expect([status, JSON.parse(answer)], `${method} ${path}`).toEqual([
        200,
        { state: 'applied', lagging: [] },
      ])
    }
  })

  it('after the time it is 200 as well, with who lags', async () => {
    confirmAll(['hv1', 'hv2'])
    const { status, body } = await api.request('PUT', '/service/web?wait=applied&timeout=1s', service)
    expect([status, JSON.parse(body)]).toEqual([200, { state: 'accepted', lagging: ['hv1', 'hv2'] }])
    expect(await reconcile()).toEqual({
      state: 'accepted',
      message: 'not in effect yet on hv1, hv2',
      lagging: ['hv1', 'hv2'],
    })
  })

  it('without it a write is answered at once, with nothing in it', async () => {
    for (const [method, path, body] of writes) {
      const answer = await api.request(method, path, body)
      expect([answer.status, answer.body]).toEqual([200, ''])
    }
  })

  it('a write that is refused is refused', async () => {
    plane.refuse = () => 'no'
    expect((await api.request('PUT', '/service/web?wait=applied', service)).status).toBe(500)
    expect((await api.request('DELETE', '/service/none?wait=applied')).status).toBe(404)
  })

  it.each([
    ['?wait=yes', 'wait must be "applied"'],
    ['?timeout=5s', 'timeout is how long wait=applied waits: give both, or neither'],
    ['?wait=applied&timeout=soon', 'timeout "soon" must be a whole number with s or m, at most 60s'],
    ['?wait=applied&timeout=0s', 'timeout "0s" must be a whole number with s or m, at most 60s'],
    ['?wait=applied&timeout=2m', 'timeout "2m" must be a whole number with s or m, at most 60s'],
  ])('%s is refused, and nothing is written', async (query, reason) => {
    const { status, body } = await api.request('PUT', `/service/web${query}`, service)
    expect([status, JSON.parse(body)]).toEqual([400, { error: reason }])
    expect(api.control.serviceIds()).toEqual([])
  })

  it('waits for 5 s where no time is given', () => expect(waitOf({ wait: 'applied' })).toBe(5000))
})

describe('what a plane tells beyond that', () => {
  it('advice is shown with the service where there is some', async () => {
    plane.advised.set('web', ['attach it to the switch of the clients'])
    await api.request('PUT', '/service/web', service)
    await api.request('PUT', '/service/other', { ...service, port: 81 })
    const one = JSON.parse((await api.request('GET', '/service/web')).body) as object
    expect(one).toMatchObject({ advice: ['attach it to the switch of the clients'] })
    const all = JSON.parse((await api.request('GET', '/service?full')).body) as object[]
    expect(all.map((each) => 'advice' in each)).toEqual([true, false])
  })

  it('who lags is shown with the plane and counted', async () => {
    confirmAll(['hv1'])
    plane.facts = () =>
      Promise.resolve({ northbound: { connected: true }, southbound: { connected: false }, owner: 'torb' })
    await api.request('PUT', '/service/web?wait=applied&timeout=1s', service)
    const { planes } = JSON.parse((await api.request('GET', '/plane')).body) as { planes: object[] }
    expect(planes[0]).toMatchObject({ lag: { services: 1, lagging: { hv1: 1 } } })
    const { body } = await api.request('GET', '/metrics')
    const lines = body.split('\n')
    expect(lines).toEqual(
      expect.arrayContaining([
        'torb_plane_up{plane="ovn"} 0',
        'torb_plane_connected{plane="ovn",to="northbound"} 1',
        'torb_plane_connected{plane="ovn",to="southbound"} 0',
        'torb_plane_accepted_services{plane="ovn"} 1',
        'torb_plane_lagging_services{plane="ovn",chassis="hv1"} 1',
        'torb_service_reconciled{service="web"} 0',
      ]),
    )
    expect(body).toMatch(/^torb_plane_accepted_age_seconds\{plane="ovn"\} [\d.]+$/m)
  })

  it('places and options of a virtual network come back as they were given', async () => {
    const given = {
      ...service,
      attach: { switches: ['inside'], routers: ['edge1'] },
      ovn: { when_empty: 'drop', force_snat: 'router_ip', template: { hv1: '10.0.0.9' } },
    }
    expect((await api.request('PUT', '/service/web', given)).status).toBe(200)
    expect(plane.held.get('web')).toMatchObject({
      attach: { switches: ['inside'], routers: ['edge1'], groups: [] },
      ovn: given.ovn,
    })
    await api.request('PATCH', '/service/web', { method: 'sh' })
    const { options } = JSON.parse((await api.request('GET', '/service/web')).body) as { options: object }
    expect(options).toMatchObject({ attach: given.attach, ovn: given.ovn, method: 'sh' })
    for (const [ovn, field] of [
      [{ when_empty: 'no' }, 'ovn.when_empty'],
      [{ slots: 0 }, 'ovn.slots'],
      [{ reject: true }, 'unknown field "reject"'],
    ] as const) {
      const { status, body } = await api.request('PATCH', '/service/web', { ovn })
      expect([status, (JSON.parse(body) as { error: string }).error]).toEqual([
        400,
        expect.stringContaining(field),
      ])
    }
  })
})
