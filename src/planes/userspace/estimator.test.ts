import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { estimate, Estimator, noRates } from './estimator.ts'
import { Tally } from './tally.ts'

/** ip_vs_est.c (5.10), in its fixed point: connections a second, scaled by 2^10, from what was counted in 2 s. */
function kernel(scaled: bigint, count: bigint): bigint {
  const rate = count << 9n
  return scaled + ((rate - scaled) >> 2n)
}

describe('an estimate', () => {
  it('moves by a quarter of the difference in two seconds', () => {
    expect(estimate(0, 200, 2)).toBeCloseTo(25, 9)
    expect(estimate(100, 0, 2)).toBeCloseTo(75, 9)
    expect(estimate(100, 200, 2)).toBeCloseTo(100, 9)
  })

  it('is that of the kernel', () => {
    const counts = fc.array(fc.integer({ min: 0, max: 1_000_000 }), { maxLength: 100 })
    fc.assert(
      fc.property(counts, (counts) => {
        let rate = 0
        let scaled = 0n
        for (const count of counts) {
          rate = estimate(rate, count, 2)
          scaled = kernel(scaled, BigInt(count))
        }
        // Each shift of the kernel rounds down by less than 2^-10.
        expect(Math.abs(rate - Number(scaled) / 1024)).toBeLessThan(4 / 1024)
      }),
    )
  })

  it('of a late timer is that of all it stands for', () => {
    const rate = fc.integer({ min: 1, max: 1_000_000 })
    fc.assert(
      fc.property(rate, rate, fc.integer({ min: 1, max: 20 }), (before, now, turns) => {
        let expected = before
        for (let turn = 0; turn < turns; turn++) expected = estimate(expected, now * 2, 2)
        expect(estimate(before, now * 2 * turns, 2 * turns)).toBeCloseTo(expected, 3)
      }),
    )
  })

  it('ends at nothing', () => {
    let rate = 1e9
    let turns = 0
    for (; rate > 0; turns++) rate = estimate(rate, 0, 2)
    expect(turns).toBeLessThan(100)
  })
})

/** A clock that is moved by hand, and the estimator that goes by it. */
function estimating() {
  let now = 0
  const estimator = new Estimator(() => now)
  const pass = (seconds: number): void => {
    now += seconds * 1000
    estimator.tick()
  }
  return { estimator, pass }
}

function opened(tally: Tally, estimator: Estimator): void {
  if (tally.atRest) tally.watchedBy(estimator)
  tally.active++
  tally.connections++
}

describe('Estimator', () => {
  it('looks at what has traffic, and at what is open, until it is at rest', () => {
    const { estimator, pass } = estimating()
    const tally = new Tally()
    pass(2)
    opened(tally, estimator)
    tally.received(4000)
    pass(2)
    expect(tally.rates).toEqual({ ...noRates, connections: 0.125, packetsIn: 0.125, bytesIn: 500 })
    pass(1000)
    expect([tally.rates, estimator.size]).toEqual([noRates, 1])
    tally.returned(8)
    pass(2)
    expect(tally.rates).toEqual({ ...noRates, packetsOut: 0.125, bytesOut: 1 })
    tally.active--
    pass(2)
    expect(estimator.size).toBe(1)
    pass(1000)
    expect([tally.rates, tally.atRest, estimator.size]).toEqual([noRates, true, 0])
    opened(tally, estimator)
    pass(2)
    expect(tally.rates).toEqual({ ...noRates, connections: 0.125 })
    estimator.stop()
  })

  it('has the sum of the parts for the whole, also of parts that were taken over', () => {
    const step = fc.record({
      part: fc.nat(3),
      bytes: fc.nat(100_000),
      seconds: fc.constantFrom(0, 1, 2, 3),
      leaves: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const { estimator, pass } = estimating()
        const whole = new Tally()
        const rest = new Tally()
        const parts = [0, 1, 2, 3].map(() => new Tally())
        opened(whole, estimator)
        for (const { part, bytes, seconds, leaves } of steps) {
          const tally = parts[part] ?? rest
          opened(tally, estimator)
          opened(whole, estimator)
          tally.returned(bytes)
          whole.returned(bytes)
          if (leaves) {
            rest.absorb(tally, estimator)
            parts[part] = new Tally()
          }
          pass(seconds)
        }
        const total = new Tally()
        for (const tally of [rest, ...parts]) total.add(tally)
        expect(total.bytesOut).toBe(whole.bytesOut)
        expect(total.rates.bytesOut).toBeCloseTo(whole.rates.bytesOut, 1)
        expect(total.rates.packetsOut).toBeCloseTo(whole.rates.packetsOut, 1)
        estimator.stop()
      }),
    )
  })

  it('starts anew where counters were set to zero', () => {
    const { estimator, pass } = estimating()
    const tally = new Tally()
    opened(tally, estimator)
    tally.received(800)
    pass(2)
    tally.zero()
    expect(tally.rates).toEqual(noRates)
    tally.received(800)
    pass(2)
    expect(tally.rates).toEqual({ ...noRates, packetsIn: 0.125, bytesIn: 100 })
    estimator.stop()
  })
})
