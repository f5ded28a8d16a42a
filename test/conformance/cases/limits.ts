import { expect } from 'vitest'
import { shares, type Cases } from '../rig.ts'

export const limits: Cases = {
  'a backend at max_connections gets no more; the others do': async (rig) => {
    const spec = await rig.serve()
    const [limited = '', free = ''] = spec.destinations.map(({ id }) => id)
    const destinations = spec.destinations.map((d) => (d.id === limited ? { ...d, maxConnections: 2 } : d))
    const capped = await rig.change(spec, { destinations })
    const held = await rig.hold(capped, rig.sample)
    expect(shares(held)).toEqual({ [limited]: 2, [free]: rig.sample - 2 })
    for (const { backend, open } of held) if (backend === limited) expect(open).toBeLessThanOrEqual(2)
  },
  'with every backend at max_connections a connection fails, and open ones go on': async (rig) => {
    const spec = await rig.serve({ each: { maxConnections: 2 } })
    const held = await rig.hold(spec, 4)
    expect(Object.values(shares(held))).toEqual([2, 2])
    await rig.failing(spec)
    await rig.alive(held)
  },
  'a connection that ends makes room below max_connections': async (rig) => {
    const spec = await rig.serve({ each: { maxConnections: 1 } })
    const held = await rig.hold(spec, 2)
    const leaving = held.slice(0, 1)
    await rig.release(leaving)
    await rig.activeIs(spec, leaving[0]?.backend ?? '', 0)
    expect(Object.keys(shares(await rig.hold(spec, 1)))).toEqual([leaving[0]?.backend])
    await rig.alive(held.slice(1))
  },
  'a backend is skipped from its upper threshold on': async (rig) => {
    const spec = await rig.serve({ each: { upperThreshold: 3, lowerThreshold: 2 } })
    const held = await rig.hold(spec, 6)
    expect(Object.values(shares(held))).toEqual([3, 3])
    await rig.failing(spec)
    await rig.alive(held)
  },
  'a backend above its upper threshold comes back below the lower one, not before': async (rig) => {
    if (!rig.world.forgetsClosed)
      rig.skip(`the world ${rig.world.name} keeps closed connections in the tables for a while`)
    const spec = await rig.serve({ weights: [1], each: { upperThreshold: 3, lowerThreshold: 2 } })
    const only = spec.destinations[0]?.id ?? ''
    const held = await rig.hold(spec, 3)
    await rig.release(held.slice(0, 1))
    await rig.activeIs(spec, only, 2)
    await rig.failing(spec, 1)
    await rig.release(held.slice(1, 2))
    await rig.activeIs(spec, only, 1)
    await rig.hold(spec, 1)
  },
  'a limit can be lifted from a live service': async (rig) => {
    const spec = await rig.serve({ weights: [1], each: { maxConnections: 1 } })
    const held = await rig.hold(spec, 1)
    await rig.failing(spec, 1)
    const lifted = spec.destinations.map((destination) => ({ ...destination, maxConnections: 0 }))
    await rig.hold(await rig.change(spec, { destinations: lifted }), 3)
    await rig.alive(held)
  },
}
