import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { attributes } from './attributes.ts'
import {
  be16,
  be32,
  bytes,
  presence,
  s32,
  string,
  struct,
  u16,
  u32,
  u64,
  u8,
  viewOf,
  Writer,
} from './codec.ts'

const inner = attributes({ low: [1, u8], text: [2, string], wide: [200, u64] })
const codec = attributes({
  u8: [1, u8],
  u16: [2, u16],
  u32: [3, u32],
  s32: [4, s32],
  u64: [5, u64],
  be16: [6, be16],
  be32: [7, be32],
  string: [8, string],
  bytes: [9, bytes],
  presence: [10, presence],
  struct: [11, struct({ flags: u32, mask: u32, kind: u16, pad: u16 })],
  nested: [12, inner],
})

const upTo = (bits: number) => fc.integer({ min: 0, max: 2 ** bits - 1 })
// The kernel's texts end with their first zero byte.
const text = fc.string({ unit: 'grapheme', maxLength: 20 }).filter((value) => !value.includes('\0'))
const values = fc.record(
  {
    u8: upTo(8),
    u16: upTo(16),
    u32: upTo(32),
    s32: fc.integer(),
    u64: fc.maxSafeNat(),
    be16: upTo(16),
    be32: upTo(32),
    string: text,
    bytes: fc.uint8Array({ maxLength: 40 }),
    presence: fc.constant(true as const),
    struct: fc.record({ flags: upTo(32), mask: upTo(32), kind: upTo(16), pad: upTo(16) }),
    nested: fc.record({ low: upTo(8), text, wide: fc.maxSafeNat() }, { requiredKeys: [] }),
  },
  { requiredKeys: [] },
)

function encode(value: Parameters<typeof codec.write>[1]): Uint8Array {
  // What was in the buffer before must not come through.
  const out = new Writer(8)
  out.bytes.fill(0xff)
  codec.write(out, value)
  return out.written()
}

const decode = (encoded: Uint8Array) => codec.read(viewOf(encoded), 0, encoded.length)
const hex = (encoded: Uint8Array) => Buffer.from(encoded).toString('hex')

describe('netlink attributes', () => {
  it('are read as they were written', () => {
    fc.assert(
      fc.property(values, (value) => {
        expect(decode(encode(value))).toEqual(value)
      }),
    )
  })

  it('are aligned, nested ones are marked, numbers are in the order of the host or the network', () => {
    expect(hex(encode({ u8: 7, be16: 80, string: 'rr', nested: { low: 1 } }))).toBe(
      ['0500010007000000', '0600060000500000', '0700080072720000', '0c000c80', '0500010001000000'].join(''),
    )
  })

  it('that the table does not know are skipped, wherever they are', () => {
    fc.assert(
      fc.property(values, fc.uint8Array({ maxLength: 20 }), (value, unknown) => {
        const other = attributes({ other: [99, bytes] })
        const out = new Writer()
        other.write(out, { other: unknown })
        codec.write(out, value)
        other.write(out, { other: unknown })
        expect(decode(out.written())).toEqual(value)
      }),
    )
  })

  it('that are cut off give what is whole', () => {
    fc.assert(
      fc.property(values, fc.nat(300), (value, length) => {
        const encoded = encode(value)
        const seen = decode(encoded.subarray(0, length)) ?? {}
        const { nested: _, ...whole } = seen
        expect(value).toMatchObject(whole)
      }),
    )
  })

  it('of whatever bytes never throw and never read past the end', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), fc.uint8Array({ maxLength: 16 }), (noise, behind) => {
        // What lies behind the end in the same buffer makes no difference.
        const buffer = new Uint8Array([...noise, ...behind])
        expect(codec.read(viewOf(buffer), 0, noise.length)).toEqual(decode(noise))
      }),
    )
  })

  it('that are mutilated never throw and never read past the end', () => {
    const mutilated = fc
      .tuple(values, fc.array(fc.tuple(fc.nat(200), upTo(8)), { maxLength: 4 }))
      .map(([value, changes]) => {
        const encoded = encode(value).slice()
        for (const [at, byte] of changes) if (at < encoded.length) encoded[at] = byte
        return encoded
      })
    fc.assert(
      fc.property(mutilated, (encoded) => {
        const buffer = new Uint8Array([...encoded, ...new Uint8Array(64).fill(0x41)])
        expect(codec.read(viewOf(buffer), 0, encoded.length)).toEqual(decode(encoded))
      }),
    )
  })

  it('of two numbers for one way of use: both are read', () => {
    const either = attributes({ mask: [9, be32], prefix: [9, u32] })
    const out = new Writer()
    either.write(out, { prefix: 64 })
    expect(hex(out.written())).toBe('0800090040000000')
    expect(either.read(viewOf(out.written()), 0, 8)).toEqual({ mask: 0x40000000, prefix: 64 })
  })

  it('longer than their header can say are refused', () => {
    expect(() => encode({ bytes: new Uint8Array(70_000) })).toThrow(
      'netlink attribute bytes has 70004 bytes, and may have 65535',
    )
  })
})
