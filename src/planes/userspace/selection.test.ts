import { once } from 'node:events'
import type { Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { schedulerNames } from '../../model/names.ts'
import type { Destination, VirtualService } from '../plane.ts'
import { Rig, transports } from './rig.ts'
import { until } from '../../../lab/until.ts'

async function three(rig: Rig, weights = [100, 100, 100]): Promise<Destination[]> {
  const destinations = []
  for (const weight of weights)
    destinations.push({ ...(await rig.named()).destination, weight, maxWeight: weight })
  return destinations
}

/** Opens a connection and keeps it. */
async function hold(
  rig: Rig,
  spec: VirtualService,
  from = '127.0.0.1',
): Promise<{ client: Socket; backend: string }> {
  const client = rig.client(spec, from)
  const [id] = (await once(client, 'data')) as [Buffer]
  return { client, backend: String(id) }
}

/** Half-closed connections count too. */
const open = ({ active, inactive }: { active: number; inactive: number }): number => active + inactive

async function idle(rig: Rig): Promise<void> {
  await until(async () => open(await rig.counters()) === 0)
}

describe.each(transports)('schedulers on the userspace plane ($transport)', ({ openTransport }) => {
  it.each(schedulerNames)('%s serves, and gives nothing to weight 0', async (scheduler) => {
    await using rig = new Rig({ openTransport })
    const [a, b, c] = (await three(rig, [1, 0, 1])) as [Destination, Destination, Destination]
    const spec = await rig.service([a, b, c], { scheduler })
    for (let i = 0; i < 6; i++) {
      const reached = await rig.reach(spec)
      // sh, dh and mh refuse what hashes to weight 0; that is their meaning without the fallback flag.
      expect([a.id, c.id, 'ECONNRESET']).toContain(reached)
    }
    expect((await rig.counters()).destinations.get(b.id)?.connections).toBe(0)
  })

  it('wrr counts by weight in each period', async () => {
    await using rig = new Rig({ openTransport })
    const [a, b, c] = (await three(rig, [4, 3, 2])) as [Destination, Destination, Destination]
    const spec = await rig.service([a, b, c], { scheduler: 'wrr' })
    const reached = []
    for (let i = 0; i < 9; i++) reached.push(await rig.reach(spec))
    expect(reached).toEqual([a, a, b, a, b, c, a, b, c].map(({ id }) => id))
  })

  it('lc sees open connections', async () => {
    await using rig = new Rig({ openTransport })
    const destinations = await three(rig)
    const spec = await rig.service(destinations, { scheduler: 'lc' })
    const held = []
    for (let i = 0; i < 6; i++) held.push(await hold(rig, spec))
    expect(held.map(({ backend }) => backend).sort()).toEqual(destinations.flatMap(({ id }) => [id, id]))
    const gone = held.filter(({ backend }) => backend === destinations[1]?.id)
    for (const { client } of gone) client.end()
    await until(async () => (await rig.counters()).active === 4)
    expect((await hold(rig, spec)).backend).toBe(destinations[1]?.id)
  })

  it('scheduler, flags and destinations change without closing the listener', async () => {
    await using rig = new Rig({ openTransport })
    const [a, b, c] = (await three(rig)) as [Destination, Destination, Destination]
    const spec = await rig.service([a, b], { scheduler: 'rr' })
    const { client } = await hold(rig, spec)
    await rig.put({ ...spec, scheduler: 'fo', destinations: [c, { ...a, weight: 7 }, b] })
    expect(await rig.reach(spec)).toBe(c.id)
    await rig.put({ ...spec, scheduler: 'fo', destinations: [{ ...c, weight: 1 }, { ...a, weight: 700 }, b] })
    expect(await rig.reach(spec)).toBe(a.id)
    client.write('alive')
    expect(String(await once(client, 'data'))).toBe('alive')
    expect((await rig.counters()).connections).toBe(3)
  })
})

describe.each(transports)('limits ($transport)', ({ openTransport }) => {
  it('max_connections skips a full backend until one ends; all full: reset', async () => {
    await using rig = new Rig({ openTransport })
    const destinations = (await three(rig))
      .slice(0, 2)
      .map((destination) => ({ ...destination, maxConnections: 1 }))
    const spec = await rig.service(destinations)
    const first = await hold(rig, spec)
    const second = await hold(rig, spec)
    expect(new Set([first.backend, second.backend]).size).toBe(2)
    expect(await rig.reach(spec)).toBe('ECONNRESET')
    second.client.destroy()
    await until(async () => open(await rig.counters()) === 1)
    expect((await hold(rig, spec)).backend).toBe(second.backend)
  })

  it('above the upper threshold it is skipped until below the lower one', async () => {
    await using rig = new Rig({ openTransport })
    const [a, b] = (await three(rig)) as [Destination, Destination]
    // fo always prefers the heavier one.
    const spec = await rig.service([{ ...a, weight: 200, upperThreshold: 3, lowerThreshold: 2 }, b], {
      scheduler: 'fo',
    })
    const held = []
    for (let i = 0; i < 4; i++) held.push(await hold(rig, spec))
    expect(held.map(({ backend }) => backend)).toEqual([a.id, a.id, a.id, b.id])
    const openToA = async (): Promise<number> => {
      const counters = (await rig.counters()).destinations.get(a.id)
      return counters === undefined ? -1 : open(counters)
    }
    held[0]?.client.destroy()
    await until(async () => (await openToA()) === 2)
    expect((await hold(rig, spec)).backend).toBe(b.id)
    held[1]?.client.destroy()
    await until(async () => (await openToA()) === 1)
    expect((await hold(rig, spec)).backend).toBe(a.id)
  })
})

describe.each(transports)('source affinity ($transport)', ({ openTransport }) => {
  it('keeps a client where it was, by network, and lets others take turns', async () => {
    await using rig = new Rig({ openTransport })
    const destinations = await three(rig)
    const spec = await rig.service(destinations, { persistence: { timeout: 300, prefix: 24 } })
    const reach = async (from: string): Promise<string> => (await hold(rig, spec, from)).backend
    const first = await reach('127.0.1.1')
    const other = await reach('127.0.2.1')
    expect(other).not.toBe(first)
    expect([await reach('127.0.1.1'), await reach('127.0.1.200'), await reach('127.0.2.9')]).toEqual([
      first,
      first,
      other,
    ])
  })

  it('lasts while a connection does, then the time-out', async () => {
    await using rig = new Rig({ openTransport })
    const destinations = await three(rig)
    const spec = await rig.service(destinations, { persistence: { timeout: 60, prefix: 32 } })
    const held = await hold(rig, spec)
    rig.pass(600)
    expect(await rig.reach(spec)).toBe(held.backend)
    held.client.end()
    await idle(rig)
    rig.pass(50)
    expect(await rig.reach(spec)).toBe(held.backend)
    await idle(rig)
    rig.pass(70)
    expect(await rig.reach(spec)).not.toBe(held.backend)
  })

  it('yields to weight 0, to removal and to a refusing backend', async () => {
    await using rig = new Rig({ openTransport })
    const backend = await rig.named()
    const [a, b] = [backend.destination, (await rig.named()).destination]
    const spec = await rig.service([a, b], { persistence: { timeout: 60, prefix: 32 } })
    expect([await rig.reach(spec), await rig.reach(spec)]).toEqual([a.id, a.id])
    await rig.put({ ...spec, destinations: [{ ...a, weight: 0 }, b] })
    expect(await rig.reach(spec)).toBe(b.id)
    await rig.put(spec)
    expect(await rig.reach(spec)).toBe(b.id)
    await rig.put({ ...spec, destinations: [a] })
    expect(await rig.reach(spec)).toBe(a.id)
    await rig.put(spec)
    backend.server.close()
    await until(() => backend.sockets.size === 0)
    expect([await rig.reach(spec), await rig.reach(spec)]).toEqual([b.id, b.id])
  })

  it('remembers no more clients than it has places for', async () => {
    await using rig = new Rig({ openTransport, bounds: { templates: 2 } })
    const [a, b] = (await three(rig)) as [Destination, Destination]
    const spec = await rig.service([a, b], { persistence: { timeout: 60, prefix: 32 } })
    const reach = async (from: string): Promise<string> => (await hold(rig, spec, from)).backend
    expect([await reach('127.0.0.1'), await reach('127.0.0.2')]).toEqual([a.id, b.id])
    // The oldest makes room for the third, which is remembered; the first then gets the next turn.
    expect([await reach('127.0.0.3'), await reach('127.0.0.3'), await reach('127.0.0.1')]).toEqual([
      a.id,
      a.id,
      b.id,
    ])
  })
})
