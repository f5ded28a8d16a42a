import { type Head, MORE, DONE, type Outcome, pause, refuse } from './head.ts'
import { CR, LF, SP, tokenBytes, targetBytes, bytesOf } from './headCharacters.ts'
import {
  BAD_LINE_END,
  BAD_METHOD,
  BAD_STATUS_LINE,
  BAD_TARGET,
  BAD_VALUE,
  BAD_VERSION,
  CONNECT_METHOD,
  LONG_HEAD,
  LONG_METHOD,
  LONG_TARGET,
  OTHER_VERSION,
} from './headRefusals.ts'
import { viewOf } from './headPiece.ts'
import { FIELD_LINE, passValue, scanFields } from './scannerFields.ts'
import { frameRequest, frameResponse } from './scannerFraming.ts'
import { classifyTarget, isConnect, methodOf } from './scannerTarget.ts'

/** Stages of the first line; those of the field lines follow. */
const BEGIN = 0
const EMPTY_LINE_LF = 1
const METHOD = 2
const TARGET = 3
const VERSION = 4
const STATUS_LINE = 5
const REASON = 6
const REASON_LF = 7

/** IANA's longest registered method, UPDATEREDIRECTREF, has 17 letters. */
const methodBytes = 32
const versionStart = bytesOf('HTTP/')
/** `HTTP` and `/1.1` as big-endian words. */
const http = 0x48545450
const slash11 = 0x2f312e31

/**
 * Goes on scanning a request head up to `end`, the end of what has been received; each byte is read once, however the bytes
 * come. Call with more bytes after MORE, `beginHead` before another head.
 */
export function scanRequest(head: Head, bytes: Uint8Array, end: number): Outcome {
  let outcome: Outcome = head.stage < METHOD ? skipEmptyLine(head, bytes, end) : DONE
  if (outcome !== DONE) return outcome
  const most = head.start + head.limits.headBytes
  const stop = Math.min(end, most)
  if (head.stage < FIELD_LINE) outcome = requestLine(head, bytes, stop)
  if (outcome === DONE) outcome = scanFields(head, bytes, stop)
  if (outcome === MORE && stop === most) return refuse(head, head.stage === TARGET ? LONG_TARGET : LONG_HEAD)
  return outcome === DONE ? frameRequest(head, bytes) : outcome
}

/**
 * Goes on scanning a response head up to `end`, as `scanRequest` does.
 * @param method of the request that it answers: a response to HEAD has no body
 */
export function scanResponse(head: Head, bytes: Uint8Array, end: number, method: number): Outcome {
  const most = head.start + head.limits.headBytes
  const stop = Math.min(end, most)
  let outcome: Outcome = head.stage < FIELD_LINE ? statusLine(head, bytes, stop) : DONE
  if (outcome === DONE) outcome = scanFields(head, bytes, stop)
  if (outcome === MORE && stop === most) return refuse(head, LONG_HEAD)
  return outcome === DONE ? frameResponse(head, method) : outcome
}

/** One empty line before a request is passed over (RFC 9112 §2.2). */
function skipEmptyLine(head: Head, bytes: Uint8Array, end: number): Outcome {
  let at = head.at
  if (at === end) return MORE
  if (head.stage === BEGIN && bytes[at] === CR) {
    at++
    if (at === end) return pause(head, EMPTY_LINE_LF, at)
    head.stage = EMPTY_LINE_LF
  }
  if (head.stage === EMPTY_LINE_LF) {
    if (bytes[at] !== LF) return refuse(head, BAD_LINE_END)
    head.start = ++at
  }
  head.stage = METHOD
  head.at = at
  return DONE
}

function requestLine(head: Head, bytes: Uint8Array, stop: number): Outcome {
  let at = head.at
  if (head.stage === METHOD) {
    const most = head.start + methodBytes
    const bound = Math.min(stop, most + 1)
    while (at < bound && tokenBytes[bytes[at] as number] === 1) at++
    if (at > most) return refuse(head, LONG_METHOD)
    if (at === stop) return pause(head, METHOD, at)
    if (bytes[at] !== SP || at === head.start) return refuse(head, BAD_METHOD)
    if (isConnect(bytes, head.start, at)) return refuse(head, CONNECT_METHOD)
    head.method = methodOf(bytes, head.start, at)
    head.methodEnd = at
    head.targetStart = ++at
    head.stage = TARGET
  }
  if (head.stage === TARGET) {
    const most = head.targetStart + head.limits.targetBytes
    const bound = Math.min(stop, most + 1)
    while (at < bound && targetBytes[bytes[at] as number] === 1) at++
    if (at > most) return refuse(head, LONG_TARGET)
    if (at === stop) return pause(head, TARGET, at)
    if (bytes[at] !== SP) return refuse(head, BAD_TARGET)
    head.targetEnd = at++
    if (!classifyTarget(head, bytes)) return refuse(head, BAD_TARGET)
  }
  const from = head.targetEnd + 1
  if (
    at === from &&
    from + 10 <= stop &&
    isHttp11(bytes, from) &&
    bytes[from + 8] === CR &&
    bytes[from + 9] === LF
  ) {
    return version(head, bytes, from, from + 10)
  }
  for (; at < stop; at++) {
    const index = at - from
    const byte = bytes[at] as number
    if (index < 8) {
      if (!inVersion(index, byte)) return refuse(head, BAD_VERSION)
    } else if (index === 8) {
      if (byte !== CR) return refuse(head, byte === LF ? BAD_LINE_END : BAD_VERSION)
    } else {
      if (byte !== LF) return refuse(head, BAD_LINE_END)
      return version(head, bytes, from, at + 1)
    }
  }
  return pause(head, VERSION, at)
}

function statusLine(head: Head, bytes: Uint8Array, stop: number): Outcome {
  let at = head.at
  const from = head.start
  if (head.stage < REASON) {
    if (at === from && from + 9 <= stop && isHttp11(bytes, from)) at += 8
    for (; at < stop && at < from + 13; at++) {
      if (!inStatusLine(at - from, bytes[at] as number)) return refuse(head, BAD_STATUS_LINE)
      // "HTTP/1.1 200" CRLF, without the space that the grammar has, is common.
      if (at === from + 12 && bytes[at] === CR) break
    }
    if (at >= stop) return pause(head, STATUS_LINE, at)
    head.status =
      100 * ((bytes[from + 9] as number) - 0x30) +
      10 * ((bytes[from + 10] as number) - 0x30) +
      ((bytes[from + 11] as number) - 0x30)
    head.reasonStart = at
    head.stage = REASON
  }
  if (head.stage === REASON) {
    at = passValue(bytes, viewOf(bytes), at, stop)
    if (at === stop) return pause(head, REASON, at)
    if (bytes[at] !== CR) return refuse(head, bytes[at] === LF ? BAD_LINE_END : BAD_VALUE)
    head.reasonEnd = at++
  }
  if (at === stop) return pause(head, REASON_LF, at)
  if (bytes[at] !== LF) return refuse(head, BAD_LINE_END)
  return version(head, bytes, from, at + 1)
}

function version(head: Head, bytes: Uint8Array, from: number, behind: number): Outcome {
  if (bytes[from + 5] !== 0x31) return refuse(head, OTHER_VERSION)
  head.minor = (bytes[from + 7] as number) - 0x30
  head.at = behind
  head.stage = FIELD_LINE
  return DONE
}

/** The first eight bytes, as whole words: the usual version. */
function isHttp11(bytes: Uint8Array, at: number): boolean {
  const view = viewOf(bytes)
  return view.getInt32(at) === http && view.getInt32(at + 4) === slash11
}

function inVersion(index: number, byte: number): boolean {
  if (index < 5) return byte === versionStart[index]
  return index === 6 ? byte === 0x2e : isDigit(byte)
}

function inStatusLine(index: number, byte: number): boolean {
  if (index < 8) return inVersion(index, byte)
  if (index === 9) return byte >= 0x31 && byte <= 0x35
  if (index === 10 || index === 11) return isDigit(byte)
  return byte === SP || (index === 12 && byte === CR)
}

const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39
