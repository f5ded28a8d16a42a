import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { FunctionSpec } from '../../model/function.ts'
import { sum } from './allot.ts'
import { feedbackDefaults, step, type FeedbackDecision, type FeedbackState } from './controller.ts'
import { Feedback } from './feedback.ts'

const instances = ['a', 'b', 'c']

/**
 * What the show `feedback` saw in 134 intervals of 500 ms on a busy machine (`TORB_TRACE=FILE npm run show feedback` writes
 * one): instances of 2, 4 and 8 ms, whose speeds are turned round in interval 72; in 52 to 58 and from 115 on the machine
 * stands still now and then.
 */
const trace = readFileSync(new URL('trace.csv', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .slice(1)
  .map((line): Row => {
    const cells = line.split(',')
    const weights = cells.pop() ?? ''
    const totals = instances.map((_, n) => {
      const [answered = 0, failed = 0, milliseconds = 0] = cells.slice(3 * n, 3 * n + 3).map(Number)
      return { answered, failed, milliseconds }
    })
    return { totals, weights: weights === '' ? null : weights.split(':').map(Number) }
  })

interface Row {
  /** Counters at the end of an interval. */
  readonly totals: readonly {
    readonly answered: number
    readonly failed: number
    readonly milliseconds: number
  }[]
  /** In force until then; null: the configured ones. */
  readonly weights: readonly number[] | null
}

const works = [2, 4, 8]
const turnedAt = 72

describe('a recorded run', () => {
  it('comes to the weights that it came to live, each within its bounds', () => {
    const spec: FunctionSpec = { ips: instances, weights: [1, 1, 1] }
    const decisions: FeedbackDecision[] = []
    const laid: (readonly number[] | null)[] = []
    let totals: Row['totals'] = []
    const feedback = new Feedback(
      {
        functions: () => [
          { name: 'f', spec, totals: totals.map((total, n) => ({ instance: instances[n] ?? '', ...total })) },
        ],
        overlay: (_name, _spec, weights) => laid.push(weights),
        write: () => {},
        decided: (_name, decision) => decisions.push(decision),
      },
      feedbackDefaults,
      500,
    )
    const inForce = trace.map((row, n) => {
      const before = laid.at(-1) ?? null
      totals = row.totals
      feedback.tick(500 * n)
      return before
    })
    expect(inForce).toEqual(trace.map(({ weights }) => weights))
    const { maxStep, floor } = feedbackDefaults
    for (const { from, to } of decisions) {
      // Whole numbers: each is less than one beside its exact part.
      expect(to).toBeLessThanOrEqual((from + 1) * (1 + maxStep) + 1)
      expect(to).toBeGreaterThanOrEqual((from - 1) * (1 - maxStep) - 1)
      expect(to).toBeGreaterThanOrEqual(Math.floor((100 / 3) * floor))
    }
    // A machine that stands still is no difference between instances.
    const [before, after] = [inForce[52] ?? [], inForce[58] ?? []]
    for (const [n, weight] of before.entries())
      expect(Math.abs(weight - (after[n] ?? 0))).toBeLessThanOrEqual(4)
  })

  it('lets its load, over queues, come to like response times, also when the speeds are turned round', () => {
    const configured = instances.map((instance) => ({ instance, weight: 1 }))
    let state: FeedbackState = new Map()
    let weights: readonly number[] = [1, 1, 1]
    const spread = trace.slice(1).map(({ totals }, t) => {
      const requests = sum(totals.map(({ answered }, n) => answered - (trace[t]?.totals[n]?.answered ?? 0)))
      const milliseconds: number[] = []
      const observations = configured.map(({ instance }, n) => {
        const share = (weights[n] ?? 0) / sum(weights)
        const work = works[t < turnedAt ? n : works.length - 1 - n] ?? 1
        const busy = Math.min(0.99, (requests * share * work) / 500)
        // M/D/1 (Pollaczek and Khinchine).
        const mean = work * (1 + busy / (2 * (1 - busy)))
        milliseconds.push(mean)
        const answered = Math.round(requests * share)
        return { instance, answered, failed: 0, milliseconds: mean * answered }
      })
      const next = step(state, configured, observations, feedbackDefaults)
      state = next.state
      weights = next.weights ?? [1, 1, 1]
      return Math.max(...milliseconds) / Math.min(...milliseconds)
    })
    const median = (from: number, to: number): number =>
      spread.slice(from, to).sort((a, b) => a - b)[Math.floor((to - from) / 2)] ?? 0
    expect(median(0, 3)).toBeGreaterThan(15)
    // Two fifths of what they can do: the slow one is slower than the others even with hardly any work.
    expect(median(40, 52)).toBeLessThan(4)
    expect(median(turnedAt, turnedAt + 3)).toBeGreaterThan(50)
    expect(median(112, 133)).toBeLessThan(5)
  })
})
