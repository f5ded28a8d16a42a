import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeMessages, encodeMessage, errorNumber } from './message.ts'

const message = fc.record({
  type: fc.integer({ min: 0, max: 0xffff }),
  flags: fc.integer({ min: 0, max: 0xffff }),
  sequence: fc.integer({ min: 0, max: 0xffffffff }),
  // Netlink pads to four bytes between messages, and says the true length in the header.
  payload: fc.uint8Array({ maxLength: 64 }),
})

describe('netlink messages', () => {
  it('are read as they were written, several in one datagram', () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 5 }), (messages) => {
        const parts = messages.map((item) => encodeMessage(item))
        const datagram = new Uint8Array(parts.reduce((length, part) => length + ((part.length + 3) & ~3), 0))
        let at = 0
        for (const part of parts) {
          datagram.set(part, at)
          at += (part.length + 3) & ~3
        }
        expect(decodeMessages(datagram)).toEqual(messages)
      }),
    )
  })

  it('never read past a datagram, whatever is in it', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const total = decodeMessages(bytes).reduce((length, item) => length + 16 + item.payload.length, 0)
        expect(total).toBeLessThanOrEqual(bytes.length)
      }),
    )
  })

  it('carry errno negated', () => {
    expect(errorNumber(new Uint8Array(new Int32Array([-2]).buffer))).toBe(2)
    expect(errorNumber(new Uint8Array(4))).toBe(0)
  })
})
