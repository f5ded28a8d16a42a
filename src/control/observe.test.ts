import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { memoryControl } from '../../test/fixtures/memoryControl.ts'
import { MemoryPlane } from '../../test/fixtures/memoryPlane.ts'
import { MemoryStore } from '../../test/fixtures/memoryStore.ts'
import type { OpenControl } from './open.ts'

async function world(store = new MemoryStore(), plane = new MemoryPlane()) {
  const control = await memoryControl(store, plane, { observe: true })
  onTestFinished(() => control.close())
  return { control, plane, store }
}

const weight = (plane: MemoryPlane) => plane.held.get('web')?.destinations[0]?.weight
const events = (control: OpenControl) =>
  control.events
    .since(0)
    .flatMap(({ event }) =>
      event.type === 'plane-drift'
        ? [`drift: ${event.difference}`]
        : event.type === 'plane-repaired'
          ? ['repaired']
          : [],
    )

/** Somebody sets the weight of the one backend behind Torb. */
function meddle(plane: MemoryPlane, to: number): void {
  const spec = plane.held.get('web') ?? expect.fail('it is gone')
  const destinations = spec.destinations.map((destination) => ({ ...destination, weight: to }))
  plane.held.set('web', { ...spec, destinations })
}

async function withBackend() {
  const made = await world()
  await made.control.createService('web', { port: 80 }, 'rest')
  await made.control.createBackend(
    'web',
    'a',
    { host: '10.0.0.2', port: 80, pulse: { type: 'none' } },
    'rest',
  )
  return made
}

describe('--observe', () => {
  it('what somebody changes is told once and left, until he takes it back', async () => {
    const { control, plane } = await withBackend()
    const asked = plane.batches.length
    meddle(plane, 7)
    await expect.poll(() => control.service('web')?.reconcile.state, { timeout: 5000 }).toBe('drifted')
    expect(control.service('web')?.reconcile.message).toBe('backend a: weight 100 became 7')
    expect((await control.planes())[0]?.drifted).toBe(1)
    await sleep(500)
    expect([weight(plane), plane.batches.length]).toEqual([7, asked])
    expect(events(control)).toEqual(['drift: backend a: weight 100 became 7'])
    meddle(plane, 100)
    await expect.poll(() => control.service('web')?.reconcile.state, { timeout: 5000 }).toBe('applied')
    expect(events(control).at(-1)).toBe('repaired')
    expect(plane.batches.length).toBe(asked)
  })

  it('the next write makes all of the service as it should be, from what it is', async () => {
    const { control, plane } = await withBackend()
    meddle(plane, 7)
    await expect.poll(() => control.service('web')?.reconcile.state, { timeout: 5000 }).toBe('drifted')
    await control.patchService('web', { method: 'rr' }, 'rest')
    expect(plane.batches.at(-1)?.[0]?.before?.destinations[0]?.weight).toBe(7)
    expect(plane.held.get('web')).toMatchObject({ scheduler: 'rr', destinations: [{ weight: 100 }] })
    expect(control.service('web')?.reconcile.state).toBe('applied')
  })

  it('a write that the plane refuses leaves what somebody changed', async () => {
    const { control, plane } = await withBackend()
    meddle(plane, 7)
    await expect.poll(() => control.service('web')?.reconcile.state, { timeout: 5000 }).toBe('drifted')
    plane.refuse = () => 'no'
    await expect(control.patchService('web', { method: 'rr' }, 'rest')).rejects.toThrow('no')
    plane.refuse = () => undefined
    await sleep(500)
    expect([weight(plane), control.service('web')?.reconcile.state]).toEqual([7, 'drifted'])
  })

  it('what is gone is told, and can be deleted or written anew', async () => {
    const { control, plane } = await withBackend()
    plane.held.delete('web')
    await expect
      .poll(() => control.service('web')?.reconcile.message, { timeout: 5000 })
      .toBe('the service is gone')
    await control.patchBackend('web', 'a', { weight: 3 }, 'rest')
    expect(weight(plane)).toBe(3)
    plane.held.delete('web')
    await expect.poll(() => control.service('web')?.reconcile.state, { timeout: 5000 }).toBe('drifted')
    await control.deleteService('web', 'rest')
    expect(control.service('web')).toBeNull()
    await control.createService('web', { port: 80 }, 'rest')
    expect(plane.held.get('web')?.destinations).toEqual([])
  })

  it('at a start what differs is told and left; what is missing is made', async () => {
    const { control, plane, store } = await withBackend()
    await control.createService('dns', { port: 53, protocol: 'udp' }, 'rest')
    await control.close()
    meddle(plane, 7)
    plane.held.delete('dns')
    const { control: again } = await world(store, plane)
    expect(again.service('web')?.reconcile).toMatchObject({
      state: 'drifted',
      message: 'backend a: weight 100 became 7',
    })
    expect(weight(plane)).toBe(7)
    expect(plane.held.has('dns')).toBe(true)
    expect(events(again)).toEqual(['drift: backend a: weight 100 became 7'])
  })
})
