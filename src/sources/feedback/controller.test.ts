import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sum } from './allot.ts'
import {
  feedbackDefaults,
  overlayUnits,
  resumed,
  step,
  type FeedbackDecision,
  type FeedbackState,
  type Observation,
} from './controller.ts'

/** Instances that queue (M/M/1): response time 1 / (capacity - rate), which grows without bound as they fill up. */
interface World {
  /** Requests a second that each instance can serve. */
  readonly capacity: readonly number[]
  /** Requests a second that arrive. */
  readonly rate: number
  readonly configured?: readonly number[]
  /** Factor of the capacity of instance n in step t. */
  readonly speed?: (n: number, t: number) => number
  /** Part of the requests to instance n that fail in step t, at once. */
  readonly failing?: (n: number, t: number) => number
  /** Seed of the noise of the measured means; 0: none. */
  readonly noise?: number
}

const stepSeconds = 5
/** Where clients give up. */
const longest = 5000

interface Moment {
  readonly weights: readonly number[]
  readonly milliseconds: readonly number[]
  readonly decisions: readonly FeedbackDecision[]
}

function simulate(world: World, steps: number): Moment[] {
  const { capacity, rate, speed = () => 1, failing = () => 0 } = world
  const configured = capacity.map((_, n) => ({ instance: `i${n}`, weight: world.configured?.[n] ?? 1 }))
  const normal = gauss(world.noise ?? 0)
  let state: FeedbackState = new Map()
  let weights: readonly number[] = configured.map(({ weight }) => weight)
  return Array.from({ length: steps }, (_, t) => {
    const milliseconds: number[] = []
    const observations = configured.map(({ instance }, n): Observation => {
      const arriving = (rate * (weights[n] ?? 0)) / sum(weights)
      const serving = (capacity[n] ?? 0) * speed(n, t)
      const mean = arriving < serving ? Math.min(longest, 1000 / (serving - arriving)) : longest
      milliseconds.push(mean)
      const requests = Math.floor(arriving * stepSeconds)
      const failed = Math.round(requests * failing(n, t))
      const answered = requests - failed
      // Response times spread exponentially: their mean over so many has this standard error.
      const measured = answered === 0 ? 0 : mean * Math.max(0.01, 1 + normal() / Math.sqrt(answered))
      return { instance, answered, failed, milliseconds: measured * answered }
    })
    const next = step(state, configured, observations, feedbackDefaults)
    state = next.state
    weights = next.weights ?? configured.map(({ weight }) => weight)
    return { weights: inHundredths(weights), milliseconds, decisions: next.decisions }
  })
}

const inHundredths = (weights: readonly number[]): number[] =>
  weights.map((weight) => (100 * weight) / sum(weights))

function gauss(seed: number): () => number {
  if (seed === 0) return () => 0
  let state = seed
  const uniform = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return (state + 0.5) / 2 ** 32
  }
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform())
}

const lowest = (moments: readonly Moment[], n: number): number =>
  Math.min(...moments.map(({ weights }) => weights[n] ?? NaN))
const highest = (moments: readonly Moment[], n: number): number =>
  Math.max(...moments.map(({ weights }) => weights[n] ?? NaN))

describe('feedback', () => {
  it.each([
    // Equal response times are where the spare capacities are equal: (175 - 100) / 3 is more than the smallest has.
    { rate: 100, shares: [70, 26, 4] },
    { rate: 160, shares: [59.4, 28.1, 12.5] },
  ])('shares $rate requests a second out to instances of 100, 50 and 25', ({ rate, shares }) => {
    const end = simulate({ capacity: [100, 50, 25], rate, noise: 5 }, 200).slice(100)
    for (const [n, share] of shares.entries()) {
      expect(lowest(end, n)).toBeGreaterThan(share - 4)
      expect(highest(end, n)).toBeLessThan(share + 4)
    }
  })

  it('brings response times close together that differed by orders of magnitude', () => {
    const moments = simulate({ capacity: [100, 50, 25], rate: 140 }, 200)
    const spread = ({ milliseconds }: Moment): number => Math.max(...milliseconds) / Math.min(...milliseconds)
    expect(spread(moments[0] as Moment)).toBeGreaterThan(50)
    // At this load a hundredth more work is a quarter more response time: finer than whole units it cannot be.
    for (const moment of moments.slice(100)) expect(spread(moment)).toBeLessThan(2)
  })

  it('holds still between two measurements', () => {
    const configured = ['a', 'b'].map((instance) => ({ instance, weight: 1 }))
    const seen = (requests: number): Observation[] =>
      configured.map(({ instance }, n) => {
        return { instance, answered: requests, failed: 0, milliseconds: requests * (n === 1 ? 9 : 1) }
      })
    let { state, weights } = step(new Map(), configured, seen(100), feedbackDefaults)
    for (let t = 0; t < 19; t++) ({ state, weights } = step(state, configured, seen(1), feedbackDefaults))
    expect(weights).toEqual([55, 45])
    expect(step(state, configured, seen(1), feedbackDefaults).weights).toEqual([59, 41])
  })

  it('compares with what it knows of those that are measured less often', () => {
    const configured = ['a', 'b'].map((instance) => ({ instance, weight: 1 }))
    const seen = (instance: string, mean: number): Observation => {
      return { instance, answered: 100, failed: 0, milliseconds: 100 * mean }
    }
    const both = step(new Map(), configured, [seen('a', 1), seen('b', 9)], feedbackDefaults)
    const { decisions } = step(both.state, configured, [seen('a', 1)], feedbackDefaults)
    expect(decisions[0]).toMatchObject({ instance: 'a', reason: 'faster' })
  })

  it.each([1, 2, 3, 4])(
    'leaves equal instances as they are configured, whatever chance says (%i)',
    (noise) => {
      const moments = simulate({ capacity: [100, 100, 100], rate: 60, noise }, 500)
      for (const n of [0, 1, 2]) {
        expect(lowest(moments, n)).toBeGreaterThan(28)
        expect(highest(moments, n)).toBeLessThan(39)
      }
    },
  )

  it('takes work from an instance that degrades and gives it back when it has recovered', () => {
    const speed = (n: number, t: number): number => (n === 0 && t >= 40 && t < 100 ? 0.4 : 1)
    const moments = simulate({ capacity: [100, 100, 100], rate: 150, speed, noise: 9 }, 250)
    expect(lowest(moments.slice(0, 40), 0)).toBeGreaterThan(30)
    expect(highest(moments.slice(60, 100), 0)).toBeLessThan(15)
    expect(lowest(moments.slice(200), 0)).toBeGreaterThan(29)
    const told = moments.slice(40, 50).flatMap(({ decisions }) => decisions)
    expect(told.filter(({ instance, reason }) => instance === 'i0' && reason === 'slower')).not.toEqual([])
    const back = moments.slice(100, 130).flatMap(({ decisions }) => decisions)
    expect(back.filter(({ instance, reason }) => instance === 'i0' && reason === 'faster')).not.toEqual([])
  })

  it('is not drawn to an instance that fails fast, and goes down to its floor only', () => {
    const failing = (n: number, t: number): number => (n === 1 && t >= 20 && t < 80 ? 1 : 0)
    const moments = simulate({ capacity: [100, 100, 100], rate: 90, failing }, 300)
    for (let t = 21; t < 40; t++) {
      expect(moments[t]?.weights[1]).toBeLessThanOrEqual(moments[t - 1]?.weights[1] ?? 0)
    }
    expect(lowest(moments, 1)).toBeGreaterThanOrEqual(3)
    expect(highest(moments.slice(60, 80), 1)).toBeLessThan(6)
    const told = moments.slice(20, 40).flatMap(({ decisions }) => decisions)
    expect(told.filter(({ instance }) => instance === 'i1').map(({ reason }) => reason)).toEqual(
      told.filter(({ instance }) => instance === 'i1').map(() => 'failing'),
    )
    expect(lowest(moments.slice(250), 1)).toBeGreaterThan(28)
  })

  it('holds still when all fail, and when none is asked', () => {
    const configured = ['a', 'b'].map((instance) => ({ instance, weight: 1 }))
    const failed = configured.map(({ instance }) => ({ instance, answered: 0, failed: 100, milliseconds: 0 }))
    for (const observations of [failed, []]) {
      const { weights, decisions } = step(new Map(), configured, observations, feedbackDefaults)
      expect({ weights, decisions }).toEqual({ weights: null, decisions: [] })
    }
  })

  it('measures by enough requests only, and keeps what was too few for later', () => {
    const configured = ['a', 'b'].map((instance) => ({ instance, weight: 1 }))
    const few = [
      { instance: 'a', answered: 12, failed: 0, milliseconds: 12 },
      { instance: 'b', answered: 12, failed: 0, milliseconds: 1200 },
    ]
    const first = step(new Map(), configured, few, feedbackDefaults)
    expect(first.weights).toBeNull()
    expect(step(first.state, configured, few, feedbackDefaults).weights).toEqual([55, 45])
  })

  it('returns to the configured weights when nobody asks any more', () => {
    const configured = ['a', 'b'].map((instance) => ({ instance, weight: 1 }))
    const slow = [
      { instance: 'a', answered: 100, failed: 0, milliseconds: 100 },
      { instance: 'b', answered: 100, failed: 0, milliseconds: 900 },
    ]
    let { state, weights } = step(new Map(), configured, slow, feedbackDefaults)
    expect(weights).toEqual([55, 45])
    for (let t = 0; t < 200; t++) ({ state, weights } = step(state, configured, [], feedbackDefaults))
    expect(weights).toBeNull()
  })

  it('keeps what it learned of those that stay when an instance comes, goes, or is listed twice', () => {
    const slow = ['a', 'b'].map((instance, n) => ({
      instance,
      answered: 100,
      failed: 0,
      milliseconds: 100 + 800 * n,
    }))
    const { state } = step(
      new Map(),
      ['a', 'b'].map((instance) => ({ instance, weight: 1 })),
      slow,
      feedbackDefaults,
    )
    const after = (...instances: string[]): readonly number[] | null =>
      step(
        state,
        instances.map((instance) => ({ instance, weight: instance === 'off' ? 0 : 1 })),
        [],
        feedbackDefaults,
      ).weights
    expect(after('a', 'b', 'c')).toEqual([37, 30, 33])
    expect(after('a', 'off', 'b')).toEqual([55, 0, 45])
    expect(after('b')).toBeNull()
    expect(after('off')).toBeNull()
    // Twice the weight of b.
    expect(after('a', 'b', 'a')).toEqual([71, 29, 0])
  })

  it('goes on from the weights of an earlier run, and from the configured ones where those are of no use', () => {
    const configured = ['a', 'b', 'a', 'c'].map((instance, n) => ({ instance, weight: n === 3 ? 0 : 1 }))
    const next = step(resumed(configured, [80, 20, 0, 9]), configured, [], feedbackDefaults)
    // A step back toward 2 to 1.
    expect(next.weights).toEqual([80, 20, 0, 0])
    expect([...next.state.values()].map(({ factor }) => factor)).toEqual([
      expect.closeTo(1.2, 1),
      expect.closeTo(0.6, 1),
    ])
    expect(resumed(configured, [80, 0, 0, 0])).toEqual(new Map())
    expect(resumed([], [])).toEqual(new Map())
  })

  it('keeps sum, floor and greatest step whatever it observes', () => {
    const count = fc.nat(1_000_000)
    const seen = fc.record({
      answered: count,
      failed: count,
      mean: fc.double({ min: 0, max: 1e6, noNaN: true }),
    })
    const weights = fc.array(fc.oneof(fc.constant(0), fc.double({ min: 0.01, max: 1000, noNaN: true })), {
      minLength: 1,
      maxLength: 12,
    })
    const trace = weights.chain((weights) =>
      fc.tuple(
        fc.constant(weights),
        fc.array(fc.array(seen, { minLength: weights.length, maxLength: weights.length }), { maxLength: 40 }),
      ),
    )
    fc.assert(
      fc.property(trace, ([weights, steps]) => {
        const configured = weights.map((weight, n) => ({ instance: `i${n}`, weight }))
        const active = weights.filter((weight) => weight > 0).length
        let state: FeedbackState = new Map()
        for (const seen of steps) {
          const before = state
          const observations = seen.map(({ answered, failed, mean }, n) => {
            return { instance: `i${n}`, answered, failed, milliseconds: answered * mean }
          })
          const next = step(before, configured, observations, feedbackDefaults)
          state = next.state
          expect(state.size).toBe(active)
          if (next.weights !== null) expect(sum(next.weights)).toBe(overlayUnits(active))
          const share = (state: FeedbackState, n: number): number =>
            ((state.get(`i${n}`)?.factor ?? 1) * (weights[n] ?? 0)) / sum(weights)
          const shares = weights.map((_, n) => share(state, n))
          if (active > 0) expect(sum(shares)).toBeCloseTo(1, 9)
          for (const [n, weight] of weights.entries()) {
            if (weight === 0) expect(next.weights?.[n] ?? 0).toBe(0)
            if (weight === 0) continue
            expect(shares[n]).toBeGreaterThanOrEqual((0.1 * (1 - 1e-9) * weight) / sum(weights))
            expect((shares[n] ?? NaN) / share(before, n)).toBeGreaterThan(0.9 - 1e-9)
            expect((shares[n] ?? NaN) / share(before, n)).toBeLessThan(1.1 + 1e-9)
          }
        }
      }),
    )
  })

  it('comes to rest: in the end no weight swings by more than two of the greatest steps', () => {
    const world = fc.record({
      capacity: fc.array(fc.double({ min: 10, max: 200, noNaN: true }), { minLength: 2, maxLength: 6 }),
      load: fc.double({ min: 0.1, max: 0.9, noNaN: true }),
    })
    fc.assert(
      fc.property(world, ({ capacity, load }) => {
        const end = simulate({ capacity, rate: load * sum(capacity) }, 500).slice(400)
        for (const n of capacity.keys()) {
          // And the rounding to whole units, up and down.
          const most = 2 * feedbackDefaults.maxStep * highest(end, n) + 2
          expect(highest(end, n) - lowest(end, n)).toBeLessThanOrEqual(most)
        }
      }),
      { numRuns: 50 },
    )
  })
})
