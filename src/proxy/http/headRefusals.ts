/** Why a head or a chunked body is refused: what the client is told, and the rule. In a response each of them is a 502. */
export interface Reason {
  readonly status: 400 | 413 | 414 | 417 | 431 | 501 | 505
  readonly text: string
  /** The section that says so or allows it. */
  readonly rule: string
}

const nine110 = (section: string): string => `RFC 9110 §${section}`
const nine112 = (section: string): string => `RFC 9112 §${section}`

/** By number, from 1; 0 is none. */
export const reasons = [
  { status: 400, text: '', rule: '' },
  { status: 400, text: 'the method is not a token followed by one space', rule: nine112('3.1') },
  { status: 501, text: 'the method is longer than any that is known', rule: nine112('3') },
  { status: 501, text: 'CONNECT is not for gateways', rule: nine110('9.3.6') },
  {
    status: 400,
    text: 'the request target has a character that must be percent-encoded, or is of no known form',
    rule: nine112('3.2'),
  },
  { status: 414, text: 'the request target is too long', rule: nine112('3') },
  { status: 400, text: 'the version is not HTTP/digit.digit before CRLF', rule: nine112('2.3') },
  { status: 505, text: 'the version is not HTTP/1', rule: nine110('15.6.6') },
  {
    status: 400,
    text: 'the status line is not version, space, status code from 100 to 599, reason',
    rule: nine112('4'),
  },
  { status: 400, text: 'a line does not end in CRLF', rule: nine112('2.2') },
  { status: 400, text: 'a line begins with white space (obs-fold)', rule: nine112('5.2') },
  { status: 400, text: 'a field line does not begin with a token and a colon', rule: nine112('5.1') },
  { status: 400, text: 'a field value has a control character', rule: nine110('5.5') },
  { status: 431, text: 'the head is too long', rule: 'RFC 6585 §5' },
  { status: 431, text: 'the head has too many fields', rule: 'RFC 6585 §5' },
  { status: 400, text: 'Host is missing', rule: nine112('3.2') },
  { status: 400, text: 'Host is given twice', rule: nine112('3.2') },
  { status: 400, text: 'Host is not a host with an optional port', rule: nine112('3.2') },
  { status: 400, text: 'Host differs from the host in the request target', rule: nine112('3.2.2') },
  { status: 400, text: 'Content-Length is not digits only', rule: nine112('6.3') },
  { status: 400, text: 'Content-Length is given twice', rule: nine112('6.3') },
  { status: 413, text: 'Content-Length is above 2^53 - 1', rule: nine110('8.6') },
  { status: 400, text: 'Transfer-Encoding does not end in chunked', rule: nine112('6.3') },
  { status: 400, text: 'Transfer-Encoding is given twice', rule: nine112('6.1') },
  { status: 501, text: 'a transfer coding other than chunked is not implemented', rule: nine112('6.1') },
  { status: 400, text: 'Transfer-Encoding in HTTP/1.0', rule: nine112('6.1') },
  { status: 400, text: 'Content-Length beside Transfer-Encoding', rule: nine112('6.3') },
  { status: 400, text: 'Connection is not a list of tokens, or is too long a list', rule: nine110('7.6.1') },
  { status: 417, text: 'the expectation is not 100-continue', rule: nine110('10.1.1') },
  { status: 400, text: 'a chunk size is not hexadecimal digits before CRLF or ";"', rule: nine112('7.1') },
  { status: 413, text: 'a chunk size is above 2^53 - 1', rule: nine112('7.1') },
  { status: 400, text: 'a chunk extension has a control character or is too long', rule: nine112('7.1.1') },
  { status: 400, text: 'chunk data does not end in CRLF where its size says', rule: nine112('7.1') },
  { status: 400, text: 'the trailer section is not field lines', rule: nine112('7.1.2') },
  { status: 431, text: 'the trailer section is too long', rule: 'RFC 6585 §5' },
  { status: 400, text: '101 Switching Protocols names no protocol', rule: nine110('15.2.2') },
] as const satisfies readonly Reason[]

export const BAD_METHOD = 1
export const LONG_METHOD = 2
export const CONNECT_METHOD = 3
export const BAD_TARGET = 4
export const LONG_TARGET = 5
export const BAD_VERSION = 6
export const OTHER_VERSION = 7
export const BAD_STATUS_LINE = 8
export const BAD_LINE_END = 9
export const OBS_FOLD = 10
export const BAD_NAME = 11
export const BAD_VALUE = 12
export const LONG_HEAD = 13
export const MANY_FIELDS = 14
export const NO_HOST = 15
export const SECOND_HOST = 16
export const BAD_HOST = 17
export const OTHER_HOST = 18
export const BAD_LENGTH = 19
export const SECOND_LENGTH = 20
export const LARGE_LENGTH = 21
export const BAD_CODING = 22
export const SECOND_CODING = 23
export const UNKNOWN_CODING = 24
export const CODING_IN_1_0 = 25
export const LENGTH_AND_CODING = 26
export const BAD_CONNECTION = 27
export const UNKNOWN_EXPECTATION = 28
export const BAD_CHUNK_SIZE = 29
export const LARGE_CHUNK = 30
export const BAD_CHUNK_EXTENSION = 31
export const BAD_CHUNK_END = 32
export const BAD_TRAILER = 33
export const LONG_TRAILER = 34
export const NO_PROTOCOL = 35
