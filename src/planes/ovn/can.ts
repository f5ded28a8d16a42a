import { flagBit } from '../../model/names.ts'
import type { Capabilities } from '../plane.ts'

/** What OVN has of a balancer, with what Torb adds. What depends on the server is asked for by `refuses`. */
export const ovnCan: Capabilities = {
  name: 'ovn',
  schedulers: new Set(['rr', 'wrr', 'sh', 'dh', 'mh']),
  spread: 'hash',
  checks: new Set(['tcp', 'udp']),
  // The fallback is how its tables are made: only the clients of a backend at weight 0 move.
  flags: flagBit.fallback | flagBit.port,
  forwarding: new Set(['nat']),
  tunnels: new Set(),
  protocols: new Set(['tcp', 'udp', 'sctp']),
  families: new Set([4, 6]),
  anyPort: true,
  anyPortWithoutPersistence: true,
  fwmark: false,
  persistence: true,
  maxConnections: false,
  thresholds: false,
  proxyProtocol: false,
  attach: true,
  counters: false,
  activeConnections: false,
  survivesExit: true,
}
