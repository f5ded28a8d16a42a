import { createHash, createHmac, timingSafeEqual } from 'node:crypto'

/**
 * The header by which one gateway tells another that it has forwarded a request: `<hops>;<time>;<mac>`.
 *
 * Hops are marks of the nodes passed, with dots between; time is seconds since the epoch; mac is HMAC-SHA-256 over hops,
 * time, method and target, in base64url. Valid for 30 s. Instances never see it.
 */
export const hopField = 'x-torb-hop'

export const maxHops = 8
const validSeconds = 30

/** Bits of a node's mark: a chance meeting of two only keeps a request from being forwarded once more. */
const markLength = 8

/** What stands for a node in the header. */
export function nodeMark(node: string): string {
  return createHash('sha256').update(node).digest('hex').slice(0, markLength)
}

/** @param seconds since the epoch @param request method and target as they are sent */
export function signHop(key: Uint8Array, marks: readonly string[], seconds: number, request: string): string {
  const hops = marks.join('.')
  return `${hops};${seconds};${mac(key, hops, seconds, request).toString('base64url')}`
}

/** @returns marks of the nodes passed, oldest first; null: nobody with this key says so, or not of this request, or not now */
export function readHop(
  key: Uint8Array,
  text: string,
  seconds: number,
  request: string,
): readonly string[] | null {
  const [, hops = '', time = '', sent = ''] = pattern.exec(text) ?? []
  const signedAt = Number(time)
  if (hops === '' || Math.abs(seconds - signedAt) > validSeconds) return null
  const right = mac(key, hops, signedAt, request)
  const given = Buffer.from(sent, 'base64url')
  if (given.length !== right.length || !timingSafeEqual(given, right)) return null
  return hops.split('.')
}

const pattern = new RegExp(
  `^([0-9a-f]{${markLength}}(?:\\.[0-9a-f]{${markLength}}){0,${maxHops - 1}});(\\d{1,12});([A-Za-z0-9_-]{43})$`,
)

function mac(key: Uint8Array, hops: string, seconds: number, request: string): Buffer {
  return createHmac('sha256', key).update(`${hops}\n${seconds}\n${request}`).digest()
}
