import { ASTERISK_FORM, BY_CHUNKS, type Head, hostEnd, hostStart, TUNNEL } from './head.ts'
import { SLASH, bytesOf } from './headCharacters.ts'
import { Piece, putPiece, viewOf } from './headPiece.ts'
import {
  CONNECTION,
  CONTENT_LENGTH,
  EXPECT,
  type FieldNames,
  HOP_BY_HOP,
  HOST,
  LOOKALIKE,
  NOMINATED,
  OTHER,
  TRANSFER_ENCODING,
  UPGRADE,
} from './headNames.ts'

/** What the response says of the connection to the client. */
export const PERSISTENT = 0
export const CLOSING = 1
/** HTTP/1.0 is told what HTTP/1.1 takes for granted (RFC 9112 §9.3). */
export const KEPT_ALIVE = 2

const space = bytesOf(' ')
const asterisk = bytesOf('*')
const slash = bytesOf('/')
const lineEnd = bytesOf('\r\n')
const hostLine = new Piece(' HTTP/1.1\r\nHost: ')
const statusVersion = new Piece('HTTP/1.1 ')
const chunkedField = new Piece('Transfer-Encoding: chunked\r\n')
const closeLine = new Piece('Connection: close\r\n')
const keepAliveLine = new Piece('Connection: keep-alive\r\n')
const upgradeLines = new Piece('Connection: upgrade\r\nUpgrade: ')

/** Fields that end at a proxy, or that it writes itself (RFC 9110 §7.6.1). */
const own = [HOST, CONNECTION, TRANSFER_ENCODING, UPGRADE, HOP_BY_HOP, NOMINATED, LOOKALIKE]

/** A table of kinds of fields: 1 for those that are not passed on. @param further names in lower case, watched by `names` */
export function droppedKinds(names: FieldNames, further: readonly string[] = []): Uint8Array {
  const dropped = new Uint8Array(256)
  for (const kind of own) dropped[kind] = 1
  for (const name of further) dropped[names.kindOf(bytesOf(name), 0, name.length)] = 1
  return dropped
}

/**
 * Writes the head of the request to an upstream, but for further fields and the empty line, which the caller adds.
 *
 * @param bytes where the head was scanned; the region that is written must not overlap it
 * @param from where the target goes on behind what is left out; in asterisk form it is "*" whatever this is
 * @param prefix what stands before that; a target that does not begin with "/" then gets one
 * @param host the value of Host; null: the client's own, and an empty one where it has none (RFC 9112 §3.2)
 * @returns the end of what was written, or -1 where it does not fit before `limit`
 */
export function writeRequestHead(
  head: Head,
  bytes: Uint8Array,
  from: number,
  prefix: Uint8Array,
  host: Piece | null,
  dropped: Uint8Array,
  into: Uint8Array,
  at: number,
  limit: number,
): number {
  let end = put(bytes, head.start, head.methodEnd, into, at, limit)
  end = putAll(space, into, end, limit)
  if (head.form === ASTERISK_FORM) {
    end = putAll(asterisk, into, end, limit)
  } else {
    const first = prefix.length > 0 ? prefix[0] : from < head.targetEnd ? bytes[from] : undefined
    if (first !== SLASH) end = putAll(slash, into, end, limit)
    end = putAll(prefix, into, end, limit)
    end = put(bytes, from, head.targetEnd, into, end, limit)
  }
  end = putText(hostLine, into, end, limit)
  end =
    host === null
      ? put(bytes, hostStart(head), hostEnd(head), into, end, limit)
      : putText(host, into, end, limit)
  end = putAll(lineEnd, into, end, limit)
  // A client of HTTP/1.0 expects nothing (RFC 9110 §10.1.1).
  end = putFields(head, bytes, dropped, head.minor > 0 ? OTHER : EXPECT, into, end, limit)
  if (head.framing === BY_CHUNKS) end = putText(chunkedField, into, end, limit)
  return head.upgrade ? putUpgrade(head, bytes, into, end, limit) : end
}

/** Writes the status line of a response. @returns the end of what was written, or -1 where it does not fit before `limit` */
export function writeStatusLine(
  head: Head,
  bytes: Uint8Array,
  into: Uint8Array,
  at: number,
  limit: number,
): number {
  let end = putText(statusVersion, into, at, limit)
  end = put(bytes, head.start + statusVersion.length, head.start + statusVersion.length + 3, into, end, limit)
  end = putAll(space, into, end, limit)
  end = put(bytes, head.reasonStart, head.reasonEnd, into, end, limit)
  return putAll(lineEnd, into, end, limit)
}

/**
 * Writes what follows the status line of a response, interim ones (1xx) too, but for further fields and the empty line,
 * which the caller adds.
 *
 * @param bytes where the head was scanned; the region that is written must not overlap it
 * @param connection PERSISTENT, CLOSING or KEPT_ALIVE
 * @param decoded a chunked body will be sent without chunks, up to the end of the connection
 * @returns the end of what was written, or -1 where it does not fit before `limit`
 */
export function writeResponseFields(
  head: Head,
  bytes: Uint8Array,
  connection: number,
  decoded: boolean,
  dropped: Uint8Array,
  into: Uint8Array,
  at: number,
  limit: number,
): number {
  // Chunks have no length beside them (RFC 9112 §6.3), nor have 1xx and 204 (RFC 9110 §8.6).
  const lengthless = head.chunked || head.status < 200 || head.status === 204
  let end = putFields(head, bytes, dropped, lengthless ? CONTENT_LENGTH : OTHER, into, at, limit)
  if (head.framing === BY_CHUNKS && !decoded) end = putText(chunkedField, into, end, limit)
  if (head.framing === TUNNEL) return putUpgrade(head, bytes, into, end, limit)
  if (connection === CLOSING) return putText(closeLine, into, end, limit)
  return connection === KEPT_ALIVE ? putText(keepAliveLine, into, end, limit) : end
}

/** Writes what ends a head. @returns its end, or -1 as above */
export function endHead(into: Uint8Array, at: number, limit: number): number {
  return putAll(lineEnd, into, at, limit)
}

/** Copies the fields that are passed on, those that lie behind each other in one go. @param also a further kind that is not; OTHER: none */
function putFields(
  head: Head,
  bytes: Uint8Array,
  dropped: Uint8Array,
  also: number,
  into: Uint8Array,
  at: number,
  limit: number,
): number {
  const { spans, kinds, fieldCount } = head
  let end = at
  let start = -1
  for (let field = 0; field < fieldCount; field++) {
    const kind = kinds[field] as number
    if (dropped[kind] !== 1 && (kind !== also || also === OTHER)) {
      if (start < 0) start = spans[4 * field] as number
    } else if (start >= 0) {
      end = put(bytes, start, spans[4 * field] as number, into, end, limit)
      start = -1
    }
  }
  return start < 0 ? end : put(bytes, start, head.end - lineEnd.length, into, end, limit)
}

function putUpgrade(head: Head, bytes: Uint8Array, into: Uint8Array, at: number, limit: number): number {
  const span = 4 * head.upgradeField
  let end = putText(upgradeLines, into, at, limit)
  end = put(bytes, head.spans[span + 2] as number, head.spans[span + 3] as number, into, end, limit)
  return putAll(lineEnd, into, end, limit)
}

/** Longer spans are copied faster by the engine's call. */
const manyBytes = 192

/** Copies [start, end) to `at`. @returns the end of it, or -1 where it does not fit, or what was before did not */
function put(
  bytes: Uint8Array,
  start: number,
  end: number,
  into: Uint8Array,
  at: number,
  limit: number,
): number {
  const behind = at + end - start
  if (at < 0 || behind > limit) return -1
  let from = start
  let to = at
  if (bytes === into) {
    if (end - start > manyBytes) {
      into.copyWithin(at, start, end)
      return behind
    }
    const view = viewOf(into)
    for (; from + 4 <= end; from += 4, to += 4) view.setInt32(to, view.getInt32(from))
  }
  while (from < end) into[to++] = bytes[from++] as number
  return behind
}

function putAll(bytes: Uint8Array, into: Uint8Array, at: number, limit: number): number {
  return put(bytes, 0, bytes.length, into, at, limit)
}

function putText(text: Piece, into: Uint8Array, at: number, limit: number): number {
  if (at < 0 || at + 4 * text.words.length > limit) return -1
  return putPiece(into, at, text)
}
