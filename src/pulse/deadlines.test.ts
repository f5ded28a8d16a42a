import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Deadlines, type Due } from './deadlines.ts'

describe('Deadlines', () => {
  it('gives the earliest first, whatever was taken out in between', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('add' as const), at: fc.integer({ min: 0, max: 50 }) }),
      fc.record({ kind: fc.constant('delete' as const), which: fc.nat() }),
      fc.record({ kind: fc.constant('take' as const) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const heap = new Deadlines<Due>()
        const inside: Due[] = []
        const leave = (entry: Due): void => {
          heap.delete(entry)
          inside.splice(inside.indexOf(entry), 1)
        }
        for (const step of steps) {
          if (step.kind === 'add') {
            const entry = { at: step.at, position: -1 }
            heap.add(entry)
            inside.push(entry)
          } else if (step.kind === 'delete') {
            const entry = inside[step.which % Math.max(1, inside.length)]
            if (entry !== undefined) leave(entry)
          } else if (heap.first !== undefined) leave(heap.first)
          expect(heap.size).toBe(inside.length)
          expect(heap.first?.at).toBe(
            inside.length === 0 ? undefined : Math.min(...inside.map(({ at }) => at)),
          )
        }
      }),
    )
  })

  it('is empty after clear', () => {
    const heap = new Deadlines<Due>()
    heap.add({ at: 1, position: 0 })
    heap.clear()
    expect([heap.size, heap.first]).toEqual([0, undefined])
  })
})
