import { isIPv4, isIPv6 } from 'node:net'

/**
 * The 4 or 16 bytes of an address.
 *
 * @throws Error where it is none
 */
export function addressOf(text: string): Uint8Array {
  if (isIPv4(text)) return Uint8Array.from(text.split('.'), Number)
  if (!isIPv6(text) || text.includes('%')) throw new Error(`"${text}" is no IPv4 or IPv6 address`)
  // URL writes IPv6 in hexadecimal groups only, with at most one "::".
  const [before = '', after] = new URL(`http://[${text}]`).hostname.slice(1, -1).split('::')
  const head = groupsOf(before)
  const tail = groupsOf(after ?? '')
  const groups = [...head, ...Array<number>(8 - head.length - tail.length).fill(0), ...tail]
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]))
}

const groupsOf = (text: string): number[] =>
  text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16))

/** An address of 4 or 16 bytes as text; IPv6 in its short form (RFC 5952). */
export function addressText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.')
  const groups = Array.from({ length: 8 }, (_, index) =>
    (((bytes[index * 2] ?? 0) << 8) | (bytes[index * 2 + 1] ?? 0)).toString(16),
  )
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1)
}
