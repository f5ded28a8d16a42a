import { describe, expect, it, onTestFinished } from 'vitest'
import { memoryControl } from '../../test/fixtures/memoryControl.ts'
import { MemoryStore } from '../../test/fixtures/memoryStore.ts'
import { NetworkPlane } from '../../test/fixtures/networkPlane.ts'
import type { BackendBody } from '../model/backend.ts'
import type { ControlOptions, OpenControl } from './open.ts'

async function world(
  store = new MemoryStore(),
  plane = new NetworkPlane(),
  options: Partial<ControlOptions> = {},
): Promise<{ control: OpenControl; plane: NetworkPlane; store: MemoryStore }> {
  const control = await memoryControl(store, plane, options)
  onTestFinished(() => control.close())
  return { control, plane, store }
}

const backend = (pulse: BackendBody['pulse'], host = '192.0.2.2'): BackendBody => ({ host, port: 80, pulse })
const held = ({ held }: NetworkPlane, id = 'a') =>
  held.get('web')?.destinations.find((destination) => destination.id === id)

describe('a plane that checks by itself', () => {
  it('is given the pulses of its types, with the times and counts that Torb would use', async () => {
    const { control, plane } = await world()
    await control.createService('web', { host: '10.9.0.1', port: 80 }, 'rest')
    const pulses: Record<string, BackendBody['pulse']> = {
      a: { type: 'tcp', interval: '10s' },
      b: { type: 'udp', interval: '1m', rise: 2, fall: 3 },
      c: { type: 'tcp', timeout: '1s' },
      // Reached from here, whatever the backend's address.
      d: { type: 'http', args: { host: '127.0.0.1' } },
      e: { type: 'none' },
    }
    for (const [index, [id, pulse]] of Object.entries(pulses).entries())
      await control.createBackend('web', id, backend(pulse, `192.0.2.${index + 1}`), 'rest')
    expect(Object.keys(pulses).map((id) => held(plane, id)?.check)).toEqual([
      { type: 'tcp', intervalMs: 10_000, timeoutMs: 5000, rise: 1, fall: 1, decides: true },
      { type: 'udp', intervalMs: 60_000, timeoutMs: 3000, rise: 2, fall: 3, decides: true },
      { type: 'tcp', intervalMs: 60_000, timeoutMs: 1000, rise: 1, fall: 1, decides: true },
      null,
      null,
    ])
  })

  it('a flip counts at once, whatever fall says: the plane has counted; the backend stays listed with weight 0', async () => {
    const { control, plane } = await world()
    await control.createService('web', { host: '10.9.0.1', port: 80 }, 'rest')
    await control.createBackend(
      'web',
      'a',
      backend({ type: 'tcp', interval: '1h', fall: 3, rise: 3 }),
      'rest',
    )
    plane.signals.push({ service: 'web', backend: 'a', up: false, reason: 'offline for ovn-controller' })
    await expect.poll(() => held(plane)?.weight).toBe(0)
    expect(held(plane)?.check).toMatchObject({ decides: true })
    expect(control.backend('web', 'a')).toMatchObject({
      metrics: { status: 1 },
      reason: 'Down: offline for ovn-controller',
    })
    plane.signals.push({ service: 'web', backend: 'a', up: true, reason: '' })
    await expect.poll(() => control.backend('web', 'a')?.metrics.status).toBe(0)
    const types = control.events.since(0).map(({ event }) => event.type)
    expect(types).toEqual(expect.arrayContaining(['backend-down', 'backend-up', 'weight-changed']))
  })

  it('is asked at each interval in place of a connection; before it knows, nothing is said', async () => {
    const warned: string[] = []
    const log = { info: () => undefined, warn: (_: object, text: string) => void warned.push(text) }
    const { control, plane } = await world(undefined, undefined, { log })
    await control.createService('web', { host: '10.9.0.1', port: 80 }, 'rest')
    // Nobody is at this address: a connection of Torb's own would fail.
    await control.createBackend('web', 'a', backend({ type: 'tcp', interval: '1s' }), 'rest')
    await expect.poll(() => plane.asked, { timeout: 5000 }).toBeGreaterThan(0)
    expect(control.backend('web', 'a')?.metrics).toEqual({ status: 0, health: 0, uptime: 0 })
    plane.found.set('web a', { up: true, reason: '' })
    await expect.poll(() => control.backend('web', 'a')?.metrics.health, { timeout: 5000 }).toBe(1)
    plane.found.set('web a', { up: false, reason: 'offline' })
    await expect.poll(() => control.backend('web', 'a')?.metrics.status, { timeout: 5000 }).toBe(1)
    expect(held(plane)?.weight).toBe(0)
    expect(warned).toEqual([])
  })

  it('its verdict does not count where the weight is 0 by wish, or 1 because all are Down', async () => {
    const { control, plane } = await world()
    await control.createService('web', { host: '10.9.0.1', port: 80, fallback: 'fb-zero-to-one' }, 'rest')
    await control.createBackend('web', 'a', backend({ type: 'tcp', interval: '1h' }), 'rest')
    await control.patchBackend('web', 'a', { weight: 0 }, 'rest')
    expect(held(plane)).toMatchObject({ weight: 0, check: { decides: false } })
    await control.patchBackend('web', 'a', { weight: 9 }, 'rest')
    expect(held(plane)).toMatchObject({ weight: 9, check: { decides: true } })
    plane.signals.push({ service: 'web', backend: 'a', up: false, reason: 'offline' })
    await expect.poll(() => held(plane)).toMatchObject({ weight: 1, check: { decides: false } })
  })

  it('has nothing to say of a backend that Torb checks, or that nobody does', async () => {
    const { control, plane } = await world()
    await control.createService('web', { host: '10.9.0.1', port: 80 }, 'rest')
    await control.createBackend('web', 'a', backend({ type: 'none', interval: '1h' }), 'rest')
    await control.createBackend('web', 'b', backend({ type: 'tcp', interval: '1h' }, '192.0.2.3'), 'rest')
    for (const id of ['a', 'b'])
      plane.signals.push({ service: 'web', backend: id, up: false, reason: 'offline' })
    await expect.poll(() => control.backend('web', 'b')?.metrics.status).toBe(1)
    expect(control.backend('web', 'a')?.metrics.status).toBe(0)
    // A pulse of another type is the other's again.
    await control.patchBackend('web', 'b', { pulse: { type: 'none', interval: '1s' } }, 'rest')
    expect(held(plane, 'b')?.check).toBeNull()
    await expect.poll(() => control.backend('web', 'b')?.metrics.status, { timeout: 5000 }).toBe(0)
  })

  it('is asked for nothing by a restart where nothing changed', async () => {
    const { control, plane, store } = await world()
    await control.createService('web', { host: '10.9.0.1', port: 80 }, 'rest')
    await control.createBackend('web', 'a', backend({ type: 'tcp', interval: '1h' }), 'rest')
    plane.signals.push({ service: 'web', backend: 'a', up: false, reason: 'offline' })
    await expect.poll(() => held(plane)?.weight).toBe(0)
    await control.close()
    const asked = plane.batches.length
    const { control: again } = await world(store, plane)
    expect(plane.batches.length).toBe(asked)
    expect(again.backend('web', 'a')?.metrics.status).toBe(1)
  })
})
