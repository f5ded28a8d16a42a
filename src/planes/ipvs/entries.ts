import { addressBytes, addressText, endpointText, type Family } from '../../model/address.ts'
import { carrierOf, flagBit, tunnelTypes, type Forwarding, type SchedulerName } from '../../model/names.ts'
import type {
  AddressFamily,
  IpvsDestination,
  IpvsDestinationKey,
  IpvsService,
  IpvsServiceKey,
} from '../../kernel/netlink/ipvsEntries.ts'
import { endpointKey, type VirtualEndpoint } from '../endpoint.ts'
import type { Destination, VirtualService } from '../plane.ts'

/** A virtual service to and from what IPVS holds of it: numbers, bytes and flags of include/uapi/linux/ip_vs.h. */

/** IP_VS_SVC_F_PERSISTENT; the bits of `flagBit` are the others. */
const persistentFlag = 0x01
const apiFlags = flagBit.onePacket | flagBit.fallback | flagBit.port | flagBit.third

/** IPPROTO_*. */
const protocolNumber = { tcp: 6, udp: 17, sctp: 132 } as const
type Carrier = keyof typeof protocolNumber

/** IP_VS_CONN_F_FWD_MASK. */
const forwardingNumber = { nat: 0, tunnel: 2, dr: 3 } as const satisfies Record<Forwarding, number>
/** IP_VS_CONN_F_LOCALNODE: kernels before 2.6.36 write it over what was asked where the backend is the director itself. */
const localNode = 1

const familyNumber = (family: Family): AddressFamily => (family === 4 ? 2 : 10)
const familyOfNumber = (number: AddressFamily): Family => (number === 2 ? 4 : 6)
const widest = (family: Family): number => (family === 4 ? 32 : 128)

const protocolOf = (number: number): Carrier | undefined =>
  (Object.keys(protocolNumber) as Carrier[]).find((name) => protocolNumber[name] === number)

/** What names this endpoint in the kernel. @param family that of a mark; an address has its own */
export function serviceKey(endpoint: VirtualEndpoint, family: Family): IpvsServiceKey {
  const { fwmark, address, port, protocol } = endpoint
  if (fwmark !== 0) return { family: familyNumber(family), fwmark }
  return {
    family: address.includes(':') ? 10 : 2,
    fwmark: 0,
    protocol: protocolNumber[carrierOf(protocol)],
    address: addressBytes(address),
    port: port === 'any' ? 0 : port,
  }
}

/** The keys that an endpoint may have in the kernel: a mark stands for either family. */
export function serviceKeys(endpoint: VirtualEndpoint): IpvsServiceKey[] {
  const families: readonly Family[] = endpoint.fwmark === 0 ? [4] : [4, 6]
  return families.map((family) => serviceKey(endpoint, family))
}

/** The endpoint that a key names, or null where its protocol is none of ours. */
export function endpointOfKey(key: IpvsServiceKey): VirtualEndpoint | null {
  if (!('protocol' in key)) return { protocol: 'tcp', address: '', port: 0, fwmark: key.fwmark }
  const protocol = protocolOf(key.protocol)
  if (protocol === undefined) return null
  return { protocol, address: addressText(key.address), port: key.port === 0 ? 'any' : key.port, fwmark: 0 }
}

/** One text for one service of the kernel; a mark has one for each family. */
export function keyText(key: IpvsServiceKey): string {
  if (!('protocol' in key)) return `fwmark ${key.fwmark} IPv${familyOfNumber(key.family)}`
  return `${key.protocol} ${endpointText(addressText(key.address), key.port)}`
}

export function toService(spec: VirtualService): IpvsService {
  const { scheduler, flags, persistence, family } = spec
  return {
    key: serviceKey(spec, family),
    scheduler,
    // HASHED is the kernel's own: it says that the service is in the table.
    flags: (flags & apiFlags) | (persistence === null ? 0 : persistentFlag),
    timeout: persistence?.timeout ?? 0,
    prefix: persistence?.prefix ?? widest(family),
    engine: '',
  }
}

export function toDestination(destination: Destination): IpvsDestination {
  const { address, port, weight, forwarding, tunnel, upperThreshold, lowerThreshold } = destination
  const bytes = addressBytes(address)
  return {
    key: { family: bytes.length === 4 ? 2 : 10, address: bytes, port },
    forwarding: forwardingNumber[forwarding],
    weight,
    upperThreshold,
    lowerThreshold,
    tunnelType: tunnel === null ? 0 : tunnelTypes.indexOf(tunnel.type),
    tunnelPort: tunnel?.port ?? 0,
    tunnelFlags: 0,
  }
}

export const destinationText = (key: IpvsDestinationKey): string =>
  endpointText(addressText(key.address), key.port)

/**
 * The service as the kernel holds it.
 *
 * @param destinations in the kernel's order, newest first
 * @param known how it was last applied: of it come what a kernel does not keep (ids, list order, configured weights)
 */
export function fromEntries(
  service: IpvsService,
  destinations: readonly IpvsDestination[],
  known: VirtualService | null,
): VirtualService {
  const family = familyOfNumber(service.key.family)
  const endpoint = endpointOfKey(service.key) ?? { protocol: 'tcp', address: '', port: 0, fwmark: 0 }
  return {
    id: known?.id ?? endpointKey(endpoint),
    ...endpoint,
    ...(known === null || endpoint.fwmark === 0 ? {} : { protocol: known.protocol }),
    family,
    // One that the model does not know (made by ipvsadm) is shown as it is: it differs from whatever was asked.
    scheduler: service.scheduler as SchedulerName,
    flags: (service.flags & apiFlags) | ((known?.flags ?? 0) & flagBit.hashed),
    persistence:
      (service.flags & persistentFlag) === 0 ? null : { timeout: service.timeout, prefix: service.prefix },
    proxyProtocol: false,
    attach: known?.attach ?? null,
    ovn: null,
    destinations: inOrder(destinations, known?.destinations ?? []),
  }
}

/** Those known in their order with their ids, then the others in the order in which they were created. */
function inOrder(found: readonly IpvsDestination[], known: readonly Destination[]): Destination[] {
  const byEndpoint = new Map(
    found.toReversed().map((destination) => [destinationText(destination.key), destination]),
  )
  const list: Destination[] = []
  for (const destination of known) {
    const endpoint = endpointText(destination.address, destination.port)
    const seen = byEndpoint.get(endpoint)
    if (seen === undefined) continue
    byEndpoint.delete(endpoint)
    list.push(fromDestination(seen, destination))
  }
  for (const seen of byEndpoint.values()) list.push(fromDestination(seen, null))
  return list
}

function fromDestination(seen: IpvsDestination, known: Destination | null): Destination {
  const address = addressText(seen.key.address)
  const forwarding = forwardingOf(seen.forwarding, known)
  const type = tunnelTypes[seen.tunnelType] ?? 'ipip'
  return {
    id: known?.id ?? endpointText(address, seen.key.port),
    address,
    port: seen.key.port,
    weight: seen.weight,
    maxWeight: known?.maxWeight ?? seen.weight,
    forwarding,
    tunnel: forwarding === 'tunnel' ? { type, port: seen.tunnelPort } : null,
    maxConnections: known?.maxConnections ?? 0,
    check: known?.check ?? null,
    upperThreshold: seen.upperThreshold,
    lowerThreshold: seen.lowerThreshold,
  }
}

function forwardingOf(number: number, known: Destination | null): Forwarding {
  if (number === localNode) return known?.forwarding ?? 'nat'
  const names = Object.keys(forwardingNumber) as Forwarding[]
  return names.find((name) => forwardingNumber[name] === number) ?? 'nat'
}
