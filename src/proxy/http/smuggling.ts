/*
 * Requests by which one party can be made to see another message than the next one does, and what becomes of them here.
 * The scanner is given them in one piece and byte by byte, and so are whole proxies over sockets. Characters are
 * bytes (latin1).
 */

/** A request passed on: its target and the data of its body. */
export interface PassedOn {
  readonly target: string
  readonly body: string
}

/** The client is answered so, and nothing behind it is read. With a target: the head was right, its body is not. */
export interface RefusedWith {
  readonly status: number
  readonly target?: string
}

export interface SmugglingCase {
  readonly name: string
  readonly bytes: string
  /** What becomes of each request in them, in order; after a refusal none follows. */
  readonly expected: readonly (PassedOn | RefusedWith)[]
}

const post = 'POST /a HTTP/1.1\r\nHost: h\r\n'
const get = 'GET /a HTTP/1.1\r\nHost: h\r\n'
/** What must not be seen behind a refused request. */
const hidden = 'GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n'
/** The same, as data of a chunked body's end: "0" and what a reader of Content-Length: 6 takes for the next request. */
const coded = `0\r\n\r\n${hidden}`
const chunked = `${post}Transfer-Encoding: chunked\r\n\r\n`

const passed = (target: string, body = ''): PassedOn => ({ target, body })
const whole = (body = ''): readonly PassedOn[] => [passed('/a', body), passed('/hidden')]
const refused = (status = 400): readonly RefusedWith[] => [{ status }]
const brokenBody = (status = 400): readonly RefusedWith[] => [{ status, target: '/a' }]

type Row = readonly [name: string, bytes: string, expected: SmugglingCase['expected']]

/** Two lengths, or a length that readers understand differently (RFC 9112 §6). */
const lengths: readonly Row[] = [
  ['CL.TE', `${post}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n${coded}`, refused()],
  ['TE.CL', `${post}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n${hidden}`, refused()],
  ['CL.0: a GET with a body', `${get}Content-Length: 5\r\n\r\nhello${hidden}`, whole('hello')],
  ['no length: what follows is a request', `${post}\r\n${hidden}`, whole()],
  ['two different lengths', `${post}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello${hidden}`, refused()],
  ['two equal lengths', `${post}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello${hidden}`, refused()],
  ['two lengths in one line', `${post}Content-Length: 5, 5\r\n\r\nhello${hidden}`, refused()],
  [
    'two lengths, one in small letters',
    `${post}content-length: 0\r\nContent-Length: 5\r\n\r\nhello`,
    refused(),
  ],
  ['length with a plus', `${post}Content-Length: +5\r\n\r\nhello${hidden}`, refused()],
  ['length with a minus', `${post}Content-Length: -5\r\n\r\n${hidden}`, refused()],
  ['length in hexadecimal', `${post}Content-Length: 0x5\r\n\r\nhello${hidden}`, refused()],
  ['length with a fraction', `${post}Content-Length: 5.0\r\n\r\nhello${hidden}`, refused()],
  ['length in exponents', `${post}Content-Length: 1e1\r\n\r\nhellohello${hidden}`, refused()],
  ['length with a space inside', `${post}Content-Length: 5 6\r\n\r\nhello${hidden}`, refused()],
  ['length in quotes', `${post}Content-Length: "5"\r\n\r\nhello${hidden}`, refused()],
  ['empty length', `${post}Content-Length: \r\n\r\n${hidden}`, refused()],
  ['length with zeros before it', `${post}Content-Length: 0005\r\n\r\nhello${hidden}`, whole('hello')],
  [
    'length with white space around it',
    `${post}Content-Length: \t 5 \t\r\n\r\nhello${hidden}`,
    whole('hello'),
  ],
  ['length above 2^53', `${post}Content-Length: 9007199254740992\r\n\r\n${hidden}`, refused(413)],
  [
    'length that is 5 modulo 2^64',
    `${post}Content-Length: 18446744073709551621\r\n\r\nhello${hidden}`,
    refused(413),
  ],
  ['length ended by vertical tab', `${post}Content-Length: 5\x0b\r\n\r\nhello${hidden}`, refused()],
  ['length ended by no-break space', `${post}Content-Length: 5\xa0\r\n\r\nhello${hidden}`, refused()],
  [
    'underscore instead of a hyphen',
    `${get}Content_Length: 5\r\nTransfer_Encoding: chunked\r\n\r\n${hidden}`,
    whole(),
  ],
  [
    'Connection tries to drop the length',
    `${post}Connection: content-length\r\nContent-Length: 5\r\n\r\nhello${hidden}`,
    whole('hello'),
  ],
]

/** Ways to hide Transfer-Encoding from one of two readers (RFC 9112 §6.1). */
const codings: readonly Row[] = [
  ['chunked', `${chunked}5\r\nhello\r\n0\r\n\r\n${hidden}`, whole('hello')],
  ['chunked in capitals', `${post}TRANSFER-ENCODING: CHUNKED\r\n\r\n${coded}`, whole()],
  ['space before the colon', `${post}Transfer-Encoding : chunked\r\n\r\n${coded}`, refused()],
  ['tab before the colon', `${post}Transfer-Encoding\t: chunked\r\n\r\n${coded}`, refused()],
  ['space before the name', `${post} Transfer-Encoding: chunked\r\n\r\n${coded}`, refused()],
  [
    'first line begins with space',
    `POST /a HTTP/1.1\r\n Transfer-Encoding: chunked\r\nHost: h\r\n\r\n${coded}`,
    refused(),
  ],
  ['coding on a folded line', `${post}Transfer-Encoding:\r\n chunked\r\n\r\n${coded}`, refused()],
  [
    'coding folded behind another field',
    `${post}X: y\r\n\tTransfer-Encoding: chunked\r\n\r\n${coded}`,
    refused(),
  ],
  ['coding behind a vertical tab', `${post}Transfer-Encoding: \x0bchunked\r\n\r\n${coded}`, refused()],
  ['coding behind a form feed', `${post}Transfer-Encoding:\x0cchunked\r\n\r\n${coded}`, refused()],
  ['coding behind a no-break space', `${post}Transfer-Encoding:\xa0chunked\r\n\r\n${coded}`, refused()],
  ['coding behind NUL', `${post}Transfer-Encoding: \x00chunked\r\n\r\n${coded}`, refused()],
  ['xchunked', `${post}Transfer-Encoding: xchunked\r\n\r\n${coded}`, refused()],
  ['identity', `${post}Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello${hidden}`, refused()],
  ['chunked, identity', `${post}Transfer-Encoding: chunked, identity\r\n\r\n${coded}`, refused()],
  ['gzip, chunked', `${post}Transfer-Encoding: gzip, chunked\r\n\r\n${coded}`, refused(501)],
  ['chunked twice in a line', `${post}Transfer-Encoding: chunked, chunked\r\n\r\n${coded}`, refused(501)],
  [
    'chunked twice',
    `${post}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n${coded}`,
    refused(),
  ],
  [
    'chunked and something',
    `${post}Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n\r\n${coded}`,
    refused(),
  ],
  [
    'something and chunked',
    `${post}Transfer-Encoding: cow\r\nTransfer-Encoding: chunked\r\n\r\n${coded}`,
    refused(),
  ],
  ['chunked with a parameter', `${post}Transfer-Encoding: chunked;a=b\r\n\r\n${coded}`, refused()],
  ['chunked in quotes', `${post}Transfer-Encoding: "chunked"\r\n\r\n${coded}`, refused()],
  ['chunked behind an empty member', `${post}Transfer-Encoding: , chunked\r\n\r\n${coded}`, refused(501)],
  ['empty coding', `${post}Transfer-Encoding:\r\nContent-Length: 5\r\n\r\nhello${hidden}`, refused()],
  [
    'chunked in HTTP/1.0',
    `POST /a HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n${coded}`,
    refused(),
  ],
  ['name with NUL', `${post}Transfer-Encoding\x00: chunked\r\n\r\n${coded}`, refused()],
  ['name with a high byte', `${post}Transfer-Encod\xefng: chunked\r\n\r\n${coded}`, refused()],
  [
    'Connection tries to drop the coding',
    `${post}Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n${coded}`,
    whole('hello'),
  ],
]

/** Ends of lines that not everybody takes for one (RFC 9112 §2.2), and first lines. */
const lines: readonly Row[] = [
  ['bare LF behind the request line', `GET /a HTTP/1.1\nHost: h\r\n\r\n${hidden}`, refused()],
  ['bare LF behind a field', `${post}X: y\nTransfer-Encoding: chunked\r\n\r\n${coded}`, refused()],
  ['bare LF as the empty line', `${get}\n${hidden}`, refused()],
  ['bare CR in a value', `${post}X: y\rTransfer-Encoding: chunked\r\n\r\n${coded}`, refused()],
  ['bare CR in the request line', `GET /a\rHTTP/1.1\r\nHost: h\r\n\r\n${hidden}`, refused()],
  ['CR CR LF', `${get}X: y\r\r\n\r\n${hidden}`, refused()],
  ['LF CR', `${get}X: y\n\r\n\r\n${hidden}`, refused()],
  ['NUL in a value', `${get}X: a\x00b\r\n\r\n${hidden}`, refused()],
  ['a line without a colon', `${get}Transfer-Encoding\r\n\r\n${hidden}`, refused()],
  ['an empty name', `${get}: x\r\n\r\n${hidden}`, refused()],
  ['an empty line before a request', `\r\n${get}\r\n${hidden}`, whole()],
  ['two empty lines before a request', `\r\n\r\n${get}\r\n${hidden}`, refused()],
  ['two spaces behind the method', `GET  /a HTTP/1.1\r\nHost: h\r\n\r\n${hidden}`, refused()],
  ['tab behind the method', `GET\t/a HTTP/1.1\r\nHost: h\r\n\r\n${hidden}`, refused()],
  ['space in the target', `GET /a b HTTP/1.1\r\nHost: h\r\n\r\n${hidden}`, refused()],
  ['space behind the version', `GET /a HTTP/1.1 \r\nHost: h\r\n\r\n${hidden}`, refused()],
  ['control character in the target', `GET /a\x01 HTTP/1.1\r\nHost: h\r\n\r\n${hidden}`, refused()],
  ['high byte in the target', `GET /\xe9 HTTP/1.1\r\nHost: h\r\n\r\n${hidden}`, refused()],
  ['fragment in the target', `GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n${hidden}`, refused()],
  ['method that is no token', `G(T /a HTTP/1.1\r\nHost: h\r\n\r\n${hidden}`, refused()],
  ['over-long method', `${'M'.repeat(33)} /a HTTP/1.1\r\nHost: h\r\n\r\n`, refused(501)],
  ['over-long target', `GET /${'a'.repeat(8192)} HTTP/1.1\r\nHost: h\r\n\r\n`, refused(414)],
  ['over-long head', `${get}X: ${'y'.repeat(16_384)}\r\n\r\n`, refused(431)],
  ['too many fields', `${get}${'X: y\r\n'.repeat(128)}\r\n`, refused(431)],
  ['HTTP/0.9', `GET /a\r\n${hidden}`, refused()],
  ['HTTP/2.0 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', refused()],
  ['HTTP/2.0', `GET /a HTTP/2.0\r\nHost: h\r\n\r\n${hidden}`, refused(505)],
  ['HTTP/1.10', `GET /a HTTP/1.10\r\nHost: h\r\n\r\n${hidden}`, refused()],
  ['http/1.1', `GET /a http/1.1\r\nHost: h\r\n\r\n${hidden}`, refused()],
  ['CONNECT', 'CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n', refused(501)],
  [
    'h2c upgrade is not passed on',
    `${get}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n${hidden}`,
    whole(),
  ],
]

/** Who is meant (RFC 9112 §3.2). */
const hosts: readonly Row[] = [
  ['no Host', `GET /a HTTP/1.1\r\n\r\n${hidden}`, refused()],
  ['no Host in HTTP/1.0', 'GET /a HTTP/1.0\r\n\r\n', [passed('/a')]],
  ['two Hosts', `${get}Host: i\r\n\r\n${hidden}`, refused()],
  ['two equal Hosts', `${get}host: h\r\n\r\n${hidden}`, refused()],
  ['Host with space before the colon', `GET /a HTTP/1.1\r\nHost : h\r\n\r\n${hidden}`, refused()],
  ['Host as a list', `GET /a HTTP/1.1\r\nHost: h, i\r\n\r\n${hidden}`, refused()],
  ['Host with userinfo', `GET /a HTTP/1.1\r\nHost: h@i\r\n\r\n${hidden}`, refused()],
  ['Host with a path', `GET /a HTTP/1.1\r\nHost: h/x\r\n\r\n${hidden}`, refused()],
  ['Host with a port that is no number', `GET /a HTTP/1.1\r\nHost: h:8o\r\n\r\n${hidden}`, refused()],
  ['Host with an open bracket', `GET /a HTTP/1.1\r\nHost: [::1\r\n\r\n${hidden}`, refused()],
  ['absolute target of the same Host', `GET http://H/a HTTP/1.1\r\nHost: h\r\n\r\n${hidden}`, whole()],
  ['absolute target of another Host', `GET http://i/a HTTP/1.1\r\nHost: h\r\n\r\n${hidden}`, refused()],
  ['absolute target with userinfo', `GET http://h@i/a HTTP/1.1\r\nHost: i\r\n\r\n${hidden}`, refused()],
  ['absolute target of another scheme', `GET ftp://h/a HTTP/1.1\r\nHost: h\r\n\r\n${hidden}`, refused()],
  ['absolute target without a path', 'GET http://h HTTP/1.1\r\nHost: h\r\n\r\n', [passed('/')]],
  ['asterisk for another method than OPTIONS', `GET * HTTP/1.1\r\nHost: h\r\n\r\n${hidden}`, refused()],
  ['asterisk for OPTIONS', 'OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n', [passed('*')]],
  ['Connection tries to drop Host', `${get}Connection: host\r\n\r\n${hidden}`, whole()],
]

/** Where a chunk ends (RFC 9112 §7.1). */
const chunks: readonly Row[] = [
  ['extension', `${chunked}5;a=b;c="d"\r\nhello\r\n${coded}`, whole('hello')],
  ['size with zeros before it', `${chunked}0005\r\nhello\r\n${coded}`, whole('hello')],
  ['trailers', `${chunked}5\r\nhello\r\n0\r\nX: y\r\n\r\n${hidden}`, whole('hello')],
  ['size 0x5', `${chunked}0x5\r\nhello\r\n${coded}`, brokenBody()],
  ['size +5', `${chunked}+5\r\nhello\r\n${coded}`, brokenBody()],
  ['size -1', `${chunked}-1\r\n${coded}`, brokenBody()],
  ['no size', `${chunked}\r\nhello\r\n${coded}`, brokenBody()],
  ['space before the size', `${chunked} 5\r\nhello\r\n${coded}`, brokenBody()],
  ['space behind the size', `${chunked}5 \r\nhello\r\n${coded}`, brokenBody()],
  ['size of 17 digits', `${chunked}00000000000000005\r\nhello\r\n${coded}`, brokenBody(413)],
  ['size that is 5 modulo 2^64', `${chunked}10000000000000005\r\nhello\r\n${coded}`, brokenBody(413)],
  ['size above 2^53', `${chunked}20000000000000\r\nhello\r\n${coded}`, brokenBody(413)],
  ['bare LF behind the size', `${chunked}5\nhello\r\n${coded}`, brokenBody()],
  ['bare CR behind the size', `${chunked}5\rhello\r\n${coded}`, brokenBody()],
  ['bare LF in an extension', `${chunked}5;a\nhello\r\n${coded}`, brokenBody()],
  ['bare CR in an extension', `${chunked}5;a\rb\r\nhello\r\n${coded}`, brokenBody()],
  ['NUL in an extension', `${chunked}5;\x00\r\nhello\r\n${coded}`, brokenBody()],
  ['extension of 257 bytes', `${chunked}5;${'a'.repeat(256)}\r\nhello\r\n${coded}`, brokenBody()],
  ['data longer than its size', `${chunked}4\r\nhello\r\n${coded}`, brokenBody()],
  ['data shorter than its size', `${chunked}6\r\nhello\r\n${coded}`, brokenBody()],
  ['data ended by bare LF', `${chunked}5\r\nhello\n${coded}`, brokenBody()],
  ['data ended by other two bytes', `${chunked}5\r\nhelloXX${coded}`, brokenBody()],
  ['last chunk ended by bare LF', `${chunked}0\n\n${hidden}`, brokenBody()],
  ['empty line ended by bare LF', `${chunked}0\r\n\n${hidden}`, brokenBody()],
  ['empty line ended by CR alone', `${chunked}0\r\n\r${hidden}`, brokenBody()],
  ['trailer without a colon', `${chunked}0\r\nGET /hidden HTTP/1.1\r\n\r\n`, brokenBody()],
  ['folded trailer', `${chunked}0\r\nX: y\r\n z\r\n\r\n${hidden}`, brokenBody()],
  ['trailer with bare LF', `${chunked}0\r\nX: y\nZ: w\r\n\r\n${hidden}`, brokenBody()],
  ["space before a trailer's colon", `${chunked}0\r\nX : y\r\n\r\n${hidden}`, brokenBody()],
  ['trailers of more than 8 KiB', `${chunked}0\r\nX: ${'y'.repeat(8192)}\r\n\r\n`, brokenBody(431)],
]

const cases = ([name, bytes, expected]: Row): SmugglingCase => ({ name, bytes, expected })

export const smugglingCases: readonly SmugglingCase[] = [lengths, codings, lines, hosts, chunks]
  .flat()
  .map(cases)
