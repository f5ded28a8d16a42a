import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Silence } from './liveness.ts'

/** Who is silent after each look, of looks at these seconds with these numbers of hv1 and hv2. */
function looks(
  ...steps: readonly (readonly [at: number, wanted: number, hv1: number, hv2: number])[]
): string[] {
  const silence = new Silence(15_000)
  return steps.map(([at, wanted, hv1, hv2]) => {
    const chassis = new Map([
      ['hv1', hv1],
      ['hv2', hv2],
    ])
    return [...silence.look({ wanted, chassis }, at * 1000)].join(' ')
  })
}

/** One look a second. */
const seconds = (
  count: number,
  [wanted, hv1, hv2]: readonly [number, number, number],
  from = 0,
): (readonly [number, number, number, number])[] =>
  Array.from({ length: count }, (_, i) => [from + i, wanted, hv1, hv2] as const)

describe('silent chassis', () => {
  it('are those that follow nothing for long enough, while others do', () => {
    expect(looks(...seconds(17, [2, 2, 1]))).toEqual([...Array<string>(15).fill(''), 'hv2', 'hv2'])
  })

  it('are none where there is nothing to follow', () => {
    expect(looks(...seconds(60, [1, 1, 1])).at(-1)).toBe('')
  })

  it('are none where northd has not passed on what there is, or all are silent', () => {
    expect(looks(...seconds(60, [1, 1, 1])).at(-1)).toBe('')
    expect(looks(...seconds(60, [2, 1, 1])).at(-1)).toBe('')
  })

  it('are heard again by any step, and slow ones are not silent', () => {
    expect(looks(...seconds(20, [5, 5, 1]), [20, 5, 5, 2]).at(-1)).toBe('')
    const slow = Array.from({ length: 60 }, (_, i) => [i, 100, 100, Math.floor(i / 10)] as const)
    expect(looks(...slow).every((silent) => silent === '')).toBe(true)
  })

  it('are none right after this process stood still', () => {
    expect(looks(...seconds(3, [2, 2, 1]), [40, 2, 2, 1], [41, 2, 2, 1])).toEqual(['', '', '', '', ''])
  })

  it('are never all, and never one that has all', () => {
    const step = fc.record({
      wanted: fc.nat(5),
      chassis: fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.nat(5)),
      after: fc.nat(4000),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const silence = new Silence(3000)
        let now = 0
        for (const { wanted, chassis, after } of steps) {
          now += after
          const all = new Map(Object.entries(chassis))
          const silent = silence.look({ wanted, chassis: all }, now)
          expect(silent.size === 0 || silent.size < all.size).toBe(true)
          for (const name of silent) expect(all.get(name)).toBeLessThan(wanted)
        }
      }),
    )
  })
})
