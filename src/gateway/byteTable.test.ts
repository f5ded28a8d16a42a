import fc from 'fast-check'
import { expect, it } from 'vitest'
import { ByteTable } from './byteTable.ts'

const bytesOf = (text: string): Uint8Array => Buffer.from(text)

it('is a map of byte strings', () => {
  const name = fc.string({ maxLength: 3, unit: fc.constantFrom('a', 'b', 'c', 'd') })
  const step = fc.oneof(
    fc.record({ kind: fc.constant('set' as const), name, value: fc.nat() }),
    fc.record({ kind: fc.constant('delete' as const), name }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const table = new ByteTable<number>()
      const model = new Map<string, number>()
      for (const step of steps) {
        if (step.kind === 'set') {
          table.set(bytesOf(step.name), step.value)
          model.set(step.name, step.value)
        } else {
          table.delete(bytesOf(step.name))
          model.delete(step.name)
        }
        const around = bytesOf(`/${step.name}/`)
        expect(table.get(around, 1, around.length - 1)).toBe(model.get(step.name))
      }
      expect(table.size).toBe(model.size)
      for (const [name, value] of model) expect(table.get(bytesOf(name), 0, name.length)).toBe(value)
    }),
  )
})
