import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Pool } from './pool.ts'

describe('the pool of idle connections', () => {
  it('gives the one used last first, for each upstream its own', () => {
    const pool = new Pool(2, 10, 8)
    pool.put(0, 3)
    pool.put(1, 4)
    pool.put(0, 5)
    expect([pool.take(0), pool.take(0), pool.take(0), pool.take(1)]).toEqual([5, 3, -1, 4])
  })

  it('keeps so many of an upstream and no more', () => {
    const pool = new Pool(1, 10, 2)
    expect([pool.put(0, 1), pool.put(0, 2), pool.put(0, 3), pool.idle(0)]).toEqual([true, true, false, 2])
  })

  it('is a stack for each upstream, whatever is put, taken and removed', () => {
    const step = fc.record({
      kind: fc.constantFrom('put', 'take', 'remove'),
      upstream: fc.nat(2),
      connection: fc.nat(7),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const pool = new Pool(3, 8, 4)
        const stacks: number[][] = [[], [], []]
        for (const { kind, upstream, connection } of steps) {
          const stack = stacks[upstream] ?? []
          if (kind === 'take') expect(pool.take(upstream)).toBe(stack.pop() ?? -1)
          else if (kind === 'remove') {
            pool.remove(connection)
            for (const [index, each] of stacks.entries())
              stacks[index] = each.filter((member) => member !== connection)
          } else if (!stacks.some((each) => each.includes(connection))) {
            expect(pool.put(upstream, connection)).toBe(stack.length < 4)
            if (stack.length < 4) stack.push(connection)
          }
        }
        expect(stacks.map((_, upstream) => pool.idle(upstream))).toEqual(stacks.map((each) => each.length))
      }),
    )
  })
})
