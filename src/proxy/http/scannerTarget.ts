import {
  ABSOLUTE_FORM,
  ASTERISK_FORM,
  DELETE,
  GET,
  HEAD,
  type Head,
  OPTIONS,
  ORIGIN_FORM,
  PATCH,
  POST,
  PUT,
  TRACE,
} from './head.ts'
import { COLON, SLASH, lowerBytes, hostBytes, literalBytes, bytesOf } from './headCharacters.ts'

/** By number; methods are case-sensitive (RFC 9110 §9.1). */
const methods = ['', 'GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'PATCH'].map((name) =>
  bytesOf(name),
)
const connect = bytesOf('CONNECT')
const scheme = bytesOf('http://')

/** The number of a method; 0: another one. */
export function methodOf(bytes: Uint8Array, start: number, end: number): number {
  switch (end - start) {
    case 3:
      return only(GET, bytes, start) || only(PUT, bytes, start)
    case 4:
      return only(POST, bytes, start) || only(HEAD, bytes, start)
    case 5:
      return only(PATCH, bytes, start) || only(TRACE, bytes, start)
    case 6:
      return only(DELETE, bytes, start)
    case 7:
      return only(OPTIONS, bytes, start)
    default:
      return 0
  }
}

const only = (method: number, bytes: Uint8Array, start: number): number =>
  same(bytes, start, methods[method] as Uint8Array) ? method : 0

export const isConnect = (bytes: Uint8Array, start: number, end: number): boolean =>
  end - start === connect.length && same(bytes, start, connect)

function same(bytes: Uint8Array, start: number, text: Uint8Array): boolean {
  for (let index = 0; index < text.length; index++) if (bytes[start + index] !== text[index]) return false
  return true
}

/** Finds the form of the target, its authority and its path; false where it is of none (RFC 9112 §3.2). */
export function classifyTarget(head: Head, bytes: Uint8Array): boolean {
  const start = head.targetStart
  const end = head.targetEnd
  head.pathStart = start
  if (bytes[start] === SLASH) {
    head.form = ORIGIN_FORM
    return true
  }
  if (bytes[start] === 0x2a && end - start === 1) {
    head.form = ASTERISK_FORM
    return head.method === OPTIONS
  }
  for (const [index, byte] of scheme.entries()) {
    if (start + index >= end || lowerBytes[bytes[start + index] as number] !== byte) return false
  }
  let at = start + scheme.length
  head.authorityStart = at
  while (at < end && bytes[at] !== SLASH && bytes[at] !== 0x3f) at++
  head.authorityEnd = at
  head.pathStart = at
  head.form = head.method === OPTIONS && at === end ? ASTERISK_FORM : ABSOLUTE_FORM
  return at > head.authorityStart && isAuthority(bytes, head.authorityStart, at)
}

/** Whether [start, end) is uri-host [":" port] without userinfo (RFC 9110 §7.2, §4.2.4); it may be empty. */
export function isAuthority(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start
  if (bytes[at] === 0x5b && at < end) {
    at++
    const literal = at
    while (at < end && literalBytes[bytes[at] as number] === 1) at++
    if (at === end || at === literal || bytes[at] !== 0x5d) return false
    at++
  } else {
    while (at < end && hostBytes[bytes[at] as number] === 1) at++
    if (at === start && end > start) return false
  }
  if (at === end) return true
  if (bytes[at] !== COLON) return false
  for (at++; at < end; at++) if ((bytes[at] as number) < 0x30 || (bytes[at] as number) > 0x39) return false
  return true
}

/** Whether two spans hold the same but for the case of letters. */
export function sameSpan(
  bytes: Uint8Array,
  start: number,
  end: number,
  other: number,
  otherEnd: number,
): boolean {
  if (end - start !== otherEnd - other) return false
  for (let index = 0; index < end - start; index++) {
    if (lowerBytes[bytes[start + index] as number] !== lowerBytes[bytes[other + index] as number])
      return false
  }
  return true
}
