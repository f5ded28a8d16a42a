import type { Body } from './body.ts'
import { DONE, MORE, type Outcome, REFUSED } from './head.ts'
import { COLON, CR, HTAB, LF, SEMICOLON, SP, hexValues, tokenBytes, valueBytes } from './headCharacters.ts'
import {
  BAD_CHUNK_END,
  BAD_CHUNK_EXTENSION,
  BAD_CHUNK_SIZE,
  BAD_TRAILER,
  LARGE_CHUNK,
  LONG_TRAILER,
} from './headRefusals.ts'

/** Digits of a chunk size, leading zeros too. */
export const maxSizeDigits = 16
/** From behind the size to the end of its line. */
export const maxExtensionBytes = 256
export const maxTrailerBytes = 8192

/** What is expected next (RFC 9112 §7.1). `body.count` counts the digits, the bytes of extensions or those of trailers. */
const SIZE = 0
const SPACE = 1
const EXTENSION = 2
const SIZE_LF = 3
const DATA = 4
const DATA_CR = 5
const DATA_LF = 6
const TRAILER_LINE = 7
const TRAILER_NAME = 8
const TRAILER_VALUE = 9
const TRAILER_LF = 10
const LAST_LF = 11

/**
 * Goes on with a chunked body over [at, end), to the end of its trailer section. The syntax is checked byte by byte, as the
 * body is passed on as it is and what lies behind us may be less strict.
 *
 * @param to where the data is moved together; -1: it stays
 */
export function scanChunks(body: Body, bytes: Uint8Array, at: number, end: number, to: number): Outcome {
  let position = at
  let dataEnd = Math.max(to, at)
  while (position < end) {
    if (body.stage === DATA) {
      const length = Math.min(body.left, end - position)
      if (to >= 0) bytes.copyWithin(dataEnd, position, position + length)
      dataEnd += length
      position += length
      body.left -= length
      if (body.left === 0) body.stage = DATA_CR
      continue
    }
    const byte = bytes[position++] as number
    if (body.stage === LAST_LF) {
      if (byte !== LF) return refuseBody(body, BAD_TRAILER)
      body.stage = SIZE
      body.at = position
      body.dataEnd = dataEnd
      return DONE
    }
    const refusal = body.stage < DATA ? sizeByte(body, byte) : frameByte(body, byte)
    if (refusal !== 0) return refuseBody(body, refusal)
  }
  body.at = position
  body.dataEnd = dataEnd
  return MORE
}

function refuseBody(body: Body, refusal: number): typeof REFUSED {
  body.refusal = refusal
  return REFUSED
}

/** A byte of the line with the chunk's size; a refusal or 0. */
function sizeByte(body: Body, byte: number): number {
  if (body.stage === SIZE) {
    const digit = hexValues[byte] as number
    if (digit < 16) {
      body.left = body.left * 16 + digit
      return ++body.count > maxSizeDigits || body.left > Number.MAX_SAFE_INTEGER ? LARGE_CHUNK : 0
    }
    if (body.count === 0) return BAD_CHUNK_SIZE
    body.count = 0
    if (byte === CR) {
      body.stage = SIZE_LF
      return 0
    }
    body.stage = SPACE
  }
  if (body.stage === SIZE_LF) {
    if (byte !== LF) return BAD_CHUNK_SIZE
    body.count = 0
    body.stage = body.left > 0 ? DATA : TRAILER_LINE
    return 0
  }
  if (body.stage === EXTENSION && byte === CR) {
    body.stage = SIZE_LF
    return 0
  }
  if (++body.count > maxExtensionBytes) return BAD_CHUNK_EXTENSION
  if (body.stage === EXTENSION) return valueBytes[byte] === 1 ? 0 : BAD_CHUNK_EXTENSION
  // White space behind the size is only for the extension that follows it (RFC 9112 §7.1.1).
  if (byte === SEMICOLON) body.stage = EXTENSION
  else if (byte !== SP && byte !== HTAB) return BAD_CHUNK_SIZE
  return 0
}

/** A byte behind a chunk's data or of the trailer section; a refusal or 0. */
function frameByte(body: Body, byte: number): number {
  if (body.stage <= DATA_LF) {
    if (byte !== (body.stage === DATA_CR ? CR : LF)) return BAD_CHUNK_END
    body.stage = body.stage === DATA_CR ? DATA_LF : SIZE
    return 0
  }
  if (++body.count > maxTrailerBytes) return LONG_TRAILER
  switch (body.stage) {
    case TRAILER_LINE:
      if (tokenBytes[byte] !== 1 && byte !== CR) return BAD_TRAILER
      body.stage = byte === CR ? LAST_LF : TRAILER_NAME
      return 0
    case TRAILER_NAME:
      if (byte === COLON) body.stage = TRAILER_VALUE
      else if (tokenBytes[byte] !== 1) return BAD_TRAILER
      return 0
    case TRAILER_VALUE:
      if (byte === CR) body.stage = TRAILER_LF
      else if (valueBytes[byte] !== 1) return BAD_TRAILER
      return 0
    default:
      if (byte !== LF) return BAD_TRAILER
      body.stage = TRAILER_LINE
      return 0
  }
}
