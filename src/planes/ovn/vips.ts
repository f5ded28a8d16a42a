import { addressBytes, canonicalAddress, endpointText, familyOf, type Family } from '../../model/address.ts'
import type { VirtualService } from '../plane.ts'

/** An end of a load balancer's entry. Port 0: that of the connection. */
export interface VipEndpoint {
  /** Canonical. */
  readonly address: string
  readonly port: number
}

/** As OVN writes it: `10.0.0.1:80`, `[2001:db8::1]:80`, and without port the bare address. */
export const vipText = ({ address, port }: VipEndpoint): string =>
  port === 0 ? address : endpointText(address, port)

/** The virtual address of a service, as OVN writes it. */
export const vipOf = ({ address, port }: Pick<VirtualService, 'address' | 'port'>): string =>
  vipText({ address, port: port === 'any' ? 0 : port })

/** A key of `vips` or a backend in its value, as ovn_lb_vip_init reads it; null where OVN would skip it. */
export function parseVip(text: string): VipEndpoint | null {
  const whole = text.trim()
  const parts = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(whole)
  // A bare IPv6 address may look as if it had a port.
  const [address = '', port] =
    familyOf(whole) === null && parts !== null
      ? [parts[1] ?? parts[2], Number(parts[3])]
      : [whole.replace(/^\[(.+)\]$/, '$1'), 0]
  if (familyOf(address) === null || address.includes('%') || port > 65_535) return null
  return { address: canonicalAddress(address), port }
}

/** The backends of a value of `vips`, in order; those that OVN cannot read are left out. */
export const parseBackends = (value: string): readonly VipEndpoint[] =>
  value.split(',').flatMap((text) => (text.trim() === '' ? [] : (parseVip(text) ?? [])))

/** Why OVN could not have this address as a virtual address or a backend; null where it could. */
export function addressProblem(address: string, family: Family): string | null {
  if (familyOf(address) === null || address.includes('%')) return `${address} is not an IP address`
  if (familyOf(address) !== family) return `${address} is not an IPv${family} address`
  const [first = 0, second = 0] = addressBytes(address)
  const text = canonicalAddress(address)
  if (text === '0.0.0.0' || text === '::') return `${address} stands for no address`
  if (family === 4 ? first === 127 : text === '::1') return `${address} is the loopback of whoever uses it`
  if (family === 4 ? first >= 224 : first === 0xff) return `${address} is no address of one host`
  if (family === 6 && first === 0xfe && (second & 0xc0) === 0x80)
    return `${address} is link-local, and OVN routes none`
  return null
}
