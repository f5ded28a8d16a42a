import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Slots } from './slots.ts'
import { generationOf, kind, kindOf, tagOf } from './tag.ts'

describe('slots', () => {
  it('are given once, until none is left', () => {
    const slots = new Slots(3)
    expect([slots.take(), slots.take(), slots.take(), slots.take()]).toEqual([0, 1, 2, -1])
  })

  it('are free again when they ended and nothing holds them', () => {
    const slots = new Slots(1)
    const slot = slots.take()
    const generation = slots.generationOf(slot)
    slots.hold(slot)
    slots.hold(slot)
    slots.end(slot)
    expect(slots.generationOf(slot)).not.toBe(generation)
    slots.drop(slot)
    expect(slots.take()).toBe(-1)
    slots.drop(slot)
    expect(slots.take()).toBe(slot)
  })

  it('never come twice, nor while something holds them', () => {
    const step = fc.tuple(fc.constantFrom('take', 'end', 'hold', 'drop'), fc.nat(3))
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const slots = new Slots(4)
        const open = new Set<number>()
        const holds = [0, 0, 0, 0]
        for (const [what, slot] of steps) {
          const held = holds[slot] ?? 0
          if (what === 'take') {
            const taken = slots.take()
            if (taken < 0) continue
            expect(open.has(taken)).toBe(false)
            expect(holds[taken]).toBe(0)
            open.add(taken)
          } else if (what === 'end' && open.delete(slot)) slots.end(slot)
          else if (what === 'hold' && open.has(slot)) {
            slots.hold(slot)
            holds[slot] = held + 1
          } else if (what === 'drop' && held > 0) {
            slots.drop(slot)
            holds[slot] = held - 1
          }
        }
        const used = [0, 1, 2, 3].filter((slot) => open.has(slot) || holds[slot] !== 0)
        expect(slots.free).toBe(4 - used.length)
      }),
    )
  })
})

describe('tags', () => {
  it('carry kind and generation in 32 bits, also beyond the sign', () => {
    fc.assert(
      fc.property(fc.constantFrom(...Object.values(kind)), fc.nat(0xfffffff), (kind, generation) => {
        const [tag = 0] = new Int32Array([tagOf(kind, generation)])
        expect([kindOf(tag), generationOf(tag)]).toEqual([kind, generation])
      }),
    )
  })

  it('tell a generation from those before and after it, also where they begin anew', () => {
    const slots = new Slots(1)
    const seen = new Set<number>()
    for (let round = 0; round < 100; round += 1) {
      const slot = slots.take()
      const [tag = 0] = new Int32Array([tagOf(kind.send, slots.generationOf(slot))])
      expect(generationOf(tag)).toBe(slots.generationOf(slot))
      seen.add(tag)
      slots.end(slot)
    }
    expect(seen.size).toBe(100)
  })
})
