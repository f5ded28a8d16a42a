import { scanChunks } from './chunk.ts'
import { BY_CHUNKS, BY_LENGTH, DONE, type Head, MORE, NO_BODY, type Outcome } from './head.ts'

/** Where a body stands that passes by: numbers only, one for each direction of a connection, reused. */
export class Body {
  framing = NO_BODY
  /** Bytes until the end of the body (by length) or of the chunk's data; who lets some go by in a relay takes them off. */
  left = 0
  /** Behind the last byte that `advance` or `decode` has taken. */
  at = 0
  /** Behind the last byte of data that `decode` has left. */
  dataEnd = 0
  /** Index into `reasons` once refused. */
  refusal = 0
  /** Of chunked coding: what is expected next, and how much of it there has been. */
  stage = 0
  count = 0
}

/** Makes ready for the body behind a head that was scanned to its end. */
export function beginBody(body: Body, head: Head): void {
  body.framing = head.framing
  body.left = head.framing === BY_LENGTH ? head.contentLength : 0
  body.at = head.end
  body.dataEnd = head.end
  body.refusal = 0
  body.stage = 0
  body.count = 0
}

/**
 * Takes what belongs to the body of the bytes in [at, end): up to `body.at`, which is `end` while more is to come. Chunked
 * bodies are checked and left as they are, so that they can be passed on from where they lie; after REFUSED none of these
 * bytes may be.
 */
export function advance(body: Body, bytes: Uint8Array, at: number, end: number): Outcome {
  return take(body, bytes, at, end, -1)
}

/** The same, and moves the data of a chunked body together from `at` up to `body.dataEnd`, for a client of HTTP/1.0. */
export function decode(body: Body, bytes: Uint8Array, at: number, end: number): Outcome {
  return take(body, bytes, at, end, at)
}

function take(body: Body, bytes: Uint8Array, at: number, end: number, to: number): Outcome {
  switch (body.framing) {
    case BY_CHUNKS:
      return scanChunks(body, bytes, at, end, to)
    case BY_LENGTH:
      body.at = Math.min(end, at + body.left)
      body.left -= body.at - at
      body.dataEnd = body.at
      return body.left === 0 ? DONE : MORE
    case NO_BODY:
      body.at = at
      body.dataEnd = at
      return DONE
    default:
      body.at = end
      body.dataEnd = end
      return MORE
  }
}
