import { isIP } from 'node:net'

/** IP address family, as in sockaddr. */
export type Family = 4 | 6

/** The family of an IP address text, or null where it is none (a DNS name, `010.0.0.1`). */
export function familyOf(text: string): Family | null {
  const family = isIP(text)
  return family === 4 || family === 6 ? family : null
}

/** The 4 or 16 bytes of an IP address. Throws on anything that `familyOf` does not know. */
export function addressBytes(text: string): Uint8Array {
  if (isIP(text) === 4) return Uint8Array.from(text.split('.'), Number)
  if (isIP(text) !== 6) throw new TypeError(`"${text}" is not an IP address`)
  const bytes = new Uint8Array(16)
  // A zone (fe80::1%eth0) has no place in the bytes.
  let rest = text.split('%', 1)[0] ?? ''
  const dotted = /[^:]+\.[^:]+$/.exec(rest)?.[0]
  if (dotted !== undefined) {
    const [a = 0, b = 0, c = 0, d = 0] = addressBytes(dotted)
    rest = `${rest.slice(0, -dotted.length)}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
  }
  const [head = '', tail] = rest.split('::')
  const groups = (part: string | undefined): number[] =>
    part === undefined || part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16))
  const front = groups(head)
  const back = groups(tail)
  const words = [...front, ...Array<number>(8 - front.length - back.length).fill(0), ...back]
  words.forEach((word, index) => {
    bytes[index * 2] = word >> 8
    bytes[index * 2 + 1] = word & 0xff
  })
  return bytes
}

/** The canonical text of 4 or 16 address bytes (IPv6 as in RFC 5952). */
export function addressText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.')
  const words = Array.from({ length: 8 }, (_, i) => ((bytes[i * 2] ?? 0) << 8) | (bytes[i * 2 + 1] ?? 0))
  // RFC 5952 §4.2: the longest run of at least two zero words, the first of equals.
  let start = -1
  let length = 1
  for (let i = 0; i < 8; i++) {
    let run = 0
    while (words[i + run] === 0) run++
    if (run > length) {
      start = i
      length = run
    }
    i += run
  }
  const hex = (part: number[]): string => part.map((word) => word.toString(16)).join(':')
  return start < 0 ? hex(words) : `${hex(words.slice(0, start))}::${hex(words.slice(start + length))}`
}

/** Canonical text of an IP address; ::ffff:a.b.c.d becomes a.b.c.d. Throws where it is none. */
export function canonicalAddress(text: string): string {
  const bytes = addressBytes(text)
  const mapped =
    bytes.length === 16 &&
    bytes.subarray(0, 10).every((byte) => byte === 0) &&
    bytes[10] === 0xff &&
    bytes[11] === 0xff
  return addressText(mapped ? bytes.subarray(12) : bytes)
}

/** `1.2.3.4:80` or `[2001:db8::1]:80`. */
export function endpointText(address: string, port: number | 'any'): string {
  return `${address.includes(':') ? `[${address}]` : address}:${port}`
}

/** True for 127.0.0.0/8 and ::1, IPv4-mapped forms included. */
export function isLoopback(text: string): boolean {
  if (familyOf(text) === null) return false
  const address = canonicalAddress(text)
  return address === '::1' || address.startsWith('127.')
}

/** The client's address with only the first `prefix` bits. */
export function networkOf(client: string, prefix: number): string {
  const bytes = addressBytes(client)
  if (prefix >= bytes.length * 8) return client
  return addressText(
    bytes.map((byte, index) => byte & (0xff00 >> Math.min(8, Math.max(0, prefix - index * 8))) & 0xff),
  )
}

/** Addresses that begin with the same bits. */
export interface Network {
  readonly address: string
  readonly prefix: number
  readonly family: Family
}

/** Reads `10.0.0.0/8`, `2001:db8::/32`, or an address alone; null where it is none of these. */
export function readNetwork(text: string): Network | null {
  const [, host = '', length] = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(text) ?? []
  if (familyOf(host) === null) return null
  const address = canonicalAddress(host)
  const family = familyOf(address) ?? 4
  const longest = family === 4 ? 32 : 128
  const prefix = length === undefined ? longest : Number(length)
  return prefix > longest ? null : { address, prefix, family }
}
