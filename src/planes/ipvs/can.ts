import { flagBit, schedulerNames, tunnelTypes } from '../../model/names.ts'
import type { Capabilities } from '../plane.ts'

/** All that IPVS has ever had. What the kernel at hand has is found out when the plane opens (probe.ts). */
export const ipvsCan: Capabilities = {
  name: 'ipvs',
  schedulers: new Set(schedulerNames),
  spread: 'exact',
  checks: new Set(),
  schedulerModules: 'ip_vs_',
  flags: flagBit.hashed | flagBit.onePacket | flagBit.fallback | flagBit.port | flagBit.third,
  forwarding: new Set(['nat', 'dr', 'tunnel']),
  tunnels: new Set(tunnelTypes),
  protocols: new Set(['tcp', 'udp', 'sctp']),
  families: new Set([4, 6]),
  anyPort: true,
  // ip_vs_schedule: "port zero only supported in persistent services".
  anyPortWithoutPersistence: false,
  fwmark: true,
  persistence: true,
  maxConnections: false,
  thresholds: true,
  proxyProtocol: false,
  attach: false,
  counters: true,
  activeConnections: true,
  survivesExit: true,
}
