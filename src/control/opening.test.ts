import { describe, expect, it, onTestFinished } from 'vitest'
import { memoryControl } from '../../test/fixtures/memoryControl.ts'
import { MemoryPlane } from '../../test/fixtures/memoryPlane.ts'
import { MemoryStore } from '../../test/fixtures/memoryStore.ts'
import { NetworkPlane } from '../../test/fixtures/networkPlane.ts'
import type { PlaneName } from '../model/names.ts'
import { Refusal } from '../model/refusal.ts'
import { plainService } from '../planes/plain.ts'
import type { Plane } from '../planes/plane.ts'
import type { ControlOptions, OpenControl } from './open.ts'

/** A virtual network that cannot be reached until somebody says so. */
class DistantPlane extends NetworkPlane {
  problem: string | null = 'The database is away'

  override open(): Promise<void> {
    return this.problem === null
      ? Promise.resolve()
      : Promise.reject(new Refusal('unreachable', this.problem))
  }
}

const attach = { switches: ['inside'] }
const wait = { timeout: 10_000 }

async function start(
  store: MemoryStore,
  planes: readonly Plane[],
  options: Partial<ControlOptions> = {},
): Promise<{ control: OpenControl; warned: string[] }> {
  const warned: string[] = []
  const log = { info: () => undefined, warn: (_: object, text: string) => void warned.push(text) }
  const byName = new Map<PlaneName, Plane>(planes.map((plane) => [plane.can.name, plane]))
  const control = await memoryControl(store, planes[0], { planes: byName, log, ...options })
  onTestFinished(() => control.close())
  return { control, warned }
}

describe('a plane beside the default one that cannot be opened', () => {
  it('holds up nobody else, is shown with the reason, and its services are refused', async () => {
    const [kernel, network] = [new MemoryPlane(), new DistantPlane()]
    const { control, warned } = await start(new MemoryStore(), [kernel, network])
    expect(warned).toEqual([expect.stringContaining('the others go on without it: The database is away')])
    await control.createService('web', { port: 80 }, 'rest')
    expect(kernel.held.has('web')).toBe(true)
    await expect(
      control.createService('net', { host: '10.9.0.1', port: 80, attach }, 'rest'),
    ).rejects.toThrow('the ovn plane is not open yet: The database is away')
    expect(control.serviceIds()).toEqual(['web'])
    expect((await control.planes()).map(({ name, problem }) => [name, problem])).toEqual([
      ['userspace', ''],
      ['ovn', 'The database is away'],
    ])
    const flow = { protocol: 'tcp', source: '1.1.1.1', sourcePort: 1, destinationPort: 80 } as const
    expect((await control.explain({ ...flow, destination: '10.9.0.1' })).steps).toEqual([
      'no plane has a service for this destination',
      'what the ovn plane has is not known: The database is away',
    ])
    await control.zero()
    expect([...(await control.counters()).keys()]).toEqual(['web'])
    expect(warned.length).toBe(1)
  })

  it('is opened when it can be, and then has what is wished for and loses what is not', async () => {
    const [kernel, network, store] = [new MemoryPlane(), new DistantPlane(), new MemoryStore()]
    network.problem = null
    const first = await start(store, [kernel, network])
    await first.control.createService('kept', { host: '10.9.0.1', port: 80, attach }, 'rest')
    await first.control.createService('gone', { host: '10.9.0.2', port: 80, attach }, 'rest')
    await first.control.close()
    await store.commit([{ bucket: 'service', key: 'gone', value: null }])
    network.problem = 'The database is away'
    network.strangers = [plainService({ id: 'theirs', address: '10.9.0.3', attach: null, scheduler: 'wrr' })]
    network.batches.length = 0

    const { control } = await start(store, [kernel, network], { adopt: true })
    expect(control.service('kept')?.reconcile).toMatchObject({
      state: 'failing',
      message: 'the ovn plane is not open yet: The database is away',
    })
    await expect(control.deleteService('kept', 'rest')).rejects.toMatchObject({ code: 'unreachable' })
    const options = { host: '10.9.0.4', port: 80, attach }
    expect(await control.replaceConfigured([{ id: 'filed', options, backends: [] }])).toMatchObject({
      ok: true,
    })
    await control.importForeign()
    expect(network.batches).toEqual([])

    network.problem = null
    await expect.poll(() => [...network.held.keys()].sort(), wait).toEqual(['filed', 'kept', 'theirs'])
    await expect.poll(() => control.service('filed')?.reconcile.state, wait).not.toBe('failing')
    expect(network.batches.flat().filter(({ key }) => key === 'kept')).toEqual([])
    expect((await control.planes())[1]?.problem).toBe('')
    await control.deleteService('kept', 'rest')
    expect(network.held.has('kept')).toBe(false)
  })

  it('stops the start where it is the default one', async () => {
    await expect(start(new MemoryStore(), [new DistantPlane(), new MemoryPlane()])).rejects.toThrow(
      'The database is away',
    )
  })
})

describe('a restart with another default plane', () => {
  it('moves what the new one can carry, and leaves the rest where it is', async () => {
    const [kernel, network, store] = [
      new MemoryPlane({ anyPort: false }),
      new NetworkPlane({ anyPort: true, anyPortWithoutPersistence: true }),
      new MemoryStore(),
    ]
    const first = await start(store, [network, kernel])
    await first.control.createService('web', { host: '10.9.0.1', port: 80 }, 'rest')
    await first.control.createService('attached', { host: '10.9.0.2', port: 80, attach }, 'rest')
    await first.control.createService('optioned', { host: '10.9.0.3', port: 80, ovn: { slots: 9 } }, 'rest')
    await first.control.createService('any', { host: '10.9.0.4', port: 'any' }, 'rest')
    expect(first.control.service('attached')?.options.plane).toBe('ovn')
    await first.control.close()
    network.batches.length = 0

    const { control } = await start(store, [kernel, network])
    expect([...kernel.held.keys()]).toEqual(['web'])
    expect([...network.held.keys()].sort()).toEqual(['any', 'attached', 'optioned'])
    expect(network.batches.flat().map(({ key, after }) => [key, after])).toEqual([['web', null]])
    expect(control.service('attached')).toMatchObject({ plane: 'ovn', reconcile: { message: '' } })
    expect(control.service('any')?.reconcile).toMatchObject({
      state: 'failing',
      message: expect.stringContaining('the userspace plane cannot take any port') as string,
    })
  })

  it('a service that its new plane refuses stays on the one it is on', async () => {
    const [kernel, network] = [new MemoryPlane(), new NetworkPlane()]
    network.refuse = () => 'the test says no'
    const { control } = await start(new MemoryStore(), [kernel, network])
    await control.createService('web', { host: '10.9.0.1', port: 80 }, 'rest')
    await expect(control.patchService('web', { plane: 'ovn' }, 'rest')).rejects.toThrow('the test says no')
    expect(kernel.batches.flat().map(({ after }) => after?.id)).toEqual(['web'])
    expect(control.service('web')?.plane).toBe('userspace')
  })
})
