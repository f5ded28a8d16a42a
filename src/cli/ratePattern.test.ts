import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ratePattern, seededRandom, sendTimes } from './ratePattern.ts'

describe('the steps', () => {
  it('are six phases of five seconds', () => {
    const rates = [...ratePattern('steps', Math.random)].map(({ everyMs, lastsMs }) => [
      1000 / everyMs,
      lastsMs,
    ])
    expect(rates).toEqual([
      [1.25, 5000],
      [10, 5000],
      [2, 5000],
      [10, 5000],
      [5, 5000],
      [20, 5000],
    ])
  })

  it('send about 241 requests in half a minute, each in its phase', () => {
    const times = [...sendTimes(ratePattern('steps', Math.random))].map(({ at }) => at)
    const perPhase = [0, 1, 2, 3, 4, 5].map((n) => times.filter((at) => Math.floor(at / 5000) === n).length)
    expect(perPhase).toEqual([7, 50, 10, 50, 25, 100])
    expect(times.slice(0, 8)).toEqual([0, 800, 1600, 2400, 3200, 4000, 4800, 5000])
  })
})

describe('the random pattern', () => {
  const first = (random: () => number): number => {
    for (const { everyMs } of ratePattern('random', random)) return everyMs
    return NaN
  }

  it.each([
    [0, 1],
    [0.001, 1],
    [0.0021, 2],
    [0.5, 499],
    [0.999_999, 998],
  ])('draws %d as %d ms', (drawn, everyMs) => {
    expect(first(() => drawn)).toBe(everyMs)
  })

  it('stays within 1 and 998 ms', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (drawn) => {
        const everyMs = first(() => drawn)
        return Number.isInteger(everyMs) && everyMs >= 1 && everyMs <= 998
      }),
    )
  })

  it('draws anew every five seconds', () => {
    const drawn = [0.2, 0.9]
    const times: number[] = []
    for (const { at } of sendTimes(ratePattern('random', () => drawn.shift() ?? 0.5))) {
      if (at >= 10_000) break
      times.push(at)
    }
    // floor(0.2 × 999) = 199 ms, then 899 ms.
    expect(times.filter((at) => at < 5000)).toEqual(Array.from({ length: 26 }, (_, n) => n * 199))
    expect(times.filter((at) => at >= 5000)).toEqual([5000, 5899, 6798, 7697, 8596, 9495])
  })
})

describe('seeded random numbers', () => {
  it('are the same for the same seed and others for another', () => {
    const take = (seed: number): number[] => Array.from({ length: 5 }, seededRandom(seed))
    expect(take(7)).toEqual(take(7))
    expect(take(7)).not.toEqual(take(8))
  })

  it('fill [0, 1) evenly', () => {
    const random = seededRandom(1)
    const tenths = Array<number>(10).fill(0)
    for (let i = 0; i < 10_000; i++) {
      const drawn = random()
      expect(drawn >= 0 && drawn < 1).toBe(true)
      tenths[Math.floor(drawn * 10)]!++
    }
    for (const count of tenths) expect(Math.abs(count - 1000)).toBeLessThan(150)
  })
})
