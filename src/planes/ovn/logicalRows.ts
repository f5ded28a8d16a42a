import { canonicalAddress, familyOf } from '../../model/address.ts'
import { parseSubnet, type Subnet } from './subnet.ts'
import type { NorthboundRow } from './tables.ts'
import { parseVip } from './vips.ts'

export type SwitchRow = NorthboundRow<'Logical_Switch'>
export type RouterRow = NorthboundRow<'Logical_Router'>
export type SwitchPortRow = NorthboundRow<'Logical_Switch_Port'>
export type RouterPortRow = NorthboundRow<'Logical_Router_Port'>
export type BalancerRow = NorthboundRow<'Load_Balancer'>
export type GroupRow = NorthboundRow<'Load_Balancer_Group'>
export type NatRow = NorthboundRow<'NAT'>
export type RouteRow = NorthboundRow<'Logical_Router_Static_Route'>

/** What a switch port's `addresses` say, dynamic ones included. */
export interface PortAddresses {
  /** Canonical. */
  readonly addresses: readonly string[]
  /** First one; null where there is none. */
  readonly mac: string | null
  /** It takes packets to any address that no other port has. */
  readonly unknown: boolean
}

const readNetworks = new WeakMap<RouterPortRow, readonly Subnet[]>()

/** Networks of a router's port, with its address in each. */
export function networksOf(row: RouterPortRow): readonly Subnet[] {
  const known = readNetworks.get(row)
  if (known !== undefined) return known
  const read = texts(row.networks).flatMap((text) => parseSubnet(text) ?? [])
  readNetworks.set(row, read)
  return read
}

/** Networks that a switch gives addresses of by itself (other_config:subnet and ipv6_prefix). */
export function ownSubnets({ other_config: config }: SwitchRow): readonly Subnet[] {
  const prefix = config.get('ipv6_prefix')
  const texts = [config.get('subnet'), prefix === undefined ? undefined : `${prefix.replace(/\/.*/, '')}/64`]
  return texts.flatMap((text) => (text === undefined ? [] : (parseSubnet(text) ?? [])))
}

const readAddresses = new WeakMap<SwitchPortRow, PortAddresses>()

/** Addresses of a switch port, as ovn-nb(5) has the column; of a port towards a router none. */
export function portAddresses(row: SwitchPortRow): PortAddresses {
  const known = readAddresses.get(row)
  if (known !== undefined) return known
  const entries = texts(row.addresses)
  const dynamic = entries.some((entry) => /\bdynamic\b/.test(entry)) ? (row.dynamic_addresses ?? '') : ''
  const virtual = row.type === 'virtual' ? (row.options.get('virtual-ip') ?? '') : ''
  const tokens = [...entries, String(dynamic), virtual].flatMap((text) => text.split(/[\s,]+/))
  const addresses = tokens.filter((token) => familyOf(token) !== null).map(canonicalAddress)
  const read = {
    addresses: [...new Set(addresses)],
    mac: tokens.find((token) => /^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(token)) ?? null,
    unknown: entries.includes('unknown'),
  }
  readAddresses.set(row, read)
  return read
}

/** Addresses of a load balancer's virtual services, canonical; of a template the key as it stands. */
export const vipAddresses = ({ vips }: BalancerRow): readonly string[] => [
  ...new Set([...vips.keys()].map((key) => parseVip(key)?.address ?? key)),
]

/** Addresses that checks of a load balancer's backends come from (ip_port_mappings: PORT:ADDRESS). */
export const checkSources = ({ ip_port_mappings: mappings }: BalancerRow): readonly string[] =>
  [...(mappings?.values() ?? [])].flatMap((text) => canonical(/:\[?([^\]]*)\]?$/.exec(text)?.[1] ?? ''))

/** The canonical text of an address as a list of one; empty where it is none. */
export const canonical = (text: string): readonly string[] =>
  familyOf(text) === null ? [] : [canonicalAddress(text)]

/** Name of the router's port that a switch port leads to; null where it leads to none. */
export const routerPortName = ({ type, options }: SwitchPortRow): string | null =>
  type === 'router' ? (options.get('router-port') ?? null) : null

/** True for a port that a machine stands behind; not for those to routers and other networks. */
export const isEndpoint = ({ type }: SwitchPortRow): boolean => ['', 'virtual', 'external'].includes(type)

/** The elements of a set of texts or uuids. */
export const texts = (atoms: readonly unknown[]): readonly string[] => atoms as readonly string[]
