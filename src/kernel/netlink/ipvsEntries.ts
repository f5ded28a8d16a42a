/** The kernel's IPVS table as values. Numbers and bits are those of include/uapi/linux/ip_vs.h; addresses are 4 or 16 bytes. */

/** AF_INET or AF_INET6. */
export type AddressFamily = 2 | 10

/** What names a service: a mark, or protocol, address and port. */
export type IpvsServiceKey =
  | { readonly family: AddressFamily; readonly fwmark: number }
  | {
      readonly family: AddressFamily
      readonly fwmark: 0
      /** IPPROTO_TCP, IPPROTO_UDP or IPPROTO_SCTP. */
      readonly protocol: number
      readonly address: Uint8Array
      readonly port: number
    }

export interface IpvsService {
  readonly key: IpvsServiceKey
  readonly scheduler: string
  /** IP_VS_SVC_F_*; IP_VS_SVC_F_PERSISTENT and IP_VS_SVC_F_HASHED among them. */
  readonly flags: number
  /** Seconds of persistence. */
  readonly timeout: number
  /** Prefix length of the clients that persistence holds together. */
  readonly prefix: number
  /** Name of a persistence engine, such as "sip"; '' without. */
  readonly engine: string
}

export interface IpvsDestinationKey {
  readonly family: AddressFamily
  readonly address: Uint8Array
  readonly port: number
}

export interface IpvsDestination {
  readonly key: IpvsDestinationKey
  /** IP_VS_CONN_F_FWD_MASK: 0 masquerading (nat), 1 local node, 2 tunnel, 3 direct route. */
  readonly forwarding: number
  readonly weight: number
  readonly upperThreshold: number
  readonly lowerThreshold: number
  /** IP_VS_CONN_F_TUNNEL_TYPE_*: 0 ipip, 1 gue, 2 gre. */
  readonly tunnelType: number
  readonly tunnelPort: number
  readonly tunnelFlags: number
}

/** struct ip_vs_kstats: totals, and rates per second. In: from the client. */
export interface IpvsStatistics {
  readonly connections: number
  readonly packetsIn: number
  readonly packetsOut: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly connectionRate: number
  readonly packetRateIn: number
  readonly packetRateOut: number
  readonly byteRateIn: number
  readonly byteRateOut: number
}

/** Of an entry that has had no traffic. */
export const noStatistics: IpvsStatistics = {
  connections: 0,
  packetsIn: 0,
  packetsOut: 0,
  bytesIn: 0,
  bytesOut: 0,
  connectionRate: 0,
  packetRateIn: 0,
  packetRateOut: 0,
  byteRateIn: 0,
  byteRateOut: 0,
}

export type IpvsServiceSeen = IpvsService & { readonly statistics: IpvsStatistics }
export type IpvsDestinationSeen = IpvsDestination & {
  readonly activeConnections: number
  readonly inactiveConnections: number
  readonly persistentConnections: number
  readonly statistics: IpvsStatistics
}

/** Seconds; of `setTimeouts` what is absent stays. */
export interface IpvsTimeouts {
  readonly tcp: number
  readonly tcpfin: number
  readonly udp: number
}

/** A connection-sync daemon (ipvsadm --start-daemon). */
export interface IpvsDaemon {
  readonly state: 'master' | 'backup'
  readonly interface: string
  /** 0 to 255; a backup with 0 takes from every master. */
  readonly syncId: number
  /** Bytes of a datagram; 0: the kernel's choice. */
  readonly maxLength: number
  /** Multicast group as text; '': the kernel's 224.0.0.81. */
  readonly group: string
  /** 0: the kernel's 8848. */
  readonly port: number
  /** 0: the kernel's 1. */
  readonly ttl: number
}

/** One change of the table: one netlink message. */
export type IpvsCommand =
  | { readonly do: 'add-service' | 'set-service'; readonly service: IpvsService }
  | { readonly do: 'delete-service' | 'zero'; readonly key: IpvsServiceKey }
  | {
      readonly do: 'add-destination' | 'set-destination'
      readonly key: IpvsServiceKey
      readonly destination: IpvsDestination
    }
  | {
      readonly do: 'delete-destination'
      readonly key: IpvsServiceKey
      readonly destination: IpvsDestinationKey
    }
  | { readonly do: 'flush' | 'zero-all' }

/**
 * The kernel's IPVS of one network namespace. src/kernel/netlink/ipvs.ts has the real one; a test may put another before it.
 *
 * Each call throws a SystemCallError where the kernel refuses (ESRCH: no such service) or cannot be asked.
 */
export interface Ipvs {
  /** Kernel's IPVS version as 1.2.1, and the size of its connection table. */
  info(): { readonly version: string; readonly connectionTable: number }
  services(): IpvsServiceSeen[]
  /** undefined where the kernel has none. */
  service(key: IpvsServiceKey): IpvsServiceSeen | undefined
  destinations(key: IpvsServiceKey): IpvsDestinationSeen[]
  /**
   * Sends the commands in order, as many in one system call as fit, and gives for each null or why the kernel refused it.
   * A refused command does not keep those after it from being done.
   */
  execute(commands: readonly IpvsCommand[]): (Error | null)[]
  timeouts(): IpvsTimeouts
  setTimeouts(timeouts: Partial<IpvsTimeouts>): void
  daemons(): IpvsDaemon[]
  startDaemon(daemon: IpvsDaemon): void
  stopDaemon(state: 'master' | 'backup'): void
  close(): void
}
