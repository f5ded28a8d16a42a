import { attributes } from './attributes.ts'
import { s32, string, struct, u16, u32, viewOf, type Writer } from './codec.ts'

/** linux/netlink.h: struct nlmsghdr; the kernel fills in the port id. */
const header = struct({ length: u32, type: u16, flags: u16, sequence: u32, port: u32 })
const headerLength = header.size
const flagsOffset = 6

/** linux/netlink.h: message types that are not a family's own. */
export const controlType = { noop: 1, error: 2, done: 3, overrun: 4 } as const

/** linux/netlink.h: NLM_F_*. */
export const flag = {
  request: 0x1,
  multi: 0x2,
  acknowledge: 0x4,
  dumpInterrupted: 0x10,
  dump: 0x300,
  replace: 0x100,
  exclusive: 0x200,
  create: 0x400,
} as const
/** Of an answer: the request's payload is left out; attributes of the extended acknowledgement follow. */
const answerFlag = { capped: 0x100, attributes: 0x200 } as const

/** A message that was received; its payload is valid until the next receive. */
export interface Message {
  readonly type: number
  readonly flags: number
  readonly sequence: number
  readonly payload: DataView
}

/** Writes one message, aligned, whose payload `write` appends. */
export function writeMessage(
  out: Writer,
  { type, flags, sequence }: Omit<Message, 'payload'>,
  write: (out: Writer) => void,
): void {
  const start = out.length
  header.write(out, { length: 0, type, flags, sequence, port: 0 })
  write(out)
  const end = out.length
  out.reset(start)
  u32.write(out, end - start)
  out.reset(end)
  out.align()
}

/** Asks for an acknowledgement of the message that begins at `start`. */
export function askAcknowledgement(out: Writer, start: number): void {
  const end = out.length
  const flags = u16.read(out.view, start + flagsOffset, 2) ?? 0
  out.reset(start + flagsOffset)
  u16.write(out, flags | flag.acknowledge)
  out.reset(end)
}

/** The messages of one datagram; what is cut off at its end is left out. */
export function readMessages(datagram: Uint8Array): Message[] {
  const view = viewOf(datagram)
  const messages: Message[] = []
  for (let at = 0; at + headerLength <= datagram.length;) {
    const { length, type, flags, sequence } = header.read(view, at, headerLength) ?? { length: 0 }
    if (length < headerLength || at + length > datagram.length) break
    messages.push({
      type: type ?? 0,
      flags: flags ?? 0,
      sequence: sequence ?? 0,
      payload: new DataView(view.buffer, view.byteOffset + at + headerLength, length - headerLength),
    })
    at += (length + 3) & ~3
  }
  return messages
}

/** enum nlmsgerr_attrs: the extended acknowledgement. */
const acknowledgement = attributes({
  text: [1, string],
  offset: [2, u32],
  missingType: [5, u32],
  missingNest: [6, u32],
})

/** What an answer of type error or done says. */
export interface Answer {
  /** 0: done, no error. */
  readonly errno: number
  /** What the kernel adds in words, with the place in the request; '' where it adds nothing. */
  readonly text: string
}

/** Reads struct nlmsgerr of a message of type error, or the int that a message of type done may hold. */
export function readAnswer({ type, flags, payload }: Message): Answer {
  const errno = -(s32.read(payload, 0, payload.byteLength) ?? 0)
  if ((flags & answerFlag.attributes) === 0) return { errno: Math.abs(errno), text: '' }
  let at = 4
  if (type === controlType.error) {
    const original = header.read(payload, at, payload.byteLength - at)
    if (original === undefined) return { errno: Math.abs(errno), text: '' }
    at += (flags & answerFlag.capped) === 0 ? (original.length + 3) & ~3 : headerLength
  }
  const details = acknowledgement.read(payload, at, Math.max(0, payload.byteLength - at)) ?? {}
  const words = [
    details.text,
    details.offset === undefined ? undefined : `at byte ${details.offset} of the request`,
    details.missingType === undefined ? undefined : `attribute ${details.missingType} is missing`,
  ]
  return { errno: Math.abs(errno), text: words.filter((word) => word !== undefined).join(', ') }
}
