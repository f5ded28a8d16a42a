import { addressBytes, addressText, canonicalAddress, familyOf } from '../../model/address.ts'

/** An address in its network, such as a router port's 10.0.0.1/24. */
export interface Subnet {
  /** Canonical; as it was written, host bits included. */
  readonly address: string
  readonly prefix: number
}

/** Reads ADDRESS/PREFIX or ADDRESS/NETMASK; an address alone is a network of one. null where it is neither. */
export function parseSubnet(text: string): Subnet | null {
  const [address = '', length] = text.trim().split('/')
  const family = familyOf(address)
  if (family === null) return null
  const bits = family === 4 ? 32 : 128
  const prefix = length === undefined ? bits : familyOf(length) === family ? onesOf(length) : Number(length)
  if (length === '' || prefix === null || !Number.isInteger(prefix) || prefix < 0 || prefix > bits)
    return null
  return { address: canonicalAddress(address), prefix }
}

/** True where the address lies in the network. */
export function contains(subnet: Subnet, address: string): boolean {
  const network = addressBytes(subnet.address)
  const other = addressBytes(address)
  if (network.length !== other.length) return false
  for (let i = 0, bits = subnet.prefix; bits > 0; i++, bits -= 8) {
    const mask = bits >= 8 ? 0xff : (0xff00 >> bits) & 0xff
    if ((((network[i] ?? 0) ^ (other[i] ?? 0)) & mask) !== 0) return false
  }
  return true
}

/** True where all of `inner` lies in `outer`. */
export const covers = (outer: Subnet, inner: Subnet): boolean =>
  outer.prefix <= inner.prefix && contains(outer, inner.address)

/** NETWORK/PREFIX, without host bits: the same for two that are the same network. */
export function networkText({ address, prefix }: Subnet): string {
  const bytes = addressBytes(address)
  return `${addressText(bytes.map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, prefix - i * 8))) & 0xff))}/${prefix}`
}

/**
 * The addresses a host may have, highest first: the low ones are what people and routers take.
 *
 * Of an IPv6 network only the last 65,535, which is more than anybody looks through.
 */
export function* hosts({ address, prefix }: Subnet): Generator<string> {
  const bytes = addressBytes(address)
  const hostBits = bytes.length * 8 - prefix
  if (hostBits < 2) return
  const network = addressBytes(networkText({ address, prefix }).replace(/\/.*/, ''))
  const variable = Math.min(hostBits, bytes.length === 4 ? 32 : 16)
  // All ones is the broadcast address of IPv4, and an anycast one of IPv6 (RFC 2526).
  for (let host = 2 ** variable - 2; host > 0; host--) {
    const candidate = Uint8Array.from(network)
    let rest = host
    for (let i = bytes.length - 1; rest > 0; i--, rest = Math.floor(rest / 256)) {
      candidate[i] = (candidate[i] ?? 0) | (rest & 0xff)
    }
    yield addressText(candidate)
  }
}

/** Ones at the head of a netmask; null where it is none. */
function onesOf(mask: string): number | null {
  const bits = [...addressBytes(mask)].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  const ones = bits.indexOf('0') < 0 ? bits.length : bits.indexOf('0')
  return bits.includes('1', ones) ? null : ones
}
