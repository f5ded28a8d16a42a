import type {
  IpvsDestinationSeen,
  IpvsServiceSeen,
  IpvsStatistics,
} from '../../kernel/netlink/ipvsEntries.ts'
import type { Protocol } from '../../model/names.ts'
import type { ServiceCounters, TrafficCounters, VirtualService } from '../plane.ts'
import { fromEntries, destinationText } from './entries.ts'
import { endpointText } from '../../model/address.ts'

/** The kernel's statistics of one service. IPVS does not see what fails at a backend: `errors` is 0. */
export function toCounters(
  seen: IpvsServiceSeen,
  destinations: readonly IpvsDestinationSeen[],
  known: VirtualService | null,
): ServiceCounters {
  const spec = fromEntries(seen, destinations, known)
  const byEndpoint = new Map(
    destinations.map((destination) => [destinationText(destination.key), destination]),
  )
  const parts = new Map<string, TrafficCounters>()
  let active = 0
  let inactive = 0
  for (const { id, address, port } of spec.destinations) {
    const destination = byEndpoint.get(endpointText(address, port))
    if (destination === undefined) continue
    const part = { ...traffic(destination.statistics), ...connections(destination, spec.protocol) }
    active += part.active
    inactive += part.inactive
    parts.set(id, part)
  }
  return { ...traffic(seen.statistics), active, inactive, destinations: parts }
}

/** IPVS calls every UDP flow inactive; here those within the time-out are the open ones. */
function connections(
  { activeConnections, inactiveConnections }: IpvsDestinationSeen,
  protocol: Protocol,
): { active: number; inactive: number } {
  return protocol === 'udp'
    ? { active: activeConnections + inactiveConnections, inactive: 0 }
    : { active: activeConnections, inactive: inactiveConnections }
}

function traffic(statistics: IpvsStatistics): TrafficCounters {
  const { connections, packetsIn, packetsOut, bytesIn, bytesOut } = statistics
  return {
    connections,
    packetsIn,
    packetsOut,
    bytesIn,
    bytesOut,
    active: 0,
    inactive: 0,
    errors: 0,
    rates: {
      connections: statistics.connectionRate,
      packetsIn: statistics.packetRateIn,
      packetsOut: statistics.packetRateOut,
      bytesIn: statistics.byteRateIn,
      bytesOut: statistics.byteRateOut,
    },
  }
}
