import { flagBit, schedulerNames } from '../../model/names.ts'
import type { Capabilities } from '../plane.ts'

export const userspaceCan: Capabilities = {
  name: 'userspace',
  schedulers: new Set(schedulerNames),
  spread: 'exact',
  checks: new Set(),
  flags: flagBit.hashed | flagBit.onePacket | flagBit.fallback | flagBit.port | flagBit.third,
  forwarding: new Set(['nat']),
  tunnels: new Set(),
  protocols: new Set(['tcp', 'udp', 'http']),
  families: new Set([4, 6]),
  anyPort: false,
  anyPortWithoutPersistence: false,
  fwmark: false,
  persistence: true,
  maxConnections: true,
  thresholds: true,
  proxyProtocol: true,
  attach: false,
  counters: true,
  activeConnections: true,
  survivesExit: false,
}
