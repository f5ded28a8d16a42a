import { describe, expect, it, onTestFinished } from 'vitest'
import { until } from '../../lab/until.ts'
import { memoryControl } from '../../test/fixtures/memoryControl.ts'
import { MemoryStore } from '../../test/fixtures/memoryStore.ts'
import { NetworkPlane } from '../../test/fixtures/networkPlane.ts'
import type { ServiceId } from '../model/names.ts'
import { Refusal } from '../model/refusal.ts'
import { plainDestination, plainService } from '../planes/plain.ts'
import type { Change, Outcome, VirtualService } from '../planes/plane.ts'
import type { ControlOptions } from './open.ts'

const reason = 'another Torb writes, and this one stands by'

/** Another Torb writes to it until that one is away. */
class SharedPlane extends NetworkPlane {
  isOthers = true

  standby(): string | null {
    return this.isOthers ? reason : null
  }

  override apply(changes: readonly Change<VirtualService, ServiceId>[]): Promise<Outcome[]> {
    if (!this.isOthers) return super.apply(changes)
    const error = new Refusal('unreachable', reason)
    return Promise.resolve(changes.map(() => ({ ok: false, error })))
  }
}

const attach = { switches: ['inside'], routers: [], groups: [] }
const body = { host: '10.9.0.1', port: 80, method: 'wrr', attach }
const backend = { host: '10.8.0.1', port: 80, weight: 3, pulse: { type: 'none' } }

/** A store that has the service, and the service as a plane has it. */
async function told(): Promise<{ store: MemoryStore; entry: VirtualService }> {
  const plane = new NetworkPlane()
  const store = new MemoryStore()
  const control = await memoryControl(store, plane)
  await control.createService('web', body, 'rest')
  await control.createBackend('web', 'a', backend, 'rest')
  await control.close()
  const entry = plane.held.get('web')
  if (entry === undefined) throw new Error('the plane has not got the service')
  return { store, entry }
}

async function standing(plane: SharedPlane, store: MemoryStore, options: Partial<ControlOptions> = {}) {
  const said: string[] = []
  const log = { info: () => undefined, warn: (_: object, text: string) => void said.push(text) }
  const control = await memoryControl(store, plane, { log, ...options })
  onTestFinished(() => control.close())
  return { control, said }
}

describe('a Torb that stands by', () => {
  it('fails in nothing: what it would write waits, what the other one has written is there', async () => {
    const { store, entry } = await told()
    const plane = new SharedPlane()
    const { control, said } = await standing(plane, store)
    const state = () => control.service('web')?.reconcile
    expect(state()).toMatchObject({ state: 'accepted', message: reason })
    expect(await control.planes()).toMatchObject([{ services: 1, failing: 0, drifted: 0 }])
    await expect(control.createService('other', { ...body, port: 81 }, 'rest')).rejects.toThrow(reason)

    // The other one writes the same, in a list of its own order.
    plane.held.set('web', { ...entry })
    await until(() => state()?.state === 'applied', 'the service as the other one wrote it')
    // And something else.
    plane.held.set('web', { ...entry, destinations: [plainDestination('10.8.0.9')] })
    await until(() => state()?.state === 'accepted', 'a service that waits')
    expect(state()?.message).toBe(reason)
    expect(control.events.since(0)).toEqual([])
    expect(said).toEqual([])

    plane.isOthers = false
    await until(() => state()?.message !== reason, 'a service that is written')
    expect(plane.held.get('web')).toEqual(entry)
    expect(control.events.since(0).map(({ event }) => event.type)).not.toContain('plane-failed')
  })

  it('with --observe reports nothing that the other one does', async () => {
    const { store, entry } = await told()
    const plane = new SharedPlane()
    plane.held.set('web', { ...entry, scheduler: 'rr' })
    const { control } = await standing(plane, store, { observe: true })
    expect(control.service('web')?.reconcile).toMatchObject({ state: 'accepted', message: reason })
    expect(await control.planes()).toMatchObject([{ drifted: 0 }])
    expect(control.events.since(0)).toEqual([])
  })

  it('with --adopt takes over what it does not know once it writes', async () => {
    const { entry } = await told()
    const plane = new SharedPlane()
    plane.held.set('web', entry)
    plane.strangers = [plainService({ id: 'theirs', address: '10.9.0.2', attach })]
    const { control, said } = await standing(plane, new MemoryStore(), { adopt: true })
    await control.importForeign()
    expect(control.serviceIds()).toEqual([])
    expect(said).toEqual([])
    plane.isOthers = false
    await until(() => control.serviceIds().length === 2, 'both services')
    expect(control.service('web')?.backends).toEqual(['a'])
    expect(control.service('theirs')?.address).toBe('10.9.0.2')
  })

  it('that a plane cannot be asked is a failure where nobody else writes', async () => {
    const { store } = await told()
    const plane = new SharedPlane()
    plane.standby = () => null
    const { control } = await standing(plane, store)
    expect(control.service('web')?.reconcile).toMatchObject({ state: 'failing', message: reason })
    expect(await control.planes()).toMatchObject([{ failing: 1 }])
  })
})
