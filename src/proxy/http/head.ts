import { KnownLines } from './headKnown.ts'
import type { FieldNames } from './headNames.ts'

/** What a scan comes to. */
export const MORE = 0
export const DONE = 1
export const REFUSED = 2
export type Outcome = typeof MORE | typeof DONE | typeof REFUSED

/** How the body after a head is delimited (RFC 9112 §6.3). */
export const NO_BODY = 0
export const BY_LENGTH = 1
export const BY_CHUNKS = 2
/** The response goes on until the connection ends. */
export const BY_CLOSE = 3
/** No HTTP follows: 101 Switching Protocols. */
export const TUNNEL = 4

/** Methods that are told apart; 0 is any other. */
export const GET = 1
export const HEAD = 2
export const POST = 3
export const PUT = 4
export const DELETE = 5
export const OPTIONS = 6
export const TRACE = 7
export const PATCH = 8

/** Forms of the request target (RFC 9112 §3.2); CONNECT's is never accepted. */
export const ORIGIN_FORM = 0
export const ABSOLUTE_FORM = 1
/** "*", also where OPTIONS asks for an absolute target without a path (§3.2.4). */
export const ASTERISK_FORM = 2

export interface HeadLimits {
  /** From the first byte to the empty line. */
  readonly headBytes: number
  readonly targetBytes: number
  readonly fields: number
}

/** RFC 9112 §3 recommends 8000 octets for request lines. */
export const usualLimits: HeadLimits = { headBytes: 16_384, targetBytes: 8192, fields: 128 }

/** Connection options that are kept for one head, "close" and the like apart. */
export const maxNominations = 32

/**
 * What a scanner found in a request or response head: numbers only, reused from head to head. Positions are indexes of the
 * array that was scanned (below 2^31); they and a scan under way are lost when the bytes move.
 */
export class Head {
  readonly names: FieldNames
  readonly limits: HeadLimits
  /** For each field: start and end of its name, start and end of its value without white space around it. */
  readonly spans: Int32Array
  /** For each field what it is (headNames.ts). */
  readonly kinds: Uint8Array
  readonly known = new KnownLines()
  /** Start and end of each option of Connection but close, keep-alive and upgrade. */
  readonly nominated = new Int32Array(2 * maxNominations)

  /** Where the scan is, and which byte it stands at; 0 before the first one. */
  stage = 0
  at = 0
  /** Index into `reasons`; 0: not refused. */
  refusal = 0
  /** First byte of the head, without an empty line before it. */
  start = 0
  /** Behind the empty line: the first byte of the body; known when done. */
  end = 0
  fieldCount = 0
  nominatedCount = 0
  /** Of the line under way. */
  nameStart = 0
  nameEnd = 0
  valueStart = 0

  method = 0
  methodEnd = 0
  targetStart = 0
  targetEnd = 0
  form = 0
  /** Host and port in an absolute target. */
  authorityStart = 0
  authorityEnd = 0
  /** The path begins here (absolute form without a path: the query or the end). */
  pathStart = 0
  /** Digit behind "HTTP/1."; above 1 it is taken as 1 (RFC 9110 §2.5). */
  minor = 0

  status = 0
  reasonStart = 0
  reasonEnd = 0

  /** -1: none. */
  contentLength = -1
  chunked = false
  framing = NO_BODY
  /** Whether the connection may bear another message after this one. */
  keepAlive = false
  close = false
  keepAliveOption = false
  upgradeOption = false
  /** The request offers another protocol than h2c, or the response is a 101. */
  upgrade = false
  expectsContinue = false
  /** Fields by number; -1: none. */
  host = -1
  expect = -1
  upgradeField = -1

  constructor(names: FieldNames, limits: HeadLimits = usualLimits) {
    this.names = names
    this.limits = limits
    this.spans = new Int32Array(4 * limits.fields)
    this.kinds = new Uint8Array(limits.fields)
  }
}

/** Makes ready for a head that begins at a position. */
export function beginHead(head: Head, at: number): void {
  head.stage = 0
  head.at = at
  head.start = at
  head.end = at
  head.refusal = 0
  head.fieldCount = 0
  head.nominatedCount = 0
  head.method = 0
  head.form = ORIGIN_FORM
  head.authorityStart = 0
  head.authorityEnd = 0
  head.status = 0
  head.contentLength = -1
  head.chunked = false
  head.framing = NO_BODY
  head.keepAlive = false
  head.close = false
  head.keepAliveOption = false
  head.upgradeOption = false
  head.upgrade = false
  head.expectsContinue = false
  head.host = -1
  head.expect = -1
  head.upgradeField = -1
}

/** The first field of a kind, or -1. Its span is at 4 times its number in `spans`. */
export function fieldOf(head: Head, kind: number): number {
  const field = head.kinds.indexOf(kind)
  return field < head.fieldCount ? field : -1
}

/** Where the host that is asked for begins: of an absolute target before that of Host (RFC 9112 §3.2.2). */
export function hostStart(head: Head): number {
  if (head.authorityEnd > head.authorityStart) return head.authorityStart
  return head.host < 0 ? 0 : (head.spans[4 * head.host + 2] as number)
}

/** Where it ends; where it begins: there is none. */
export function hostEnd(head: Head): number {
  if (head.authorityEnd > head.authorityStart) return head.authorityEnd
  return head.host < 0 ? 0 : (head.spans[4 * head.host + 3] as number)
}

/** Notes why, and ends the scan. */
export function refuse(head: Head, refusal: number): typeof REFUSED {
  head.refusal = refusal
  return REFUSED
}

/** Notes where to go on when more bytes have come. */
export function pause(head: Head, stage: number, at: number): typeof MORE {
  head.stage = stage
  head.at = at
  return MORE
}
