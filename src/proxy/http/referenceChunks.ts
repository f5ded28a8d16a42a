import { maxExtensionBytes, maxSizeDigits, maxTrailerBytes } from './chunk.ts'
import type { Verdict } from './reference.ts'

/** What a chunked body comes to: its data, and where what follows it begins. */
export interface ChunkFacts {
  readonly end: number
  readonly data: string
}

const t = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]"
const v = '[\\t\\x20-\\x7e\\x80-\\xff]'
const sizeEnd = new RegExp(`^([ \\t]*;${v}*)?\r\n`)
const sizeEndStart = new RegExp(`^(?:[ \\t]*|([ \\t]*;${v}*)\r?|\r)$`)
const line = `${t}+:${v}*\r\n`
const trailers = new RegExp(`^(?:${line})*\r\n`)
const trailersStart = new RegExp(`^(?:${line})*(?:${t}+|${t}+:${v}*\r?|\r?)$`)

const more = { verdict: 'more' } as const
const refused = (status: number): Verdict<never> => ({ verdict: 'refused', status })

/** The slow parser of a chunked body (RFC 9112 §7.1), for tests. */
export function referenceChunks(text: string): Verdict<ChunkFacts> {
  let data = ''
  let at = 0
  for (;;) {
    const digits = /^[0-9a-f]*/i.exec(text.slice(at))![0]
    if (digits.length > maxSizeDigits || BigInt(`0x0${digits}`) > 2n ** 53n - 1n) return refused(413)
    at += digits.length
    if (at === text.length) return more
    if (digits === '') return refused(400)
    const rest = text.slice(at)
    const extension = sizeEnd.exec(rest)
    const start = extension ?? sizeEndStart.exec(rest)
    if (start === null || (start[1] ?? start[0]).length > maxExtensionBytes) return refused(400)
    if (extension === null) return more
    at += extension[0].length
    const size = Number.parseInt(digits, 16)
    if (size === 0) return trailersAt(text, at, data)
    const chunk = text.slice(at, at + size)
    data += chunk
    at += chunk.length
    const behind = text.slice(at, at + 2)
    if (!'\r\n'.startsWith(behind)) return refused(400)
    if (chunk.length < size || behind.length < 2) return more
    at += 2
  }
}

function trailersAt(text: string, at: number, data: string): Verdict<ChunkFacts> {
  const rest = text.slice(at)
  const whole = trailers.exec(rest)
  if (whole !== null && whole[0].length - 1 <= maxTrailerBytes) {
    return { verdict: 'done', end: at + whole[0].length, data }
  }
  const kept = rest.slice(0, maxTrailerBytes)
  if (!trailersStart.test(kept)) return refused(400)
  if (rest.length <= maxTrailerBytes) return more
  return refused(/(?:^|\n)\r$/.test(kept) ? 400 : 431)
}
