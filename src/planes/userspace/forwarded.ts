import { canonicalAddress, familyOf } from '../../model/address.ts'

/** What a trusted proxy tells of a request. */
export interface Forwarded {
  /** The nearest address that is no trusted proxy: who asks. */
  readonly client: string
  /** X-Forwarded-For as it came, the oldest addresses left out where it is too long; '' where there is none. */
  readonly chain: string
  /** null: not told. */
  readonly proto: string | null
  readonly host: string | null
}

/** Bytes of X-Forwarded-For that are passed on at most. */
export const chainLimit = 256
/** A longer Host is not repeated in X-Forwarded-Host. */
export const hostLimit = 512

const field = /^x-forwarded-(for|host|proto):(.*)$/gim
const scheme = /^[a-z][a-z0-9+.-]{0,15}$/i
/** Some proxies add the client's port. */
const withPort = /^(?:\[([^\]]+)\]|([\d.]+))(?::\d{1,5})?$/

/**
 * Reads the fields of a head that came from a trusted proxy. Each proxy adds at the end: what stands last is told by the
 * nearest one, and what stands before the first address that is not trusted may be made up.
 *
 * @param head the lines of the fields
 */
export function readForwarded(
  head: string,
  peer: string,
  isTrusted: (address: string) => boolean,
): Forwarded {
  const told = { for: [] as string[], host: [] as string[], proto: [] as string[] }
  for (const [, name = '', value = ''] of head.matchAll(field)) {
    // Several lines are one list (RFC 9110, 5.3).
    const entries = value.split(',').map((entry) => entry.trim())
    told[name.toLowerCase() as keyof typeof told].push(...entries.filter((entry) => entry !== ''))
  }
  const chain = newest(told.for)
  const [proto = '', host = ''] = [told.proto.at(-1), told.host.at(-1)]
  return {
    client: clientOf(chain, peer, isTrusted),
    chain: chain.join(', '),
    proto: scheme.test(proto) ? proto : null,
    host: host !== '' && host.length <= hostLimit ? host : null,
  }
}

/** The entries at the end that fit into the limit together. */
function newest(entries: readonly string[]): readonly string[] {
  let length = 0
  const from = entries.findLastIndex((entry) => (length += entry.length + 2) > chainLimit)
  return entries.slice(from + 1)
}

function clientOf(chain: readonly string[], peer: string, isTrusted: (address: string) => boolean): string {
  let client = peer
  for (const entry of chain.toReversed()) {
    const [, bracketed, plain] = withPort.exec(entry) ?? []
    const address = bracketed ?? plain ?? entry
    if (familyOf(address) === null) return client
    client = canonicalAddress(address)
    if (!isTrusted(client)) return client
  }
  return client
}
