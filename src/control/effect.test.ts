import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { memoryControl } from '../../test/fixtures/memoryControl.ts'
import { NetworkPlane } from '../../test/fixtures/networkPlane.ts'
import type { BackendBody } from '../model/backend.ts'
import type { OpenControl } from './open.ts'

async function world(): Promise<{ control: OpenControl; plane: NetworkPlane }> {
  const plane = new NetworkPlane()
  const control = await memoryControl(undefined, plane)
  onTestFinished(() => control.close())
  return { control, plane }
}

const backend: BackendBody = { host: '10.0.0.2', port: 80, pulse: { type: 'none' } }
const last = ({ accepted }: NetworkPlane) => accepted.at(-1) ?? expect.fail('nothing was accepted')

describe('a plane whose effect comes later', () => {
  it('a service is accepted until its last change is in effect; who lags is told by name', async () => {
    const { control, plane } = await world()
    await control.createService('web', { host: '10.9.0.1', port: 80 }, 'rest')
    expect(control.service('web')?.reconcile).toMatchObject({
      state: 'accepted',
      message: 'not in effect yet',
      lagging: [],
    })
    plane.confirm(last(plane), ['hv1', 'hv2'])
    await expect
      .poll(() => control.service('web')?.reconcile)
      .toMatchObject({
        state: 'accepted',
        message: 'not in effect yet on hv1, hv2',
        lagging: ['hv1', 'hv2'],
      })
    expect((await control.planes())[0]?.lag).toMatchObject({
      services: 1,
      lagging: new Map([
        ['hv1', 1],
        ['hv2', 1],
      ]),
    })
    await control.createBackend('web', 'a', backend, 'rest')
    plane.confirm(plane.accepted[0] ?? last(plane))
    await sleep(0)
    expect(control.service('web')?.reconcile.state).toBe('accepted')
    plane.confirm(last(plane))
    await expect
      .poll(() => control.service('web')?.reconcile)
      .toMatchObject({ state: 'applied', message: '', lagging: [] })
    expect((await control.planes())[0]?.lag).toEqual({ services: 0, since: 0, lagging: new Map() })
  })

  it('what is in effect before the plane has answered is applied at once', async () => {
    const { control, plane } = await world()
    plane.confirmsEarly = true
    await control.createService('web', { host: '10.9.0.1', port: 80 }, 'rest')
    expect(control.service('web')?.reconcile.state).toBe('applied')
    expect(await control.applied('web', 60_000)).toEqual({ state: 'applied', lagging: [] })
  })

  it('a wait ends with the effect, or with the time and who lags; a removal is waited for too', async () => {
    const { control, plane } = await world()
    await control.createService('web', { host: '10.9.0.1', port: 80 }, 'rest')
    plane.confirm(last(plane), ['hv2'])
    await sleep(0)
    expect(await control.applied('web', 20)).toEqual({ state: 'accepted', lagging: ['hv2'] })
    const created = control.applied('web', 60_000)
    plane.confirm(last(plane))
    expect(await created).toEqual({ state: 'applied', lagging: [] })
    await control.deleteService('web', 'rest')
    expect(control.service('web')).toBeNull()
    const removed = control.applied('web', 60_000)
    plane.confirm(last(plane))
    expect(await removed).toEqual({ state: 'applied', lagging: [] })
  })

  it('a refused write leaves the service as it was', async () => {
    const { control, plane } = await world()
    await control.createService('web', { host: '10.9.0.1', port: 80 }, 'rest')
    plane.confirm(last(plane))
    await expect.poll(() => control.service('web')?.reconcile.state).toBe('applied')
    plane.refuse = () => 'no'
    await expect(control.createBackend('web', 'a', backend, 'rest')).rejects.toThrow('no')
    expect(control.service('web')?.reconcile.state).toBe('applied')
    expect(await control.applied('web', 60_000)).toEqual({ state: 'applied', lagging: [] })
  })

  it('has no default address', async () => {
    const { control, plane } = await world()
    await expect(control.createService('web', { port: 80 }, 'rest')).rejects.toMatchObject({
      code: 'invalid',
      message: 'host is missing: a virtual network (plane ovn) has no default address',
    })
    expect(plane.batches).toEqual([])
  })

  it('what an earlier run left behind is told as accepted', async () => {
    const { control, plane } = await world()
    await control.createService('web', { host: '10.9.0.1', port: 80 }, 'rest')
    plane.confirm(last(plane))
    await expect.poll(() => control.service('web')?.reconcile.state).toBe('applied')
    plane.confirmed.push({ key: 'web', change: null, state: 'accepted', lagging: ['hv1'] })
    await expect.poll(() => control.service('web')?.reconcile.lagging).toEqual(['hv1'])
    plane.confirmed.push({ key: 'web', change: null, state: 'applied', lagging: [] })
    await expect.poll(() => control.service('web')?.reconcile.state).toBe('applied')
  })
})

describe('advice of a plane', () => {
  it('is shown as it is now, and said once when a write brings it', async () => {
    const { control, plane } = await world()
    const said = () =>
      control.events.since(0).flatMap(({ event }) => (event.type === 'advice' ? [event.text] : []))
    plane.advised.set('web', ['attach it to the switch of the clients'])
    await control.createService('web', { host: '10.9.0.1', port: 80 }, 'rest')
    expect(control.service('web')?.advice).toEqual(['attach it to the switch of the clients'])
    await control.createBackend('web', 'a', backend, 'rest')
    expect(said()).toEqual(['attach it to the switch of the clients'])
    plane.advised.set('web', ['attach it to the switch of the clients', 'no router answers ARP for it'])
    expect(control.service('web')?.advice.length).toBe(2)
    await control.patchService('web', { method: 'sh' }, 'rest')
    expect(said()).toEqual(['attach it to the switch of the clients', 'no router answers ARP for it'])
    plane.advised.clear()
    expect(control.service('web')?.advice).toEqual([])
  })
})
