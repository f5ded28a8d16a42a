import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { addressBytes, addressText } from '../../model/address.ts'
import { flagBit } from '../../model/names.ts'
import { dh } from '../../schedulers/dh.ts'
import { sh } from '../../schedulers/sh.ts'
import { hashed, type Candidate } from './hashing.ts'

const flow = (source: string, sourcePort: number) => ({
  protocol: 'tcp' as const,
  source,
  sourcePort,
  destination: '10.9.0.1',
  destinationPort: 80,
})

const anySource = fc.oneof(
  fc.uint8Array({ minLength: 4, maxLength: 4 }).map(addressText),
  fc.uint8Array({ minLength: 16, maxLength: 16 }).map(addressText),
)
const candidates = fc.array(fc.record({ weight: fc.nat(60), overloaded: fc.boolean() }), { maxLength: 4 })

const tableOf = (list: readonly Candidate[]) => ({
  size: list.length,
  weight: Int32Array.from(list, ({ weight }) => weight),
  maxWeight: Int32Array.from(list, ({ weight }) => weight),
  active: new Int32Array(list.length),
  inactive: new Int32Array(list.length),
  overloaded: Uint8Array.from(list, ({ overloaded }) => Number(overloaded)),
  name: list.map((_, index) => String(index)),
})

describe('hashed', () => {
  it('is what the scheduler of the same name does, up to a sum of weights of 256', () => {
    fc.assert(
      fc.property(
        candidates,
        anySource,
        fc.nat(65535),
        fc.boolean(),
        fc.boolean(),
        fc.constantFrom('sh' as const, 'dh' as const),
        (list, source, port, fallback, byPort, scheduler) => {
          const table = tableOf(list)
          const made = (scheduler === 'sh' ? sh : dh)(table, { fallback, port: byPort })
          const picked = made.pick(table, {
            source: addressBytes(source),
            sourcePort: port,
            destination: addressBytes('10.9.0.1'),
            destinationPort: 80,
            now: 0,
            random: () => 0,
          })
          const flags = (fallback ? flagBit.fallback : 0) | (byPort ? flagBit.port : 0)
          expect(hashed({ scheduler, flags }, list, flow(source, port))).toBe(picked)
        },
      ),
    )
  })

  it('gives the last backends nothing above a sum of 256, as the kernel', () => {
    const list = [100, 100, 100, 100].map((weight) => ({ weight, overloaded: false }))
    const seen = new Set<number>()
    for (let host = 0; host < 4096; host++) {
      seen.add(hashed({ scheduler: 'sh', flags: 0 }, list, flow(`10.1.${host >> 8}.${host & 255}`, 1)))
    }
    expect([...seen].sort()).toEqual([0, 1, 2])
  })
})
