import { expect } from 'vitest'
import type { SchedulerName } from '../../../src/model/names.ts'
import { shares, type Cases } from '../rig.ts'

/** Shares by weights: exact over whole periods where the plane counts, whatever the order of the list and the first pick. */

const turns = (family: 4 | 6, protocol: 'tcp' | 'udp' | 'http'): Cases => ({
  [`rr gives each of three backends a third (${protocol}, IPv${family})`]: async (rig) => {
    const spec = await rig.serve({ scheduler: 'rr', weights: [1, 1, 1], family, protocol })
    rig.inProportion(await rig.ask(spec, { count: rig.enough(24), concurrency: 4 }), spec)
  },
})

/** Open connections end up in proportion to the weights: after eight at 3:1, six and two. */
const proportional = (scheduler: SchedulerName): Cases => ({
  [`${scheduler} keeps open connections in proportion to weights 3:1`]: async (rig) => {
    const spec = await rig.serve({ scheduler, weights: [3, 1] })
    const held = await rig.hold(spec, 8)
    expect(shares(held)).toEqual({ [spec.destinations[0]?.id ?? '']: 6, [spec.destinations[1]?.id ?? '']: 2 })
  },
})

export const balance: Cases = {
  ...turns(4, 'tcp'),
  ...turns(4, 'udp'),
  ...turns(6, 'tcp'),
  ...turns(6, 'udp'),
  ...turns(4, 'http'),
  ...turns(6, 'http'),
  'wrr gives shares by weights 3:1': async (rig) => {
    const spec = await rig.serve({ scheduler: 'wrr', weights: [3, 1] })
    rig.inProportion(await rig.ask(spec, { count: rig.enough(24), concurrency: 4 }), spec)
  },
  'wrr gives shares by weights 4:3:2': async (rig) => {
    const spec = await rig.serve({ scheduler: 'wrr', weights: [4, 3, 2] })
    rig.inProportion(await rig.ask(spec, { count: rig.enough(18) }), spec)
  },
  'wrr takes weights as shares, not as sizes (300:100 is 3:1)': async (rig) => {
    const spec = await rig.serve({ scheduler: 'wrr', weights: [300, 100] })
    rig.inProportion(await rig.ask(spec, { count: rig.enough(16) }), spec)
  },
  'lc keeps open connections even': async (rig) => {
    const spec = await rig.serve({ scheduler: 'lc', weights: [1, 1, 1] })
    expect(Object.values(shares(await rig.hold(spec, 12)))).toEqual([4, 4, 4])
  },
  'lc fills up the backend whose connections ended': async (rig) => {
    const spec = await rig.serve({ scheduler: 'lc', weights: [1, 1] })
    const emptied = spec.destinations[0]?.id ?? ''
    const held = await rig.hold(spec, 8)
    await rig.release(held.filter(({ backend }) => backend === emptied))
    await rig.activeIs(spec, emptied, 0)
    expect(shares(await rig.hold(spec, 4))).toEqual({ [emptied]: 4 })
  },
  ...proportional('wlc'),
  ...proportional('sed'),
  ...proportional('nq'),
  'nq gives each idle backend one before any gets a second': async (rig) => {
    const spec = await rig.serve({ scheduler: 'nq', weights: [100, 1, 1] })
    expect(Object.values(shares(await rig.hold(spec, 3)))).toEqual([1, 1, 1])
  },
  'fo sends all to the highest weight, and to the next when that is out': async (rig) => {
    const spec = await rig.serve({ scheduler: 'fo', weights: [1, 3, 2] })
    const [, first, second] = spec.destinations.map(({ id }) => id)
    expect(shares(await rig.ask(spec, { count: 8 }))).toEqual({ [first ?? '']: 8 })
    const failed = await rig.reweigh(spec, first ?? '', 0)
    expect(shares(await rig.ask(failed, { count: 8 }))).toEqual({ [second ?? '']: 8 })
  },
  'ovf fills the highest weight up to that many connections and overflows to the next': async (rig) => {
    const spec = await rig.serve({ scheduler: 'ovf', weights: [4, 3] })
    const counts = shares(await rig.hold(spec, 7))
    const [first = '', second = ''] = spec.destinations.map(({ id }) => id)
    // ip_vs_ovf.c skips a destination when its connections exceed the weight: one more than the weight is held.
    expect([4, 5]).toContain(counts[first])
    expect((counts[first] ?? 0) + (counts[second] ?? 0)).toBe(7)
  },
  'twos reaches every backend': async (rig) => {
    const spec = await rig.serve({ scheduler: 'twos', weights: [1, 1, 1] })
    const counts = shares(await rig.ask(spec, { count: 90, concurrency: 4 }))
    expect(Object.keys(counts).sort()).toEqual(spec.destinations.map(({ id }) => id).sort())
  },
  'one UDP socket stays on one backend': async (rig) => {
    const spec = await rig.serve({ protocol: 'udp', weights: [1, 1, 1] })
    const answers = await rig.ask(spec, { count: 1, questions: 9 })
    expect(Object.values(shares(answers))).toEqual([9])
  },
  'with one-packet each datagram of a socket is scheduled anew': async (rig) => {
    const flags = 0x04
    const spec = await rig.serve({ protocol: 'udp', scheduler: 'rr', flags, weights: [1, 1, 1] })
    const answers = await rig.ask(spec, { count: 1, questions: 9 })
    expect(Object.values(shares(answers))).toEqual([3, 3, 3])
  },
}
