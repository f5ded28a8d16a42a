import { expect } from 'vitest'
import { canonicalAddress, type Family } from '../../../src/model/address.ts'
import { shares, type Cases } from '../rig.ts'

/** Services of `"protocol": "http"`: what others have for connections they have for requests, whatever connection these come on. */

const tells = (family: Family): Cases => ({
  [`a backend is told who the client is (IPv${family})`]: async (rig) => {
    const spec = await rig.serve({ protocol: 'http', family })
    for (const { source, announced } of await rig.ask(spec))
      expect(canonicalAddress(announced ?? '')).toBe(source)
  },
})

export const http: Cases = {
  ...tells(4),
  ...tells(6),
  'requests of one kept-alive connection are balanced by weights 3:1': async (rig) => {
    const spec = await rig.serve({ protocol: 'http', scheduler: 'wrr', weights: [3, 1] })
    const counts = shares(await rig.ask(spec, { count: 1, questions: 24 }))
    expect(spec.destinations.map(({ id }) => counts[id])).toEqual([18, 6])
  },
  'connections that are kept alive do not count as open': async (rig) => {
    const spec = await rig.serve({ protocol: 'http', each: { maxConnections: 1 } })
    const held = await rig.hold(spec, 6)
    for (const { id } of spec.destinations) await rig.activeIs(spec, id, 0)
    expect(await rig.ask(spec, { count: 4 })).toHaveLength(4)
    await rig.release(held)
  },
  'a kept-alive connection leaves a backend at weight 0 with its next request': async (rig) => {
    const spec = await rig.serve({ protocol: 'http' })
    const [drained = '', other = ''] = spec.destinations.map(({ id }) => id)
    const held = await rig.hold(spec, 4)
    await rig.reweigh(spec, drained, 0)
    expect(await rig.world.answering(held.map(({ id }) => id))).toEqual([other, other, other, other])
  },
  'with every backend at weight 0 a request is answered by 503': async (rig) => {
    const spec = await rig.serve({ protocol: 'http', weights: [0, 0] })
    expect(new Set(await rig.failing(spec))).toEqual(new Set(['status 503']))
  },
  'a backend is removed under load on kept-alive connections and no request fails': async (rig) => {
    const spec = await rig.serve({ protocol: 'http', weights: [1, 1, 1] })
    const [leaving, ...staying] = spec.destinations
    const load = await rig.world.start(rig.traffic(spec, { concurrency: 4, questions: 50 }))
    await rig.ask(spec)
    const fewer = await rig.change(spec, { destinations: staying })
    expect(shares(await rig.ask(fewer))).not.toHaveProperty(leaving?.id ?? '')
    const { answers, failures } = await rig.world.stop(load)
    expect(failures).toEqual([])
    expect(answers.length).toBeGreaterThan(0)
  },
  'heads of 8 kB pass whole, several times on one connection': async (rig) => {
    const spec = await rig.serve({ protocol: 'http' })
    const traffic = { count: 2, questions: 3, concurrency: 2, bytes: 8000 }
    expect(await rig.ask(spec, traffic)).toHaveLength(6)
  },
}
