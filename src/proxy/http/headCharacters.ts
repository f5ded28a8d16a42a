/** Bytes of a text, in an array of the same class as the arena: the scanner's code then sees only one. */
export const bytesOf = (text: string): Uint8Array =>
  Uint8Array.from(text, (character) => character.charCodeAt(0))

/** Classes of bytes as tables: 1 where the byte belongs to the class. */
function byteClass(...members: readonly (string | readonly [first: number, last: number])[]): Uint8Array {
  const table = new Uint8Array(256)
  for (const member of members) {
    if (typeof member === 'string') {
      for (const character of member) table[character.charCodeAt(0)] = 1
    } else {
      table.fill(1, member[0], member[1] + 1)
    }
  }
  return table
}

const digits = '0123456789'
const letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'

/** tchar (RFC 9110 §5.6.2): methods and field names. */
export const tokenBytes = byteClass(letters, digits, "!#$%&'*+-.^_`|~")
/** field-vchar, SP and HTAB (RFC 9110 §5.5): no control characters, so no NUL, CR, LF or DEL. */
export const valueBytes = byteClass('\t', [0x20, 0x7e], [0x80, 0xff])
/** What a request target may be made of: VCHAR without "#" (RFC 9112 §3.2); wider than RFC 3986, as browsers send { | } ^ in queries. */
export const targetBytes = byteClass([0x21, 0x22], [0x24, 0x7e])
/** unreserved, pct-encoded and sub-delims without the comma (RFC 3986 §3.2.2): a registered name or IPv4 address. */
export const hostBytes = byteClass(letters, digits, "-._~%!$&'()*+;=")
/** What stands between the brackets of an IPv6 address (RFC 3986 §3.2.2). */
export const literalBytes = byteClass('abcdefABCDEF', digits, ':.')

/** The value of a hexadecimal digit; 255: none. */
export const hexValues = new Uint8Array(256).fill(255)
for (let value = 0; value < 16; value++) {
  const digit = value.toString(16)
  hexValues[digit.charCodeAt(0)] = value
  hexValues[digit.toUpperCase().charCodeAt(0)] = value
}

/** Letters in lower case. */
export const lowerBytes = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte,
)
/** The same, and "-" for "_": what CGI-like servers take for one name. */
export const foldedBytes = lowerBytes.map((byte) => (byte === 0x5f ? 0x2d : byte))

export const HTAB = 0x09
export const LF = 0x0a
export const CR = 0x0d
export const SP = 0x20
export const COMMA = 0x2c
export const SLASH = 0x2f
export const COLON = 0x3a
export const SEMICOLON = 0x3b
