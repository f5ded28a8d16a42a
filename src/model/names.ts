/** The vocabulary of the API, as data: the types are made from these lists, and so are the messages. */

/** IPVS scheduler names (linux/net/netfilter/ipvs/ip_vs_*.c). */
export const schedulerNames = [
  'rr',
  'wrr',
  'lc',
  'wlc',
  'sed',
  'nq',
  'sh',
  'dh',
  'lblc',
  'lblcr',
  'mh',
  'fo',
  'ovf',
  'twos',
] as const
export type SchedulerName = (typeof schedulerNames)[number]

export const protocolNames = ['tcp', 'udp', 'sctp', 'http'] as const
export type Protocol = (typeof protocolNames)[number]

/** What a service's clients connect by: two services of one address and port meet there. */
export const carrierOf = (protocol: Protocol): Exclude<Protocol, 'http'> =>
  protocol === 'http' ? 'tcp' : protocol

/** Forwarding as in ipvsadm; `ipip` is GORB's other word for `tunnel`. */
export const forwardingNames = ['nat', 'dr', 'tunnel'] as const
export type Forwarding = (typeof forwardingNames)[number]

export const tunnelTypes = ['ipip', 'gue', 'gre'] as const
export type TunnelType = (typeof tunnelTypes)[number]

export const pulseTypes = ['none', 'tcp', 'udp', 'http'] as const
export type PulseType = (typeof pulseTypes)[number]

export const planeNames = ['userspace', 'ipvs', 'ebpf', 'ovn'] as const
export type PlaneName = (typeof planeNames)[number]

/** Bits of the service flags (include/uapi/linux/ip_vs.h). */
export const flagBit = {
  hashed: 0x02,
  onePacket: 0x04,
  /** SCHED1: the sh and mh fallback. */
  fallback: 0x08,
  /** SCHED2: sh and mh hash the port as well. */
  port: 0x10,
  /** SCHED3: free. */
  third: 0x20,
} as const

/** Flag texts of the API and the bits they set. */
export const flagNames = {
  'sh-fallback': flagBit.fallback,
  'sh-port': flagBit.port,
  'mh-fallback': flagBit.fallback,
  'mh-port': flagBit.port,
  'flag-1': flagBit.fallback,
  'flag-2': flagBit.port,
  'flag-3': flagBit.third,
  'one-packet': flagBit.onePacket,
  hashed: flagBit.hashed,
} as const

export const fallbackNames = ['fb-default', 'fb-zero-to-one'] as const

export type ServiceId = string
export type BackendId = string
