import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Destination, VirtualService } from '../plane.ts'
import { Rig } from './rig.ts'
import { until } from '../../../lab/until.ts'

/** Without ovf, which refuses where all have as many connections as weight, and without those that hash to one backend. */
const schedulers = ['rr', 'wrr', 'lc', 'wlc', 'sed', 'nq', 'lblc', 'lblcr', 'fo', 'twos'] as const

describe('changes under load', () => {
  it('no client fails while backends come, go and drain, and schedulers change', async () => {
    await using rig = new Rig()
    const pool: Destination[] = []
    for (let i = 0; i < 5; i++) pool.push((await rig.named()).destination)
    const known = new Set(pool.map(({ id }) => id))
    const first = await rig.service(pool)
    let spec: VirtualService = first
    const done = new AbortController()
    const failures: string[] = []
    let reached = 0
    const clients = Array.from({ length: 16 }, async () => {
      while (!done.signal.aborted) {
        const answer = await rig.reach(spec)
        reached++
        if (!known.has(answer)) failures.push(`${spec.scheduler}: ${answer}`)
      }
    })
    const weights = fc
      .array(fc.integer({ min: 0, max: 3 }), { minLength: 5, maxLength: 5 })
      .filter((list) => list.some((weight) => weight > 0))
    const state = fc.record({
      weights,
      present: fc.subarray([0, 1, 2, 3, 4], { minLength: 1 }),
      scheduler: fc.constantFrom(...schedulers),
      persistence: fc.option(fc.constant({ timeout: 5, prefix: 32 })),
    })
    for (const { weights, present, scheduler, persistence } of fc.sample(state, 300)) {
      const destinations = present.map((index) => ({
        ...pool[index]!,
        weight: weights[index]!,
        maxWeight: 3,
      }))
      // Somebody has to be there.
      if (destinations.every(({ weight }) => weight === 0))
        destinations[0] = { ...destinations[0]!, weight: 1 }
      spec = { ...first, scheduler, persistence, destinations }
      await rig.put(spec)
      await new Promise((resolve) => setImmediate(resolve))
    }
    done.abort()
    await Promise.all(clients)
    expect(failures).toEqual([])
    await until(async () => {
      const { active, inactive } = await rig.counters()
      return active === 0 && inactive === 0
    })
    const { connections, errors, destinations } = await rig.counters()
    expect({ connections, errors }).toEqual({ connections: reached, errors: 0 })
    for (const counters of destinations.values()) expect(counters).toMatchObject({ active: 0, inactive: 0 })
  }, 60_000)
})
