import { endianness } from 'node:os'

/** Netlink speaks the byte order of the host. */
export const littleEndian = endianness() === 'LE'

/** linux/netlink.h: struct nlmsghdr is len u32, type u16, flags u16, seq u32, pid u32. */
export const headerLength = 16

/** linux/netlink.h: message types that are not a family's own. */
export const controlType = { noop: 1, error: 2, done: 3, overrun: 4 } as const

/** linux/netlink.h: NLM_F_*. */
export const flag = { request: 0x1, multi: 0x2, acknowledge: 0x4, dump: 0x300 } as const

export interface Message {
  readonly type: number
  readonly flags: number
  readonly sequence: number
  readonly payload: Uint8Array
}

/** One message with its header; the kernel fills in the port id. */
export function encodeMessage({ type, flags, sequence, payload }: Message): Uint8Array {
  const bytes = new Uint8Array(headerLength + payload.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, bytes.length, littleEndian)
  view.setUint16(4, type, littleEndian)
  view.setUint16(6, flags, littleEndian)
  view.setUint32(8, sequence, littleEndian)
  bytes.set(payload, headerLength)
  return bytes
}

/** The messages of one datagram; what is cut off at its end is left out. */
export function decodeMessages(datagram: Uint8Array): Message[] {
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength)
  const messages: Message[] = []
  for (let at = 0; at + headerLength <= datagram.length;) {
    const length = view.getUint32(at, littleEndian)
    if (length < headerLength || at + length > datagram.length) break
    messages.push({
      type: view.getUint16(at + 4, littleEndian),
      flags: view.getUint16(at + 6, littleEndian),
      sequence: view.getUint32(at + 8, littleEndian),
      payload: datagram.subarray(at + headerLength, at + length),
    })
    at += (length + 3) & ~3
  }
  return messages
}

/** errno of a message of type error; 0 is an acknowledgement. */
export function errorNumber(payload: Uint8Array): number {
  if (payload.length < 4) return 0
  return Math.abs(new DataView(payload.buffer, payload.byteOffset, 4).getInt32(0, littleEndian))
}
