import type { Piece } from './headPiece.ts'

/**
 * The seam between the HTTP/1.1 proxy and who decides where requests go (the function gateway, services with
 * `"protocol": "http"`). The proxy knows bytes, connections and time-outs; the policy knows names, weights and limits.
 *
 * One thread owns a proxy and its policy. The proxy calls; nothing in here may throw, block or keep the objects it is given.
 * For one request the calls are, in this order:
 *
 *     clientOf, once, then
 *     decide ─┬─ refuse ────────────────────────────────────────────────────────────► (no further call)
 *             ├─ forward ─► requestFields ─► responded ─► responseFields ─► ended
 *             │      ▲           │ no connection, or a stale one
 *             │      └── next ◄──┘
 *             └─ wait ─┬─ HttpProxy.resume ─► decide
 *                      └─ timed out, or the client has gone ─► ended
 *
 * After each `forward` or `wait` comes exactly one `ended`, and it is the last call.
 */
export interface ProxyPolicy {
  /** Names of request fields, in lower case, that never reach an upstream: those that `requestFields` writes itself. */
  readonly ownRequestFields: readonly string[]
  /** Names of request fields, in lower case, that it looks up with `ProxyRequest.find`; they may be own ones too. */
  readonly watchedRequestFields: readonly string[]
  /**
   * The number by which the access log knows a request that no upstream was chosen for, beyond those of upstreams; -1: none.
   * Asked only when such a one is logged.
   */
  unservedAs?(exchange: Exchange): number
  /** What stands behind a number that `decide` or `next` gave; read when a connection is made. */
  upstream(upstream: UpstreamNumber): Upstream
  /**
   * Who asks, as text, where that is somebody else than whom the connection comes from: a trusted proxy tells so. null: it is the
   * connection's client. The access log goes by it.
   */
  clientOf?(exchange: Exchange, request: ProxyRequest): string | null
  /** The head is complete: fills `decision`, which is reset before: refuse with 503, nothing stripped. */
  decide(exchange: Exchange, request: ProxyRequest, decision: Decision): void
  /**
   * The upstream could not be had and nothing of its answer has come: another one, or -1 for an answer of 502 or 504.
   * Asked only where the request may be sent again (RFC 9110, 9.2.2) or was never sent.
   *
   * @param error a negated errno
   */
  next(exchange: Exchange, upstream: UpstreamNumber, error: number): UpstreamNumber
  /** Writes field lines, each with its CRLF, into `into` from `at`, at most `fieldsLimit` bytes. @returns the end */
  requestFields(
    exchange: Exchange,
    request: ProxyRequest,
    upstream: UpstreamNumber,
    into: Uint8Array,
    at: number,
  ): number
  /** The same for the head of the response; also for the proxy's own 502, 503 and 504 once an upstream was chosen. */
  responseFields(exchange: Exchange, upstream: UpstreamNumber, into: Uint8Array, at: number): number
  /** A new connection to the upstream stands, for which it took so many milliseconds. */
  connected?(exchange: Exchange, upstream: UpstreamNumber, milliseconds: number): void
  /** The head of the final response is there, so many milliseconds after the decision. */
  responded(exchange: Exchange, upstream: UpstreamNumber, status: number, milliseconds: number): void
  /** The request is over, one way or the other; its number is free. */
  ended(exchange: Exchange, end: ExchangeEnd): void
}

/** Bytes of an answer, head and body; `prepareAnswer` cuts the body where it is longer. */
export const answerLimit = 4096

/** At most so many bytes are written by `requestFields` and by `responseFields`. */
export const fieldsLimit = 1024

/** A small number that stands for a request from its decision until it has ended; below `HttpProxy.exchanges`. */
export type Exchange = number

/** A small number that stands for an upstream; below the proxy's option `upstreams`. Free again after `HttpProxy.retire`. */
export type UpstreamNumber = number

export interface Upstream {
  readonly address: string
  readonly port: number
  /** The value of Host that is sent to it; null: the client's own. */
  readonly host: Piece | null
}

/** A complete head, valid during the call only. Positions are in `bytes`, an end is the position after the last byte. */
export interface ProxyRequest {
  readonly bytes: Uint8Array
  readonly methodAt: number
  readonly methodEnd: number
  /** In origin form (of an absolute one: from its path on, so it may be empty or begin with "?"), or the asterisk of OPTIONS. */
  readonly targetAt: number
  readonly targetEnd: number
  /** Behind the empty line. */
  readonly headEnd: number
  /** What the client asks for by Host or, before that, an absolute target (RFC 9112 §3.2.2); both alike: neither. */
  readonly hostAt: number
  readonly hostEnd: number
  /** The address of the connection's client as text. */
  readonly client: Uint8Array
  readonly clientLength: number
  /** Looks for a field: whether it is there, and then where its first value is. @param watched index into `watchedRequestFields` */
  find(watched: number): boolean
  /** Whether the field that was looked for is there once more, and then where its next value is. */
  findNext(): boolean
  readonly valueAt: number
  readonly valueEnd: number
}

/** How to go on with a request. One object, used again. */
export interface Decision {
  action: 'refuse' | 'forward' | 'wait'
  /** refuse: the answer; wait: the answer once `waitMs` are over. */
  answer: Answer
  /** forward: where to. */
  upstream: UpstreamNumber
  /** forward: so many bytes at the beginning of the target are left out … */
  targetSkip: number
  /** … and these put in their place. */
  targetPrefix: Uint8Array
  /** wait: for at most so long. */
  waitMs: number
}

/** What became of a request. One object, used again. */
export interface ExchangeEnd {
  upstream: UpstreamNumber
  outcome: Outcome
  /** Of the answer that the client got, also where the proxy made it; 0: none. */
  status: number
  /** Bytes of body from the client and to it. */
  requestBytes: number
  responseBytes: number
  /** Since the decision. */
  milliseconds: number
}

/**
 * - completed: the response was passed on whole
 * - refused: no upstream could be connected
 * - timeout: the upstream did not answer in time
 * - broken: the upstream ended, or answered what is no HTTP, before the response was whole
 * - abandoned: the client went, or did not send or take its bytes in time
 * - exhausted: the proxy itself had no connection left to go to an upstream
 * - expired: it waited too long for its turn
 * - answered: by the proxy itself, since the request or the policy wanted it so (in the access log only)
 */
export type Outcome = (typeof outcomes)[number]
export const outcomes = [
  'completed',
  'refused',
  'timeout',
  'broken',
  'abandoned',
  'expired',
  'answered',
  'exhausted',
] as const

/** A response made beforehand. */
export interface Answer {
  readonly status: number
  /** The status line and all fields but Connection, each with its CRLF; without the empty line. */
  readonly head: Uint8Array
  readonly body: Uint8Array
}

/** For what is added to an answer when it is sent: the fields of the policy, Connection, and the empty line. */
const addedBytes = fieldsLimit + 32

/** @param fields names and values of further fields @throws RangeError where they leave no room for the body */
export function prepareAnswer(
  status: number,
  reason: string,
  body = '',
  fields: Readonly<Record<string, string>> = {},
): Answer {
  const encoder = new TextEncoder()
  const bytes = encoder.encode(body).subarray(0, answerLimit / 2)
  const all = {
    ...(body === '' ? {} : { 'Content-Type': 'text/plain; charset=utf-8' }),
    'Content-Length': String(bytes.length),
    ...fields,
  }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  const head = encoder.encode(`HTTP/1.1 ${status} ${reason}\r\n${lines.join('')}`)
  // What lies behind belongs to another connection.
  if (head.length + bytes.length + addedBytes > answerLimit)
    throw new RangeError(`an answer of ${head.length + bytes.length} bytes: make its fields shorter`)
  return { status, head, body: bytes }
}
