import { expect } from 'vitest'
import type { Destination } from '../../../src/planes/plane.ts'
import { shares, type Cases, type Rig } from '../rig.ts'

/** Changes of a live service. */

const names = (destinations: readonly Destination[]): string[] => destinations.map(({ id }) => id).sort()

/** A service over the first backends of the world and the destination that is not yet in it. */
async function withSpare(rig: Rig): Promise<{ spec: Parameters<Rig['change']>[0]; spare: Destination }> {
  const { destinations, ...wish } = await rig.spec({ weights: [1, 1, 1] })
  const spare = destinations[2]
  if (spare === undefined) throw new Error('a spec of three weights has three destinations')
  const spec = { ...wish, destinations: destinations.slice(0, 2) }
  await rig.accepted({ key: spec.id, before: null, after: spec })
  return { spec, spare }
}

export const changes: Cases = {
  'a backend at weight 0 keeps its open connections and gets no new ones': async (rig) => {
    const spec = await rig.serve()
    const [drained = '', other = ''] = spec.destinations.map(({ id }) => id)
    const held = await rig.hold(spec, rig.sample)
    expect(Object.keys(shares(held)).sort()).toEqual([drained, other].sort())
    const draining = await rig.reweigh(spec, drained, 0)
    expect(Object.keys(shares(await rig.ask(draining)))).toEqual([other])
    await rig.alive(held)
  },
  'a drained backend that gets its weight back gets connections again': async (rig) => {
    const spec = await rig.serve()
    const drained = spec.destinations[0]?.id ?? ''
    const without = await rig.reweigh(spec, drained, 0)
    expect(shares(await rig.ask(without))).not.toHaveProperty(drained)
    const back = await rig.reweigh(without, drained, 1)
    expect(Object.keys(shares(await rig.ask(back))).sort()).toEqual(names(spec.destinations))
  },
  'a connection ends when a drain is over: none is open any more': async (rig) => {
    if (!rig.can.activeConnections) rig.skip(`the ${rig.can.name} plane does not know open connections`)
    const spec = await rig.serve()
    const drained = spec.destinations[0]?.id ?? ''
    const held = await rig.hold(spec, rig.sample)
    const mine = held.filter(({ backend }) => backend === drained)
    await rig.reweigh(spec, drained, 0)
    await rig.activeIs(spec, drained, mine.length)
    await rig.release(mine)
    await rig.activeIs(spec, drained, 0)
  },
  'with every backend at weight 0 a connection fails instead of hanging on': async (rig) => {
    const spec = await rig.serve()
    const held = await rig.hold(spec, 2)
    const [first = '', second = ''] = spec.destinations.map(({ id }) => id)
    const none = await rig.reweigh(await rig.reweigh(spec, first, 0), second, 0)
    await rig.failing(none)
    await rig.alive(held)
  },
  'a service without backends takes none, and gives its first backend all': async (rig) => {
    const spec = await rig.spec({ weights: [1] })
    const empty = { ...spec, destinations: [] }
    await rig.accepted({ key: spec.id, before: null, after: empty })
    await rig.failing(empty)
    await rig.accepted({ key: spec.id, before: empty, after: spec })
    expect(Object.keys(shares(await rig.ask(spec)))).toEqual(names(spec.destinations))
  },
  'a backend is added under load and no request fails': async (rig) => {
    const { spec, spare } = await withSpare(rig)
    const load = await rig.world.start(rig.traffic(spec, { concurrency: 4 }))
    const more = await rig.change(spec, { destinations: [...spec.destinations, spare] })
    // Whose turn falls on whom is open while two ask: the newcomer is among all of them.
    const during = await rig.ask(more)
    const { answers, failures } = await rig.world.stop(load)
    expect(failures).toEqual([])
    expect(shares([...during, ...answers])).toHaveProperty(spare.id)
    expect(Object.keys(shares(await rig.ask(more))).sort()).toEqual(names(more.destinations))
  },
  'a backend is drained and removed under load and no request fails': async (rig) => {
    const spec = await rig.serve({ weights: [1, 1, 1] })
    const [leaving, ...staying] = spec.destinations
    const load = await rig.world.start(rig.traffic(spec, { concurrency: 4 }))
    const draining = await rig.reweigh(spec, leaving?.id ?? '', 0)
    await rig.activeIs(draining, leaving?.id ?? '', 0)
    const fewer = await rig.change(draining, { destinations: staying })
    expect(shares(await rig.ask(fewer))).not.toHaveProperty(leaving?.id ?? '')
    const { answers, failures } = await rig.world.stop(load)
    expect(failures).toEqual([])
    expect(answers.length).toBeGreaterThan(0)
    expect(Object.keys(shares(await rig.ask(fewer))).sort()).toEqual(names(staying))
  },
  'weights change many times under load and no request fails': async (rig) => {
    const spec = await rig.serve({ weights: [1, 1, 1] })
    const ids = spec.destinations.map(({ id }) => id)
    const load = await rig.world.start(rig.traffic(spec, { concurrency: 4 }))
    let current = spec
    for (let turn = 0; turn < 12; turn++)
      current = await rig.reweigh(current, ids[turn % 3] ?? '', 1 + (turn % 4))
    const { failures } = await rig.world.stop(load)
    expect(failures).toEqual([])
  },
  'a backend removed with open connections harms no other': async (rig) => {
    const spec = await rig.serve()
    const [leaving = '', staying = ''] = spec.destinations.map(({ id }) => id)
    const held = await rig.hold(spec, rig.sample)
    const fewer = await rig.change(spec, {
      destinations: spec.destinations.filter(({ id }) => id !== leaving),
    })
    expect(Object.keys(shares(await rig.ask(fewer)))).toEqual([staying])
    await rig.alive(held.filter(({ backend }) => backend === staying))
  },
  'a backend that was removed can come back': async (rig) => {
    const spec = await rig.serve()
    const fewer = await rig.change(spec, { destinations: spec.destinations.slice(1) })
    const again = await rig.change(fewer, { destinations: spec.destinations })
    expect(Object.keys(shares(await rig.ask(again))).sort()).toEqual(names(spec.destinations))
  },
  'the scheduler changes while connections are open': async (rig) => {
    const spec = await rig.serve({ scheduler: 'rr', weights: [3, 1] })
    const held = await rig.hold(spec, rig.can.spread === 'exact' ? 4 : rig.sample)
    rig.inProportion(held, spec, [1, 1])
    const weighted = await rig.change(spec, { scheduler: 'wrr' })
    rig.inProportion(await rig.ask(weighted, { count: rig.enough(16) }), weighted)
    await rig.alive(held)
  },
  'a weight takes effect with the next connection': async (rig) => {
    const spec = await rig.serve({ scheduler: 'wrr', weights: [1, 1] })
    rig.inProportion(await rig.ask(spec, { count: rig.enough(8) }), spec)
    const heavier = await rig.reweigh(spec, spec.destinations[0]?.id ?? '', 3)
    rig.inProportion(await rig.ask(heavier, { count: rig.enough(16) }), heavier)
  },
  'applying what is there already changes nothing': async (rig) => {
    const spec = await rig.serve()
    const held = await rig.hold(spec, rig.sample)
    await rig.accepted({ key: spec.id, before: spec, after: spec })
    await rig.accepted({ key: spec.id, before: spec, after: structuredClone(spec) })
    await rig.alive(held)
    expect(Object.keys(shares(await rig.ask(spec))).sort()).toEqual(names(spec.destinations))
  },
}
