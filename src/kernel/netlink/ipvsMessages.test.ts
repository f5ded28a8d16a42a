import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { viewOf, Writer } from './codec.ts'
import { noStatistics, type IpvsServiceKey } from './ipvsEntries.ts'
import {
  commandAttributes,
  decodeDaemon,
  decodeDestination,
  decodeService,
  encodeCommand,
  type CommandValues,
} from './ipvsMessages.ts'

const plain = {
  key: { family: 2, fwmark: 7 },
  scheduler: 'rr',
  flags: 0,
  timeout: 0,
  prefix: 32,
  engine: '',
} as const

const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const port = fc.nat(0xffff)
const u32 = fc.nat(0xffffffff)
const name = fc.stringMatching(/^[a-z]{1,15}$/)
const family = fc.constantFrom(2 as const, 10 as const)
const key = family.chain((of): fc.Arbitrary<IpvsServiceKey> =>
  fc.oneof(
    fc.record({ family: fc.constant(of), fwmark: fc.integer({ min: 1, max: 0xffffffff }) }),
    fc.record({
      family: fc.constant(of),
      fwmark: fc.constant(0 as const),
      protocol: fc.constantFrom(6, 17, 132),
      address: bytesOf(of === 2 ? 4 : 16),
      port,
    }),
  ),
)
const anyService = key.chain((of) =>
  fc.record({
    key: fc.constant(of),
    scheduler: name,
    // Without the kernel's own IP_VS_SVC_F_HASHED.
    flags: fc.nat(0x3f).map((flags) => flags & ~0x2),
    timeout: u32,
    prefix: fc.integer({ min: 0, max: of.family === 2 ? 32 : 128 }),
    engine: fc.oneof(fc.constant(''), name),
  }),
)
const anyDestination = family.chain((of) =>
  fc.record({
    key: fc.record({ family: fc.constant(of), address: bytesOf(of === 2 ? 4 : 16), port }),
    forwarding: fc.nat(3),
    weight: fc.nat(0x7fffffff),
    upperThreshold: u32,
    lowerThreshold: u32,
    tunnelType: fc.nat(2),
    tunnelPort: port,
    tunnelFlags: fc.nat(3),
  }),
)
const reread = (values: CommandValues): CommandValues => {
  const out = new Writer()
  commandAttributes.write(out, values)
  return commandAttributes.read(viewOf(out.written()), 0, out.length) ?? {}
}

describe('IPVS entries', () => {
  it('services are read as they were written', () => {
    fc.assert(
      fc.property(anyService, (item) => {
        const { values } = encodeCommand({ do: 'add-service', service: item })
        expect(decodeService(reread(values))).toEqual({ ...item, statistics: noStatistics })
      }),
    )
  })

  it('destinations are read as they were written', () => {
    fc.assert(
      fc.property(key, anyDestination, (of, item) => {
        const { values } = encodeCommand({ do: 'add-destination', key: of, destination: item })
        expect(decodeDestination(reread(values), of.family)).toMatchObject(item)
      }),
    )
  })

  it('a service never goes out with the mark that it is in the table, or the kernel would leave it out', () => {
    const { values } = encodeCommand({ do: 'set-service', service: { ...plain, flags: 3 } })
    expect(values.service?.flags).toEqual({ flags: 1, mask: 0xffffffff })
  })

  it('counters of 64 bits go before those of 32', () => {
    const small = { ...noStatistics, connections: 1 }
    const large = { ...noStatistics, connections: 2 ** 40, bytesIn: 2 ** 50 }
    const key = { family: 2, fwmark: 7 }
    expect(decodeService(reread({ service: { ...key, statistics: small } }))?.statistics).toEqual(small)
    expect(
      decodeService(reread({ service: { ...key, statistics: small, statistics64: large } }))?.statistics,
    ).toEqual(large)
  })

  it('answers of whatever bytes give values or nothing, and never throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        const values = commandAttributes.read(viewOf(noise), 0, noise.length) ?? {}
        decodeService(values)
        decodeDestination(values, 2)
        decodeDaemon(values)
      }),
    )
  })
})
