import { hashBytes } from './byteTable.ts'

const lineFeed = 0x0a
const carriageReturn = 0x0d
const colon = 0x3a

/**
 * The hash of the first value of a field in a complete head, found where it lies; 0 where there is none.
 *
 * @param from within the request line
 * @param name in lower case
 */
export function fieldHash(bytes: Uint8Array, from: number, name: string): number {
  let line = bytes.indexOf(lineFeed, from) + 1
  while (line > 0 && bytes[line] !== carriageReturn && line < bytes.length) {
    const next = bytes.indexOf(lineFeed, line) + 1
    if (bytes[line + name.length] === colon && isName(bytes, line, name)) {
      let at = line + name.length + 1
      let end = (next === 0 ? bytes.length : next) - 2
      while (at < end && isBlank(bytes[at])) at++
      while (end > at && isBlank(bytes[end - 1])) end--
      return hashBytes(bytes, at, end)
    }
    line = next
  }
  return 0
}

function isName(bytes: Uint8Array, from: number, name: string): boolean {
  for (let at = 0; at < name.length; at++) {
    const byte = bytes[from + at]!
    const lower = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte
    if (lower !== name.charCodeAt(at)) return false
  }
  return true
}

const isBlank = (byte: number | undefined): boolean => byte === 0x20 || byte === 0x09
