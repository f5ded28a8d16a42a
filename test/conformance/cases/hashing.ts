import { expect } from 'vitest'
import { flagBit, type SchedulerName } from '../../../src/model/names.ts'
import { backendsBySource, shares, type Cases } from '../rig.ts'

/** Schedulers that hash: who goes where does not depend on what came before, and shares are only roughly those of weights. */

const oneEach = (answers: Parameters<typeof backendsBySource>[0]): Map<string, string> =>
  new Map(
    [...backendsBySource(answers)].map(([source, backends]) => {
      expect([...backends], `backends of client ${source}`).toHaveLength(1)
      return [source, [...backends][0] ?? '']
    }),
  )

const bySource = (scheduler: SchedulerName): Cases => ({
  [`${scheduler} sends a client always to one backend, and clients to several`]: async (rig) => {
    const from = rig.severalClients(16)
    const spec = await rig.serve({ scheduler, weights: [1, 1, 1] })
    const first = oneEach(await rig.ask(spec, { from, count: from.length * 3, concurrency: 4 }))
    expect(new Set(first.values()).size).toBeGreaterThan(1)
    expect(oneEach(await rig.ask(spec, { from, count: from.length, concurrency: 4 }))).toEqual(first)
  },
  [`${scheduler} with its port flag spreads the connections of one client`]: async (rig) => {
    const spec = await rig.serve({ scheduler, flags: flagBit.port, weights: [1, 1, 1] })
    const answers = await rig.ask(spec, { from: rig.clients().slice(0, 1), count: 60, concurrency: 4 })
    expect(Object.keys(shares(answers))).toHaveLength(3)
  },
  [`${scheduler} gives the heavier backend more`]: async (rig) => {
    const spec = await rig.serve({ scheduler, flags: flagBit.port, weights: [3, 1] })
    const counts = shares(await rig.ask(spec, { count: 200, concurrency: 4 }))
    const [heavy = 0, light = 0] = spec.destinations.map(({ id }) => counts[id])
    // 150:50 is expected; for both halves of a fair coin these bounds are more than four deviations away.
    expect(heavy).toBeGreaterThan(light * 1.4)
    expect(light).toBeGreaterThan(0)
  },
  [`${scheduler} with its fallback flag moves only the clients of a backend at weight 0`]: async (rig) => {
    const from = rig.severalClients(16)
    const spec = await rig.serve({ scheduler, flags: flagBit.fallback, weights: [1, 1, 1] })
    const before = oneEach(await rig.ask(spec, { from, count: from.length, concurrency: 4 }))
    const [drained = ''] = before.values()
    const after = oneEach(
      await rig.ask(await rig.reweigh(spec, drained, 0), { from, count: from.length, concurrency: 4 }),
    )
    const others = [...before].filter(([, backend]) => backend !== drained)
    const stayed = others.filter(([source, backend]) => after.get(source) === backend)
    expect([...after.values()]).not.toContain(drained)
    // The kernel's mh fills its table anew by weights in force, which may move a few of the others.
    expect(stayed.length).toBeGreaterThanOrEqual(others.length * 0.6)
  },
})

const byDestination = (scheduler: SchedulerName): Cases => ({
  [`${scheduler} sends everything for one virtual address to one backend`]: async (rig) => {
    const spec = await rig.serve({ scheduler, weights: [100, 100, 100] })
    expect(Object.values(shares(await rig.ask(spec, { count: 12 })))).toEqual([12])
  },
})

export const hashing: Cases = {
  ...bySource('sh'),
  ...bySource('mh'),
  ...byDestination('dh'),
  ...byDestination('lblc'),
  ...byDestination('lblcr'),
  'lblc moves on from a backend with more connections than its weight': async (rig) => {
    const spec = await rig.serve({ scheduler: 'lblc', weights: [1, 1, 1] })
    expect(Object.keys(shares(await rig.hold(spec, 8))).length).toBeGreaterThan(1)
  },
}
