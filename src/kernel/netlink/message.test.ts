import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { attributes } from './attributes.ts'
import { bytes, s32, string, struct, u16, u32, viewOf, Writer } from './codec.ts'
import { askAcknowledgement, controlType, readAnswer, readMessages, writeMessage } from './message.ts'

const message = fc.record({
  type: fc.integer({ min: 0, max: 0xffff }),
  flags: fc.integer({ min: 0, max: 0xffff }),
  sequence: fc.integer({ min: 0, max: 0xffffffff }),
  // Netlink pads to four bytes between messages, and says the true length in the header.
  payload: fc.uint8Array({ maxLength: 64 }),
})

const bytesOf = (view: DataView) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength)

/** What the kernel answers: errno, the header or the whole of the request, and the extended acknowledgement. */
function answer(errno: number, flags: number, request: Uint8Array, extended: (out: Writer) => void) {
  const out = new Writer()
  writeMessage(out, { type: controlType.error, flags, sequence: 1 }, () => {
    s32.write(out, -errno)
    struct({ length: u32, type: u16, flags: u16, sequence: u32, port: u32 }).write(out, {
      length: 16 + request.length,
      type: 16,
      flags: 1,
      sequence: 1,
      port: 0,
    })
    if ((flags & 0x100) === 0) bytes.write(out, request)
    out.align()
    extended(out)
  })
  const [only] = readMessages(out.written())
  if (only === undefined) throw new Error('one message was written')
  return only
}

const extended = (out: Writer) =>
  attributes({ text: [1, string], offset: [2, u32], missingType: [5, u32] }).write(out, {
    text: 'Invalid address',
    offset: 24,
  })

describe('netlink messages', () => {
  it('are read as they were written, several in one datagram', () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 5 }), (messages) => {
        const out = new Writer(1)
        for (const item of messages) writeMessage(out, item, () => bytes.write(out, item.payload))
        expect(out.length % 4).toBe(0)
        expect(
          readMessages(out.written()).map((item) => ({ ...item, payload: bytesOf(item.payload) })),
        ).toEqual(messages)
      }),
    )
  })

  it('never read past a datagram, whatever is in it', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (datagram) => {
        const messages = readMessages(datagram)
        const total = messages.reduce((length, item) => length + 16 + item.payload.byteLength, 0)
        expect(total).toBeLessThanOrEqual(datagram.length)
        for (const item of messages) readAnswer(item)
      }),
    )
  })

  it('ask for an acknowledgement beside the flags that they have', () => {
    const out = new Writer()
    writeMessage(out, { type: 1, flags: 0, sequence: 1 }, () => bytes.write(out, new Uint8Array(4)))
    const start = out.length
    writeMessage(out, { type: 2, flags: 0x601, sequence: 2 }, () => {})
    askAcknowledgement(out, start)
    expect(readMessages(out.written()).map((item) => item.flags)).toEqual([0, 0x605])
  })
})

describe('answers of the kernel', () => {
  it('carry errno negated', () => {
    const of = (errno: number) => ({
      type: controlType.done,
      flags: 0,
      sequence: 1,
      payload: viewOf(new Uint8Array(new Int32Array([errno]).buffer)),
    })
    expect(readAnswer(of(-2))).toEqual({ errno: 2, text: '' })
    expect(readAnswer(of(0))).toEqual({ errno: 0, text: '' })
  })

  it.each([
    ['with the request repeated', 0x200],
    ['with its header only', 0x300],
  ])('say what is wrong and where, %s', (_, flags) => {
    expect(readAnswer(answer(22, flags, new Uint8Array(9).fill(0xff), extended))).toEqual({
      errno: 22,
      text: 'Invalid address, at byte 24 of the request',
    })
  })

  it('end a list with an error and its words', () => {
    const out = new Writer()
    writeMessage(out, { type: controlType.done, flags: 0x202, sequence: 1 }, () => {
      s32.write(out, -22)
      extended(out)
    })
    expect(readMessages(out.written()).map(readAnswer)).toEqual([
      { errno: 22, text: 'Invalid address, at byte 24 of the request' },
    ])
  })

  it('name an attribute that is missing', () => {
    const missing = (out: Writer) => attributes({ missingType: [5, u32] }).write(out, { missingType: 3 })
    expect(readAnswer(answer(22, 0x300, new Uint8Array(0), missing)).text).toBe('attribute 3 is missing')
  })
})
