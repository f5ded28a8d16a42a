import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  decodeHealth,
  effectiveWeight,
  effectiveWeights,
  encodeHealth,
  initialHealth,
  metrics,
  observe,
  pace,
  type Health,
  type Thresholds,
} from './health.ts'

const gorb: Thresholds = { rise: 1, fall: 1, window: 100 }

/** Results as `+` and `-`, a second apart. */
function after(results: string, limits: Thresholds = gorb, start: Health = initialHealth()): Health {
  let health = start
  for (const result of results) health = observe(health, { up: result === '+' }, health.at + 1000, limits)
  return health
}

/** The weight in force after each of the last results. */
function weights(configured: number, before: string, results: string): number[] {
  let health = after(before)
  return results
    .split('')
    .map((result) => effectiveWeight(configured, (health = after(result, gorb, health))))
}

describe('before the first result', () => {
  it('is up with health 0 and full weight', () => {
    expect(metrics(initialHealth())).toEqual({ status: 0, health: 0, uptime: 0 })
    expect(effectiveWeight(100, initialHealth())).toBe(100)
    expect(pace(initialHealth(), 100)).toBe('normal')
  })
})

describe('metrics', () => {
  it.each([
    ['+', 0, 1],
    ['-', 1, 0],
    ['-+', 0, 0.5],
    ['---+', 0, 0.25],
    ['+-', 1, 0.5],
    ['+'.repeat(99) + '-', 1, 0.99],
  ])('%s gives status %i, health %d', (results, status, health) => {
    expect(metrics(after(results))).toMatchObject({ status, health })
  })

  // GORB: TestMetrics
  it('caps the window at its length, and Down zeroes uptime', () => {
    const full = after('+'.repeat(250))
    expect(full.length).toBe(100)
    expect(metrics(full)).toEqual({ status: 0, health: 1, uptime: 249 })
    expect(metrics(after('-', gorb, full))).toEqual({ status: 1, health: 0.99, uptime: 0 })
  })

  // GORB: TestPulseChannel
  it('has uptime 0 after the first result', () => {
    expect(metrics(observe(initialHealth(), { up: true }, 1_700_000_000_123, gorb))).toEqual({
      status: 0,
      health: 1,
      uptime: 0,
    })
  })

  it.each([
    ['whole seconds', [1000, 3000, 5000], 4],
    ['fractions, which are lost', [1000, 2999, 4998], 2],
    ['gaps below a second, which never count', [1000, 1900, 2800, 3700], 0],
    ['a clock set back', [5000, 2000, 4000], 2],
  ])('adds up uptime from %s', (_name, times, uptime) => {
    const health = times.reduce((before, at) => observe(before, { up: true }, at, gorb), initialHealth())
    expect(health.uptime).toBe(uptime)
  })

  it('counts from the last failed check on', () => {
    expect(after('+++-++').uptime).toBe(2)
  })

  it('follows a window that is made smaller or larger', () => {
    const health = after('+++++-----')
    expect(metrics(after('-', { ...gorb, window: 4 }, health))).toMatchObject({ health: 0 })
    expect(after('++++', { ...gorb, window: 4 }, health)).toMatchObject({
      length: 4,
      failures: null,
      restoring: false,
    })
    expect(metrics(after('+', { ...gorb, window: 200 }, after('+'.repeat(100))))).toMatchObject({ health: 1 })
  })
})

describe('rise and fall', () => {
  it.each([
    ['++-', { fall: 2 }, true, 2 / 3],
    ['++--', { fall: 2 }, false, 0.5],
    ['+-+-+-', { fall: 2 }, true, 0.5],
    ['--', { fall: 3 }, true, 0],
    ['---', { fall: 3 }, false, 0],
    ['-+', { rise: 2 }, false, 0.5],
    ['-++', { rise: 2 }, true, 2 / 3],
    ['-+-+-', { rise: 2 }, false, 2 / 5],
    ['-+-++', { rise: 2 }, true, 3 / 5],
  ])('%s with %o: up is %s', (results, limits, up, health) => {
    const seen = after(results, { ...gorb, ...limits })
    expect(seen.up).toBe(up)
    expect(metrics(seen).health).toBeCloseTo(health, 12)
  })

  it('keeps full weight through failures that are fewer than fall', () => {
    expect(effectiveWeight(100, after('++-+', { ...gorb, fall: 2 }))).toBe(100)
  })

  it('keeps uptime 0 until it has risen', () => {
    const limits = { ...gorb, rise: 3 }
    expect(after('-++', limits).uptime).toBe(0)
    expect(after('-+++', limits).uptime).toBe(1)
  })
})

describe('weight restoration', () => {
  it('gives 25, 40, 50, 57, 62 after three failures from a fresh start', () => {
    expect(weights(100, '', '---+++++')).toEqual([0, 0, 0, 25, 40, 50, 57, 62])
  })

  it('comes back at 99 after one failure in a long history, and at 100 after a hundred more successes', () => {
    const before = `${'+'.repeat(300)}-`
    const seen = weights(100, before, '+'.repeat(101))
    expect(seen.slice(0, 99)).toEqual(Array<number>(99).fill(99))
    expect(seen.slice(99)).toEqual([100, 100])
    const nearly = after(before + '+'.repeat(99))
    const whole = after(before + '+'.repeat(100))
    expect([nearly.restoring, whole.restoring]).toEqual([true, false])
    expect([pace(nearly, 100), pace(whole, 100)]).toEqual(['recovering', 'normal'])
  })

  // GORB: TestPulseUpdateSetsBackendWeightToZeroOnStatusDown
  it('sets weight 0 on status Down', () => {
    const health = after('++++-')
    expect(effectiveWeight(100, health)).toBe(0)
    expect(health.restoring).toBe(true)
    expect(pace(health, 100)).toBe('down')
  })

  // GORB: TestPulseUpdateIncreasesBackendWeightRelativeToTheHealthOnStatusUp
  it('increases weight relative to health on status Up: 12 at health .5 is 6', () => {
    const health = after('-+')
    expect(effectiveWeight(12, health)).toBe(6)
    expect(health.restoring).toBe(true)
  })

  // GORB: TestPulseUpdateRemovesStashWhenBackendHasFullyRecovered
  it('is over when the backend has fully recovered', () => {
    const health = after('-' + '+'.repeat(100))
    expect(effectiveWeight(12, health)).toBe(12)
    expect(health.restoring).toBe(false)
    expect(health.failures).toBeNull()
  })

  // GORB: TestStatusDownDuringIncreasingWeight
  it('sets weight 0 again on Down during recovery', () => {
    expect(weights(100, '---', '++-+')).toEqual([25, 40, 0, 42])
  })

  // GORB issue 47
  it('never leaves an Up backend with a configured weight at 0', () => {
    expect(weights(1, '-----', '+++')).toEqual([1, 1, 1])
    expect(weights(3, '-'.repeat(50), '+')).toEqual([1])
    expect(pace(after('---+'), 1)).toBe('normal')
  })

  it.each([
    [0, '---+', 0],
    [200, '-+', 100],
    [50, '-+', 25],
    [0, '+', 0],
    [2 ** 31 - 1, '-+', 2 ** 30 - 1],
  ])('takes a configured weight of %i at once after %s', (configured, results, weight) => {
    expect(effectiveWeight(configured, after(results))).toBe(weight)
  })

  it('rounds as GORB does, in floating point', () => {
    // 10 × (1 − 4/5) is 1.9999999999999996.
    expect(effectiveWeight(10, after('----+'))).toBe(1)
  })

  it('recovers at once with a window of 1', () => {
    expect(after('-+', { ...gorb, window: 1 })).toMatchObject({ restoring: false, failures: null })
  })
})

describe('fallback', () => {
  const all = (zeroToOne: boolean, ...parts: [configured: number, results: string][]): number[] =>
    effectiveWeights(
      parts.map(([configured, results]) => ({ configured, health: after(results) })),
      zeroToOne,
    )

  // GORB: TestPulseUpdateSetsBackendWeightWithFallBackZeroToOne
  it('sets weight 1 where every backend is Down', () => {
    expect(all(true, [100, '-'])).toEqual([1])
    expect(all(true, [100, '+-'], [50, '-'])).toEqual([1, 1])
  })

  it.each([
    [
      'without the flag',
      false,
      [
        [100, '-'],
        [50, '-'],
      ],
      [0, 0],
    ],
    [
      'until one is Up',
      true,
      [
        [100, '-+'],
        [50, '-'],
      ],
      [50, 0],
    ],
    [
      'while one was not checked yet',
      true,
      [
        [100, ''],
        [50, '-'],
      ],
      [100, 0],
    ],
    [
      'never for a configured weight of 0',
      true,
      [
        [100, '-'],
        [0, '-'],
      ],
      [1, 0],
    ],
    [
      'though a drained one is Up, which takes nothing',
      true,
      [
        [100, '-'],
        [0, '+'],
      ],
      [1, 0],
    ],
    ['of an empty service', true, [], []],
  ] as [string, boolean, [number, string][], number[]][])('%s', (_name, zeroToOne, parts, expected) => {
    expect(all(zeroToOne, ...parts)).toEqual(expected)
  })
})

describe('properties', () => {
  const history = fc.array(fc.boolean(), { maxLength: 400 })
  const limits = fc.record({
    rise: fc.integer({ min: 1, max: 5 }),
    fall: fc.integer({ min: 1, max: 5 }),
    window: fc.integer({ min: 1, max: 200 }),
  })
  const run = (results: boolean[], thresholds: Thresholds): Health =>
    results.reduce(
      (health, up, index) => observe(health, { up }, 1000 * (index + 1), thresholds),
      initialHealth(),
    )

  it('health is 1 − sum / length of the last results', () => {
    fc.assert(
      fc.property(history, limits, (results, thresholds) => {
        const last = results.slice(-thresholds.window)
        const failed = last.filter((up) => !up).length
        expect(metrics(run(results, thresholds)).health).toBe(
          last.length === 0 ? 0 : 1 - failed / last.length,
        )
      }),
    )
  })

  it('a clean window holds no bits', () => {
    fc.assert(
      fc.property(history, limits, (results, thresholds) => {
        const clean = results.slice(-thresholds.window).every(Boolean)
        expect(run(results, thresholds).failures === null).toBe(clean)
      }),
    )
  })

  it('successes never lower the weight, and give back all of it within a window', () => {
    fc.assert(
      fc.property(history, limits, fc.integer({ min: 0, max: 1000 }), (results, thresholds, configured) => {
        let health = run(results, thresholds)
        for (let i = 0; i < thresholds.window + thresholds.rise; i++) {
          const before = effectiveWeight(configured, health)
          health = observe(health, { up: true }, health.at + 1000, thresholds)
          expect(effectiveWeight(configured, health)).toBeGreaterThanOrEqual(before)
        }
        expect(effectiveWeight(configured, health)).toBe(configured)
        expect(pace(health, configured)).toBe('normal')
      }),
    )
  })

  it('is stored and read back', () => {
    fc.assert(
      fc.property(history, limits, (results, thresholds) => {
        const health = run(results, thresholds)
        expect(decodeHealth(encodeHealth(health))).toEqual(health)
      }),
    )
  })

  it('reads anything, and what it takes is usable', () => {
    const row = fc.record(
      {
        up: fc.oneof(fc.boolean(), fc.anything()),
        against: fc.oneof(fc.nat(), fc.anything()),
        length: fc.oneof(fc.nat(1100), fc.anything()),
        failures: fc.oneof(fc.constantFrom('', 'f', 'ffffffff.1', '0', 'xyz', '1'.repeat(9)), fc.anything()),
        restoring: fc.oneof(fc.boolean(), fc.anything()),
        uptime: fc.oneof(fc.nat(), fc.anything()),
        at: fc.oneof(fc.double(), fc.anything()),
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          row.map((value) => JSON.stringify(value)),
        ),
        (text) => {
          const health = decodeHealth(text)
          expect(decodeHealth(encodeHealth(health))).toEqual(health)
          expect(metrics(health).health).toBeGreaterThanOrEqual(0)
          expect(metrics(health).health).toBeLessThanOrEqual(1)
          expect(effectiveWeight(100, health)).toBeLessThanOrEqual(100)
        },
      ),
      { numRuns: 500 },
    )
  })

  it.each([
    '',
    'null',
    '[]',
    '{}',
    '7',
    '{"up":true}',
    '{"up":false,"against":0,"length":3,"failures":"7","restoring":false,"uptime":0,"at":1}',
  ])('takes %s for a backend that was never checked', (text) =>
    expect(decodeHealth(text)).toBe(initialHealth()),
  )
})
