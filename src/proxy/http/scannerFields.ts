import { DONE, type Head, maxNominations, type Outcome, pause, refuse } from './head.ts'
import {
  COLON,
  COMMA,
  CR,
  HTAB,
  LF,
  SP,
  lowerBytes,
  tokenBytes,
  valueBytes,
  bytesOf,
} from './headCharacters.ts'
import {
  CONNECTION,
  CONTENT_LENGTH,
  EXPECT,
  HOST,
  NOMINATED,
  OTHER,
  TRANSFER_ENCODING,
  UPGRADE,
} from './headNames.ts'
import {
  BAD_CODING,
  BAD_CONNECTION,
  BAD_HOST,
  BAD_LENGTH,
  BAD_LINE_END,
  BAD_NAME,
  BAD_VALUE,
  LARGE_LENGTH,
  MANY_FIELDS,
  OBS_FOLD,
  SECOND_CODING,
  SECOND_HOST,
  SECOND_LENGTH,
  UNKNOWN_CODING,
} from './headRefusals.ts'
import { viewOf } from './headPiece.ts'
import { isAuthority, sameSpan } from './scannerTarget.ts'

/** Stages of a field line; those of the first line are smaller. */
export const FIELD_LINE = 10
const NAME = 11
const SPACE = 12
const VALUE = 13
const VALUE_LF = 14
const HEAD_LF = 15

const chunked = bytesOf('chunked')
const close = bytesOf('close')
const keepAlive = bytesOf('keep-alive')
const upgrade = bytesOf('upgrade')

/** Goes on with the field lines of a head (RFC 9112 §5) up to the empty line behind them. */
export function scanFields(head: Head, bytes: Uint8Array, stop: number): Outcome {
  const view = viewOf(bytes)
  let stage = head.stage
  let at = head.at
  for (;;) {
    if (stage === FIELD_LINE) {
      if (at === stop) return pause(head, FIELD_LINE, at)
      const byte = bytes[at] as number
      if (byte === CR) {
        at++
        stage = HEAD_LF
        break
      }
      if (byte === SP || byte === HTAB) return refuse(head, OBS_FOLD)
      if (byte === LF) return refuse(head, BAD_LINE_END)
      if (head.fieldCount === head.limits.fields) return refuse(head, MANY_FIELDS)
      head.nameStart = at
      const length = head.known.lengthOf(head.fieldCount, view, at, stop)
      if (length > 0) {
        const refusal = takeKnown(head, bytes, at)
        if (refusal !== 0) return refuse(head, refusal)
        at += length
        continue
      }
      stage = NAME
    }
    if (stage === NAME) {
      while (at < stop && tokenBytes[bytes[at] as number] === 1) at++
      if (at === stop) return pause(head, NAME, at)
      if (bytes[at] !== COLON || at === head.nameStart) return refuse(head, BAD_NAME)
      head.nameEnd = at++
      stage = SPACE
    }
    if (stage === SPACE) {
      while (at < stop && (bytes[at] === SP || bytes[at] === HTAB)) at++
      if (at === stop) return pause(head, SPACE, at)
      head.valueStart = at
      stage = VALUE
    }
    if (stage === VALUE) {
      at = passValue(bytes, view, at, stop)
      if (at === stop) return pause(head, VALUE, at)
      if (bytes[at] !== CR) return refuse(head, bytes[at] === LF ? BAD_LINE_END : BAD_VALUE)
      at++
      stage = VALUE_LF
    }
    if (stage === VALUE_LF) {
      if (at === stop) return pause(head, VALUE_LF, at)
      if (bytes[at] !== LF) return refuse(head, BAD_LINE_END)
      const refusal = takeField(head, bytes, at - 1)
      if (refusal !== 0) return refuse(head, refusal)
      at++
      head.known.learn(head, head.fieldCount - 1, bytes, at)
      stage = FIELD_LINE
    } else {
      break
    }
  }
  if (at === stop) return pause(head, HEAD_LF, at)
  if (bytes[at] !== LF) return refuse(head, BAD_LINE_END)
  head.end = at + 1
  if (head.nominatedCount > 0) markNominated(head, bytes)
  return DONE
}

/** Passes over the bytes of a value, four at a time while none of them is a control character (below 0x20, or DEL). */
export function passValue(bytes: Uint8Array, view: DataView, from: number, stop: number): number {
  let at = from
  for (; at + 4 <= stop; at += 4) {
    const four = view.getInt32(at)
    const deletes = four ^ 0x7f7f7f7f
    if ((((four - 0x20202020) & ~four) | ((deletes - 0x01010101) & ~deletes)) & 0x80808080) break
  }
  while (at < stop && valueBytes[bytes[at] as number] === 1) at++
  return at
}

/** Notes the field whose line has ended, and what it says of framing and connection; a refusal or 0. */
function takeField(head: Head, bytes: Uint8Array, lineEnd: number): number {
  let end = lineEnd
  while (end > head.valueStart && (bytes[end - 1] === SP || bytes[end - 1] === HTAB)) end--
  const field = head.fieldCount++
  const span = 4 * field
  head.spans[span] = head.nameStart
  head.spans[span + 1] = head.nameEnd
  head.spans[span + 2] = head.valueStart
  head.spans[span + 3] = end
  const kind = head.names.kindOf(bytes, head.nameStart, head.nameEnd)
  head.kinds[field] = kind
  const refusal = takeKind(head, bytes, field, kind)
  return refusal === 0 && kind === HOST && !isAuthority(bytes, head.valueStart, end) ? BAD_HOST : refusal
}

/** The same for a line that is as that of an earlier head, which was in order. */
function takeKnown(head: Head, bytes: Uint8Array, at: number): number {
  const { known, spans } = head
  const field = head.fieldCount++
  const span = 4 * field
  spans[span] = at
  spans[span + 1] = at + (known.spans[span + 1] as number)
  spans[span + 2] = at + (known.spans[span + 2] as number)
  spans[span + 3] = at + (known.spans[span + 3] as number)
  const kind = known.kinds[field] as number
  head.kinds[field] = kind
  return kind === OTHER ? 0 : takeKind(head, bytes, field, kind)
}

/** What a field says beyond its line. */
function takeKind(head: Head, bytes: Uint8Array, field: number, kind: number): number {
  const start = head.spans[4 * field + 2] as number
  const end = head.spans[4 * field + 3] as number
  switch (kind) {
    case HOST:
      if (head.host >= 0) return SECOND_HOST
      head.host = field
      return 0
    case CONTENT_LENGTH:
      return takeLength(head, bytes, start, end)
    case TRANSFER_ENCODING:
      if (head.chunked) return SECOND_CODING
      head.chunked = true
      return coding(bytes, start, end)
    case CONNECTION:
      return takeOptions(head, bytes, start, end)
    case UPGRADE:
      if (head.upgradeField < 0) head.upgradeField = field
      return 0
    case EXPECT:
      if (head.expect < 0) head.expect = field
      return 0
    default:
      return 0
  }
}

/** Content-Length is 1*DIGIT, once (RFC 9110 §8.6; a list of equal ones may be refused, RFC 9112 §6.3). */
function takeLength(head: Head, bytes: Uint8Array, start: number, end: number): number {
  if (head.contentLength >= 0) return SECOND_LENGTH
  if (start === end) return BAD_LENGTH
  let length = 0
  for (let at = start; at < end; at++) {
    const digit = (bytes[at] as number) - 0x30
    if (digit < 0 || digit > 9) return BAD_LENGTH
    length = length * 10 + digit
  }
  head.contentLength = length
  return length <= Number.MAX_SAFE_INTEGER ? 0 : LARGE_LENGTH
}

/** Nothing but "chunked" is understood; what is not chunked at last has no end (RFC 9112 §6.1, §6.3). */
function coding(bytes: Uint8Array, start: number, end: number): number {
  if (is(bytes, start, end, chunked)) return 0
  const last = end - chunked.length
  if (last <= start || !is(bytes, last, end, chunked)) return BAD_CODING
  let at = last
  while (at > start && (bytes[at - 1] === SP || bytes[at - 1] === HTAB)) at--
  return at > start && bytes[at - 1] === COMMA ? UNKNOWN_CODING : BAD_CODING
}

/** Connection is a list of tokens that may have empty members (RFC 9110 §5.6.1, §7.6.1). */
function takeOptions(head: Head, bytes: Uint8Array, start: number, end: number): number {
  for (let at = start; at <= end; at++) {
    while (at < end && (bytes[at] === SP || bytes[at] === HTAB)) at++
    const option = at
    while (at < end && tokenBytes[bytes[at] as number] === 1) at++
    const optionEnd = at
    while (at < end && (bytes[at] === SP || bytes[at] === HTAB)) at++
    if (at < end && bytes[at] !== COMMA) return BAD_CONNECTION
    if (option === optionEnd) continue
    if (is(bytes, option, optionEnd, close)) head.close = true
    else if (is(bytes, option, optionEnd, keepAlive)) head.keepAliveOption = true
    else if (is(bytes, option, optionEnd, upgrade)) head.upgradeOption = true
    else if (head.nominatedCount === maxNominations) return BAD_CONNECTION
    else {
      head.nominated[2 * head.nominatedCount] = option
      head.nominated[2 * head.nominatedCount + 1] = optionEnd
      head.nominatedCount++
    }
  }
  return 0
}

/** Fields that Connection names end here (RFC 9110 §7.6.1); those that are recognised have rules of their own, which no client can switch off so. */
function markNominated(head: Head, bytes: Uint8Array): void {
  for (let field = 0; field < head.fieldCount; field++) {
    if (head.kinds[field] !== OTHER) continue
    const start = head.spans[4 * field] as number
    const end = head.spans[4 * field + 1] as number
    for (let index = 0; index < head.nominatedCount; index++) {
      const option = head.nominated[2 * index] as number
      const optionEnd = head.nominated[2 * index + 1] as number
      if (sameSpan(bytes, start, end, option, optionEnd)) head.kinds[field] = NOMINATED
    }
  }
}

/** Whether a span holds this word of lower-case letters, in any case. */
export function is(bytes: Uint8Array, start: number, end: number, word: Uint8Array): boolean {
  if (end - start !== word.length) return false
  for (let index = 0; index < word.length; index++) {
    if (lowerBytes[bytes[start + index] as number] !== word[index]) return false
  }
  return true
}
