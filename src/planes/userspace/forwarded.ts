import { canonicalAddress, familyOf } from '../../model/address.ts'

/** In which proxies tell of whom they speak for. */
export const forwardedFields = ['x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto'] as const

/** Their values, those of several lines of a field with commas between (RFC 9110, 5.3); '' where there is none. */
export type ForwardedValues = readonly [chain: string, host: string, proto: string]

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

const scheme = /^[a-z][a-z0-9+.-]{0,15}$/i
/** Some proxies add the client's port. */
const withPort = /^(?:\[([^\]]+)\]|([\d.]+))(?::\d{1,5})?$/

/**
 * Reads the fields of a request that came from a trusted proxy. Each proxy adds at the end: what stands last is told by the
 * nearest one, and what stands before the first address that is not trusted may be made up.
 */
export function readForwarded(
  values: ForwardedValues,
  peer: string,
  isTrusted: (address: string) => boolean,
): Forwarded {
  const [addresses, hosts, protos] = values.map(entriesOf) as [string[], string[], string[]]
  const chain = newest(addresses)
  const [proto = '', host = ''] = [protos.at(-1), hosts.at(-1)]
  return {
    client: clientOf(chain, peer, isTrusted),
    chain: chain.join(', '),
    proto: scheme.test(proto) ? proto : null,
    host: host !== '' && host.length <= hostLimit ? host : null,
  }
}

const entriesOf = (value: string): readonly string[] =>
  value
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')

/** The entries at the end that fit into the limit together. */
function newest(entries: readonly string[]): readonly string[] {
  let length = 0
  const from = entries.findLastIndex((entry) => (length += entry.length + 2) > chainLimit)
  return entries.slice(from + 1)
}

function clientOf(chain: readonly string[], peer: string, isTrusted: (address: string) => boolean): string {
  let client = peer
  for (const entry of chain.toReversed()) {
    const address = addressOf(entry)
    if (address === null) return client
    client = address
    if (!isTrusted(client)) return client
  }
  return client
}

/** In its shortest form; null where it is none. */
function addressOf(entry: string): string | null {
  // There is one way only to write these (RFC 6943, 3.1.1).
  if (familyOf(entry) === 4) return entry
  const [, bracketed, plain] = withPort.exec(entry) ?? []
  const address = bracketed ?? plain ?? entry
  return familyOf(address) === null ? null : canonicalAddress(address)
}
