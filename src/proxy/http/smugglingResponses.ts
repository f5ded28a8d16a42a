/*
 * Answers of an upstream by which it, or who has written into one of its fields, can make the client or the next request see
 * another message than meant. Characters are bytes (latin1). Interim answers before the final one are not told of here.
 */
export interface SmugglingResponse {
  readonly name: string
  /** Of the request. */
  readonly method: 'GET' | 'HEAD'
  readonly bytes: string
  /** Whether the upstream ends the connection behind them. */
  readonly ends: boolean
  /** What the client gets. */
  readonly expected: {
    /** 502: nothing of the answer was passed on. */
    readonly status: number
    /** null: it is cut off, as it turned out wrong after the head. */
    readonly body: string | null
    /** Whether the connection to the upstream may bear another request. */
    readonly reusable: boolean
  }
}

type Expected = SmugglingResponse['expected']
const answered = (body: string, reusable = true, status = 200): Expected => ({ status, body, reusable })
const bad: Expected = { status: 502, body: '', reusable: false }
const cutOff: Expected = { status: 200, body: null, reusable: false }

const ok = 'HTTP/1.1 200 OK\r\n'
const chunked = `${ok}Transfer-Encoding: chunked\r\n`
const chunks = '5\r\nhello\r\n0\r\n\r\n'

type Row = readonly [name: string, bytes: string, expected: Expected, circumstance?: 'HEAD' | 'ends']

const rows: readonly Row[] = [
  ['length', `${ok}Content-Length: 5\r\n\r\nhello`, answered('hello')],
  ['chunks', `${chunked}\r\n${chunks}`, answered('hello')],
  ['up to the end', `${ok}\r\nhello`, answered('hello', false), 'ends'],
  ['both lengths: chunks win', `${chunked}Content-Length: 3\r\n\r\n${chunks}`, answered('hello', false)],
  ['two equal lengths', `${ok}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`, bad],
  ['two different lengths', `${ok}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`, bad],
  ['length with a plus', `${ok}Content-Length: +5\r\n\r\nhello`, bad],
  ['length above 2^53', `${ok}Content-Length: 18446744073709551621\r\n\r\nhello`, bad],
  ['another coding', `${ok}Transfer-Encoding: gzip\r\n\r\nhello`, bad],
  ['coding with space before the colon', `${ok}Transfer-Encoding : chunked\r\n\r\n${chunks}`, bad],
  ['chunks in HTTP/1.0', `HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`, bad],
  ['HTTP/1.0', 'HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello', answered('hello', false)],
  ['close', `${ok}Connection: close\r\nContent-Length: 5\r\n\r\nhello`, answered('hello', false)],
  ['HEAD with a length', `${ok}Content-Length: 5\r\n\r\n`, answered(''), 'HEAD'],
  ['HEAD with chunks', `${chunked}\r\n`, answered(''), 'HEAD'],
  ['204', 'HTTP/1.1 204 No Content\r\n\r\n', answered('', true, 204)],
  ['204 with a length', 'HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n', answered('', false, 204)],
  [
    '204 with chunks',
    `HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n`,
    answered('', false, 204),
  ],
  ['304 with a length', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n', answered('', true, 304)],
  ['no reason and no space', 'HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello', answered('hello')],
  ['a body of no known length in HTTP/1.0', 'HTTP/1.0 200 OK\r\n\r\nhello', answered('hello', false), 'ends'],
  ['status 099', 'HTTP/1.1 099 No\r\n\r\n', bad],
  ['status 600', 'HTTP/1.1 600 No\r\n\r\n', bad],
  ['status of two digits', 'HTTP/1.1 20 OK\r\n\r\n', bad],
  ['HTTP/2', 'HTTP/2.0 200 OK\r\n\r\n', bad],
  ['an empty line before it', `\r\n${ok}\r\n`, bad],
  ['no HTTP', 'SSH-2.0-OpenSSH_9.2\r\n', bad],
  ['bare LF', 'HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\nhello', bad],
  ['bare CR in a value: splitting', `${ok}X: y\rContent-Length: 0\r\n\r\n`, bad],
  ['bare LF in a value: splitting', `${ok}X: y\nContent-Length: 0\r\n\r\n`, bad],
  ['NUL in a value', `${ok}X: a\x00b\r\n\r\n`, bad],
  ['folded field', `${ok}X: y\r\n z\r\nContent-Length: 0\r\n\r\n`, bad],
  ['folded length', `${ok}Content-Length:\r\n 5\r\n\r\nhello`, bad],
  ['control character in the reason', 'HTTP/1.1 200 O\x01K\r\n\r\n', bad],
  ['101 without a protocol', 'HTTP/1.1 101 Switching Protocols\r\n\r\n', bad],
  ['chunk size 0x5', `${chunked}\r\n0x5\r\nhello\r\n0\r\n\r\n`, cutOff],
  ['chunk longer than its size', `${chunked}\r\n4\r\nhello\r\n0\r\n\r\n`, cutOff],
  ['chunk size by bare LF', `${chunked}\r\n5\nhello\r\n0\r\n\r\n`, cutOff],
  ['chunks cut off', `${chunked}\r\n5\r\nhello\r\n`, cutOff, 'ends'],
  ['length cut off', `${ok}Content-Length: 6\r\n\r\nhello`, cutOff, 'ends'],
]

export const smugglingResponses: readonly SmugglingResponse[] = rows.map(
  ([name, bytes, expected, circumstance]) => ({
    name,
    method: circumstance === 'HEAD' ? 'HEAD' : 'GET',
    bytes,
    ends: circumstance === 'ends',
    expected,
  }),
)
