import { expect } from 'vitest'
import type { VirtualService } from '../../../src/planes/plane.ts'
import { shares, type Cases, type Rig } from '../rig.ts'

/** What the plane says it holds is what it was given; a refusal changes nothing; it removes its own and only that. */

/** Endpoints and weights: what also a plane that was restarted reads back from a kernel. */
const essence = ({ destinations }: VirtualService): string[] =>
  destinations.map(({ address, port, weight }) => `${address} ${port} ${weight}`).sort()

const isHeld = async (rig: Rig, spec: VirtualService): Promise<boolean> =>
  (await rig.observe([spec.id])).has(spec.id)

export const ownership: Cases = {
  'what is observed is what was applied, after each change': async (rig) => {
    let spec = await rig.serve({ weights: [3, 1, 2] })
    await rig.holds(spec)
    spec = await rig.reweigh(spec, spec.destinations[1]?.id ?? '', 0)
    await rig.holds(spec)
    spec = await rig.change(spec, { destinations: spec.destinations.slice(1) })
    await rig.holds(spec)
    spec = await rig.change(spec, { destinations: [] })
    await rig.holds(spec)
  },
  'observe gives all of its own, or those asked for': async (rig) => {
    const made = [
      await rig.serve(),
      await rig.serve({ protocol: 'tcp', weights: [1] }),
      await rig.serve({ weights: [] }),
    ]
    const ids = made.map(({ id }) => id).sort()
    expect([...(await rig.observe('all')).keys()].sort()).toEqual(ids)
    expect([...(await rig.observe([ids[0] ?? '', 'nobody'])).keys()]).toEqual([ids[0]])
  },
  'a removed service is gone: it is not held and takes no connections': async (rig) => {
    const spec = await rig.serve()
    await rig.ask(spec)
    await rig.accepted({ key: spec.id, before: spec, after: null })
    expect(await isHeld(rig, spec)).toBe(false)
    await rig.failing(spec, 1)
  },
  'an address is free again when its service is removed': async (rig) => {
    const spec = await rig.serve()
    await rig.accepted({ key: spec.id, before: spec, after: null })
    await rig.ask(await rig.serve({ address: spec.address, port: spec.port }))
  },
  'services do not disturb each other': async (rig) => {
    const [one, two] = [await rig.serve({ weights: [1] }), await rig.serve({ weights: [0, 1] })]
    expect(Object.keys(shares(await rig.ask(one)))).toEqual([one.destinations[0]?.id])
    expect(Object.keys(shares(await rig.ask(two)))).toEqual([two.destinations[1]?.id])
  },
  'many changes go in one batch': async (rig) => {
    const specs: VirtualService[] = []
    for (let n = 0; n < 20; n++) specs.push(await rig.spec())
    await rig.accepted(...specs.map((spec) => ({ key: spec.id, before: null, after: spec })))
    for (const spec of specs.slice(0, 3)) await rig.ask(spec)
    expect((await rig.observe('all')).size).toBe(20)
    await rig.accepted(...specs.map((spec) => ({ key: spec.id, before: spec, after: null })))
    expect((await rig.observe('all')).size).toBe(0)
  },
  'a refused change in the middle of a batch leaves the others done': async (rig) => {
    const first = await rig.serve()
    const [second, third] = [await rig.spec(), await rig.spec()]
    // Two services cannot have one virtual address.
    const twin = await rig.spec({ address: first.address, port: first.port })
    const fewer = { ...first, destinations: first.destinations.slice(1) }
    const outcomes = await rig.apply(
      { key: second.id, before: null, after: second },
      { key: twin.id, before: null, after: twin },
      { key: third.id, before: null, after: third },
      { key: first.id, before: first, after: fewer },
    )
    await rig.world.settle('effect')
    expect(outcomes.map(({ ok }) => ok)).toEqual([true, false, true, true])
    const refusal = outcomes[1]
    if (refusal?.ok !== false) throw new Error('the second outcome is a refusal')
    expect(refusal.error.code).toBe('refused')
    expect(refusal.error.message.length).toBeGreaterThan(20)
    expect(await isHeld(rig, twin)).toBe(false)
    await rig.ask(second)
    await rig.ask(third)
    expect(Object.keys(shares(await rig.ask(fewer)))).toEqual([fewer.destinations[0]?.id])
  },
  'a refused change leaves its entry as it was': async (rig) => {
    const [one, two] = [await rig.serve(), await rig.serve()]
    const open = await rig.hold(one, 2)
    const taken = { ...one, address: two.address, port: two.port }
    const [outcome] = await rig.apply({ key: one.id, before: one, after: taken })
    expect(outcome?.ok).toBe(false)
    await rig.holds(one)
    await rig.alive(open)
    await rig.ask(one)
    await rig.ask(two)
  },
  'withdrawing removes its own entries of these keys and nothing else': async (rig) => {
    const [one, two] = [await rig.serve(), await rig.serve()]
    await rig.withdraw(one.id, 'nobody')
    expect([...(await rig.observe('all')).keys()]).toEqual([two.id])
    await rig.failing(one, 1)
    await rig.ask(two)
  },
  'what others put there is neither taken over nor removed': async (rig) => {
    const spec = await rig.spec()
    await rig.world.foreign({ address: spec.address, port: Number(spec.port) }, spec.family)
    const [outcome] = await rig.apply({ key: spec.id, before: null, after: spec })
    if (outcome?.ok !== false) throw new Error('the address is taken, so the plane has to refuse it')
    expect(outcome.error.message.length).toBeGreaterThan(20)
    expect((await rig.observe('all')).size).toBe(0)
    await rig.withdraw(spec.id)
    expect(Object.keys(shares(await rig.ask(spec, { count: 2 })))).toEqual(['foreign'])
  },
  'a restart finds and keeps what outlived the exit': async (rig) => {
    if (!rig.can.survivesExit) rig.skip(`the ${rig.can.name} plane's traffic ends with Torb`)
    const spec = await rig.serve()
    const open = await rig.hold(spec, 2)
    await rig.restart(async () => {
      await rig.alive(open)
      await rig.ask(spec)
    })
    const found = (await rig.observe('all')).get(spec.id)
    expect(found && essence(found)).toEqual(essence(spec))
    await rig.alive(open)
    await rig.ask(spec)
    await rig.withdraw(spec.id)
    expect((await rig.observe('all')).size).toBe(0)
  },
  'a restart begins empty where nothing outlives the exit': async (rig) => {
    if (rig.can.survivesExit) rig.skip(`the ${rig.can.name} plane's traffic goes on without Torb`)
    const spec = await rig.serve()
    await rig.ask(spec)
    await rig.restart(async () => {
      await rig.failing(spec, 1)
    })
    expect((await rig.observe('all')).size).toBe(0)
    await rig.accepted({ key: spec.id, before: null, after: spec })
    await rig.ask(spec)
  },
}
