import { bytesOf } from './headCharacters.ts'
import {
  BY_CHUNKS,
  BY_CLOSE,
  BY_LENGTH,
  DONE,
  HEAD,
  type Head,
  NO_BODY,
  type Outcome,
  refuse,
  TUNNEL,
} from './head.ts'
import {
  LENGTH_AND_CODING,
  CODING_IN_1_0,
  NO_HOST,
  NO_PROTOCOL,
  OTHER_HOST,
  UNKNOWN_EXPECTATION,
} from './headRefusals.ts'
import { is } from './scannerFields.ts'
import { sameSpan } from './scannerTarget.ts'

const expected = bytesOf('100-continue')
const h2c = bytesOf('h2c')

/** What the fields of a request mean together: framing (RFC 9112 §6.3), persistence (§9.3), Host (§3.2). */
export function frameRequest(head: Head, bytes: Uint8Array): Outcome {
  const { spans, host, expect } = head
  if (host < 0 && head.minor > 0) return refuse(head, NO_HOST)
  if (head.authorityEnd > head.authorityStart && host >= 0) {
    const start = spans[4 * host + 2] as number
    const end = spans[4 * host + 3] as number
    if (!sameSpan(bytes, start, end, head.authorityStart, head.authorityEnd)) return refuse(head, OTHER_HOST)
  }
  if (head.chunked) {
    if (head.minor === 0) return refuse(head, CODING_IN_1_0)
    if (head.contentLength >= 0) return refuse(head, LENGTH_AND_CODING)
    head.framing = BY_CHUNKS
  } else {
    head.framing = head.contentLength > 0 ? BY_LENGTH : NO_BODY
  }
  // A client of HTTP/1.0 cannot be sent a 100 (RFC 9110 §10.1.1).
  if (expect >= 0 && head.minor > 0) {
    if (!is(bytes, spans[4 * expect + 2] as number, spans[4 * expect + 3] as number, expected)) {
      return refuse(head, UNKNOWN_EXPECTATION)
    }
    head.expectsContinue = head.framing !== NO_BODY
  }
  head.keepAlive = persists(head)
  head.upgrade = head.upgradeOption && head.minor > 0 && offersProtocol(head, bytes)
  return DONE
}

/** What the fields of a response mean together. The body of a response to HEAD, and of 1xx, 204 and 304, is none (RFC 9112 §6.3). */
export function frameResponse(head: Head, method: number): Outcome {
  const { status, contentLength } = head
  if (head.chunked && head.minor === 0) return refuse(head, CODING_IN_1_0)
  head.keepAlive = persists(head)
  if (status === 101) {
    if (head.upgradeField < 0) return refuse(head, NO_PROTOCOL)
    head.framing = TUNNEL
    head.upgrade = true
    head.keepAlive = false
  } else if (status < 200 || status === 204) {
    head.framing = NO_BODY
    // It has no length to tell (RFC 9110 §8.6); what comes behind it may be a body all the same.
    if (head.chunked || contentLength > 0) head.keepAlive = false
  } else if (status === 304 || method === HEAD) {
    head.framing = NO_BODY
  } else if (head.chunked) {
    head.framing = BY_CHUNKS
    // Chunked wins, but somebody may have been fooled (RFC 9112 §6.3).
    if (contentLength >= 0) head.keepAlive = false
  } else if (contentLength >= 0) {
    head.framing = contentLength > 0 ? BY_LENGTH : NO_BODY
  } else {
    head.framing = BY_CLOSE
    head.keepAlive = false
  }
  return DONE
}

/** RFC 9112 §9.3. */
function persists(head: Head): boolean {
  return !head.close && (head.minor > 0 || head.keepAliveOption)
}

/** h2c would leave everything behind the first request unseen by the gateway; RFC 9113 §3.1 has deprecated it. */
function offersProtocol(head: Head, bytes: Uint8Array): boolean {
  if (head.upgradeField < 0) return false
  const start = head.spans[4 * head.upgradeField + 2] as number
  const end = head.spans[4 * head.upgradeField + 3] as number
  for (let at = start; at + h2c.length <= end; at++) if (is(bytes, at, at + h2c.length, h2c)) return false
  return end > start
}
