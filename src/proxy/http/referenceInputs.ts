/*
 * Random messages for the scanner and its reference: made of pieces that are mostly right, some of which are traps, then
 * mutated byte by byte.
 */

/** A whole number from 0 to below a bound. */
export type Random = (below: number) => number

const methods = [
  'GET',
  'GET',
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'OPTIONS',
  'OPTIONS',
  'TRACE',
  'PATCH',
  'CONNECT',
  'get',
  'M-SEARCH',
  'GE T',
  '',
  'X'.repeat(32),
  'X'.repeat(33),
]
const targets = [
  '/',
  '/',
  '/function/resnet',
  '/function/resnet/a/b?x=1&y=/',
  '/a{b}|c^',
  '*',
  'http://a.b',
  'http://a.b/',
  'HTTP://A.b:80/x?y',
  'http://a.b?q',
  'http://u@a.b/',
  'http:///x',
  'https://a.b/',
  'http://[::1]:80/x',
  'a.b:443',
  '',
  '/a b',
  '/a#b',
  '/\u00e9',
  '//x',
  `/${'x'.repeat(60)}`,
]
const versions = [
  'HTTP/1.1',
  'HTTP/1.1',
  'HTTP/1.1',
  'HTTP/1.1',
  'HTTP/1.1',
  'HTTP/1.0',
  'HTTP/1.0',
  'HTTP/1.2',
  'HTTP/2.0',
  'HTTP/0.9',
  'http/1.1',
  'HTTP/1.10',
  'HTTP/1',
  'HTTP/1.1 ',
  '',
]
const statuses = [
  '200 OK',
  '200 OK',
  '200 OK',
  '200',
  '200 ',
  '204 No Content',
  '304 Not Modified',
  '100 Continue',
  '101 Switching Protocols',
  '103 Early Hints',
  '599 \u00e9',
  '600 No',
  '099 No',
  '20 OK',
  '2000 OK',
  '502 a\tb',
]
const values: readonly (readonly [name: string, ...values: string[]])[] = [
  [
    'Host',
    'a.b',
    'a.b',
    'A.B:80',
    'a_b',
    '[::1]:80',
    '',
    ':80',
    'a b',
    'a,b',
    'u@a.b',
    'a.b:8x',
    '[::1',
    'a.b:',
  ],
  [
    'Content-Length',
    '0',
    '5',
    '5',
    '5',
    '05',
    '+5',
    '-5',
    '5, 5',
    '5 5',
    '0x5',
    '',
    '5.0',
    '9007199254740991',
    '9007199254740992',
    '18446744073709551621',
  ],
  [
    'Transfer-Encoding',
    'chunked',
    'chunked',
    'chunked',
    'Chunked',
    'gzip, chunked',
    'chunked, gzip',
    'xchunked',
    'identity',
    'chunked;q=1',
    ', chunked',
    '"chunked"',
    '',
    '\u000bchunked',
  ],
  [
    'Connection',
    'close',
    'keep-alive',
    'Keep-Alive, Upgrade',
    'upgrade',
    'x-one, close',
    'X-One,,x-two',
    'host, content-length',
    'a b',
    ',',
    '',
    'x_one',
    '"close"',
  ],
  ['Upgrade', 'websocket', 'h2c', 'websocket, H2C', ''],
  ['Expect', '100-continue', '100-Continue', '200-ok', ''],
  ['X-Zero', 'y\r\nConnection: upgrade\r\nUpgrade: websocket'],
  ['Keep-Alive', 'timeout=5'],
  ['TE', 'trailers'],
  ['Proxy-Connection', 'close'],
  ['HTTP2-Settings', 'AAMAAABkAARAAAAAAAIAAAAA'],
  [
    'X-One',
    '1',
    '',
    ' \t ',
    'a\u0000b',
    'a\u007fb',
    '\u00e9',
    'a\rb',
    'a\nb',
    'a\r\n b',
    'a\r\nTransfer-Encoding: chunked',
  ],
  ['X-Two', '2'],
  ['X-One_', '1'],
  ['Content_Length', '5'],
  ['Transfer_Encoding', 'chunked'],
  ['Accept', '*/*', 'text/html, */*;q=0.8'],
]
const colons = [': ', ': ', ': ', ': ', ': ', ': ', ':', ':\t ', ' : ', ':  ', '', '\t:']
const ends = [
  '\r\n',
  '\r\n',
  '\r\n',
  '\r\n',
  '\r\n',
  '\r\n',
  '\r\n',
  '\r\n',
  '\r\n',
  '\r\n',
  ' \t\r\n',
  '\n',
  '\r',
  '\r\r\n',
  '\r\n ',
]
const sizes = [
  '1',
  '3',
  'a',
  'A',
  '0a',
  '5',
  '0',
  '00',
  '10',
  '+5',
  '0x5',
  '-1',
  '',
  ' 5',
  '5 ',
  '5g',
  '000000000000000a',
  '0000000000000000a',
  '1fffffffffffff',
  '20000000000000',
  'ffffffffffffffffff',
]
const extensions = [
  '',
  '',
  '',
  '',
  '',
  '',
  ';a',
  ';a=b',
  ' ; a = "b"',
  ';a="\r\n',
  ';\u0000',
  ' ',
  `;${'e'.repeat(255)}`,
  `;${'e'.repeat(256)}`,
  ';a\n',
]
const oddBytes = '\u0000\t\n\u000b\r !"#,/:;=@AZ[_az\u007f\u0080\u00ff0123456789'

const pick = <Item>(random: Random, items: readonly Item[]): Item => items[random(items.length)]!

function fieldsOf(random: Random): string {
  let text = ''
  const sensible = random(6) > 0
  if (random(8) > 0) text += 'Host: a.b\r\n'
  for (let left = random(6); left > 0; left--) {
    const [name, first = '', ...others] = pick(random, values)
    const cased = random(6) === 0 ? name.toLowerCase() : name
    const value = random(4) > 0 ? first : pick(random, [first, ...others])
    text += sensible
      ? `${cased}: ${value}\r\n`
      : `${cased}${pick(random, colons)}${value}${pick(random, ends)}`
  }
  return text
}

export function randomRequest(random: Random): string {
  const odd = random(5) === 0
  const method = odd ? pick(random, methods) : pick(random, ['GET', 'POST', 'OPTIONS'])
  const target = odd ? pick(random, targets) : pick(random, ['/', 'http://a.b/x', '/function/resnet'])
  const version = random(6) === 0 ? pick(random, versions) : 'HTTP/1.1'
  const before = random(12) === 0 ? pick(random, ['\r\n', '\r\n\r\n', '\r', '\n', ' ']) : ''
  const end = random(12) === 0 ? pick(random, ends) : '\r\n'
  return mutated(
    random,
    `${before}${method} ${target} ${version}${end}${fieldsOf(random)}\r\n${pick(random, ['', 'body', '\r\n'])}`,
  )
}

export function randomResponse(random: Random): string {
  const version = random(6) === 0 ? pick(random, versions) : 'HTTP/1.1'
  const end = random(12) === 0 ? pick(random, ends) : '\r\n'
  return mutated(
    random,
    `${version} ${pick(random, statuses)}${end}${fieldsOf(random)}\r\n${pick(random, ['', 'body'])}`,
  )
}

export function randomChunks(random: Random): string {
  let text = ''
  for (let left = random(5); left > 0; left--) {
    const size = random(4) === 0 ? pick(random, sizes) : (1 + random(12)).toString(16)
    const length = random(20) === 0 ? random(12) : Number.parseInt(size, 16)
    const data = 'data\r\n0\r\n\r\n0123456789'.repeat(2).slice(0, Math.min(length || 0, 40))
    text += `${size}${random(3) === 0 ? pick(random, extensions) : ''}${random(12) === 0 ? pick(random, ends) : '\r\n'}${data}\r\n`
  }
  text += '0'.repeat(1 + random(2)) + (random(8) === 0 ? pick(random, extensions) : '') + '\r\n'
  if (random(4) === 0) text += random(2) === 0 ? 'X-One: 1\r\n' : fieldsOf(random)
  if (random(500) === 0) text += `X-Long: ${'x'.repeat(8180 + random(4))}\r\n`
  return mutated(random, `${text}\r\n${pick(random, ['', 'GET / HTTP/1.1'])}`)
}

/** Two of three as they are; else some bytes are changed, put in or taken out, or the end is. */
function mutated(random: Random, text: string): string {
  if (random(3) > 0) return text
  let result = text
  for (let left = 1 + random(3); left > 0; left--) {
    const at = random(result.length + 1)
    const byte = random(4) === 0 ? String.fromCharCode(random(256)) : oddBytes[random(oddBytes.length)]!
    const kind = random(8)
    if (kind < 3) result = result.slice(0, at) + byte + result.slice(at + 1)
    else if (kind < 5) result = result.slice(0, at) + byte + result.slice(at)
    else if (kind < 7) result = result.slice(0, at) + result.slice(at + 1)
    else result = result.slice(0, at)
  }
  return result
}
