import { attributes } from './attributes.ts'
import {
  be16,
  be32,
  bytes,
  s32,
  string,
  struct,
  u16,
  u32,
  u64,
  u8,
  type Codec,
  type ValueOf,
} from './codec.ts'
import type {
  AddressFamily,
  IpvsCommand,
  IpvsDaemon,
  IpvsDestination,
  IpvsDestinationKey,
  IpvsDestinationSeen,
  IpvsService,
  IpvsServiceKey,
  IpvsServiceSeen,
  IpvsStatistics,
} from './ipvsEntries.ts'
import { addressOf, addressText } from './addressText.ts'

/** linux/ip_vs.h: IPVS_CMD_*. */
export const ipvsCommand = {
  newService: 1,
  setService: 2,
  deleteService: 3,
  getService: 4,
  newDestination: 5,
  setDestination: 6,
  deleteDestination: 7,
  getDestination: 8,
  newDaemon: 9,
  deleteDaemon: 10,
  getDaemon: 11,
  setConfig: 12,
  getConfig: 13,
  getInfo: 15,
  zero: 16,
  flush: 17,
} as const

/** IPVS_STATS_ATTR_*, once with rates and counts of connections and packets in 32 bits, once all in 64. */
const statisticsOf = (width: typeof u32) =>
  attributes({
    connections: [1, width],
    packetsIn: [2, width],
    packetsOut: [3, width],
    bytesIn: [4, u64],
    bytesOut: [5, u64],
    connectionRate: [6, width],
    packetRateIn: [7, width],
    packetRateOut: [8, width],
    byteRateIn: [9, width],
    byteRateOut: [10, width],
  })
const statistics32 = statisticsOf(u32)
const statistics64 = statisticsOf(u64)

/** union nf_inet_addr: 16 bytes, of which IPv4 uses the first four. */
const address: Codec<Uint8Array> = {
  write: (out, value) => {
    const at = out.extend(16)
    out.bytes.fill(0, at, out.length).set(value, at)
  },
  read: (view, at, length) => bytes.read(view, at, length),
}

/** IPVS_SVC_ATTR_*, in the order in which ipvsadm writes them, as all tables here. */
const serviceAttributes = attributes({
  family: [1, u16],
  protocol: [2, u16],
  address: [3, address],
  port: [4, be16],
  fwmark: [5, u32],
  scheduler: [6, string],
  engine: [11, string],
  flags: [7, struct({ flags: u32, mask: u32 })],
  timeout: [8, u32],
  /** Of IPv4. */
  netmask: [9, be32],
  /** Of IPv6. */
  prefix: [9, u32],
  statistics: [10, statistics32],
  statistics64: [12, statistics64],
})

/** IPVS_DEST_ATTR_* */
const destinationAttributes = attributes({
  family: [11, u16],
  address: [1, address],
  port: [2, be16],
  forwarding: [3, u32],
  weight: [4, s32],
  tunnelType: [13, u8],
  tunnelPort: [14, be16],
  tunnelFlags: [15, u16],
  upperThreshold: [5, u32],
  lowerThreshold: [6, u32],
  activeConnections: [7, u32],
  inactiveConnections: [8, u32],
  persistentConnections: [9, u32],
  statistics: [10, statistics32],
  statistics64: [12, statistics64],
})

/** IPVS_DAEMON_ATTR_* */
const daemonAttributes = attributes({
  state: [1, u32],
  interface: [2, string],
  syncId: [3, u32],
  maxLength: [4, u16],
  port: [7, u16],
  ttl: [8, u8],
  group: [5, bytes],
  group6: [6, bytes],
})

/** IPVS_CMD_ATTR_* */
export const commandAttributes = attributes({
  service: [1, serviceAttributes],
  destination: [2, destinationAttributes],
  daemon: [3, daemonAttributes],
  tcp: [4, u32],
  tcpfin: [5, u32],
  udp: [6, u32],
})
export type CommandValues = ValueOf<typeof commandAttributes>

/** IPVS_INFO_ATTR_* */
export const infoAttributes = attributes({ version: [1, u32], connectionTable: [2, u32] })

const AF_INET = 2
const AF_INET6 = 10
/** IP_VS_SVC_F_HASHED: the kernel's own note; a new service that bears it is never put into the table. */
const hashed = 0x2
const everyBit = 0xffffffff

const numberOf = {
  'add-service': ipvsCommand.newService,
  'set-service': ipvsCommand.setService,
  'delete-service': ipvsCommand.deleteService,
  'add-destination': ipvsCommand.newDestination,
  'set-destination': ipvsCommand.setDestination,
  'delete-destination': ipvsCommand.deleteDestination,
  zero: ipvsCommand.zero,
  'zero-all': ipvsCommand.zero,
  flush: ipvsCommand.flush,
} as const

/** What one command is on the wire. */
export function encodeCommand(command: IpvsCommand): { command: number; values: CommandValues } {
  return { command: numberOf[command.do], values: valuesOf(command) }
}

function valuesOf(command: IpvsCommand): CommandValues {
  if ('service' in command) return { service: serviceValues(command.service) }
  if (!('key' in command)) return {}
  const service = keyValues(command.key)
  if (!('destination' in command)) return { service }
  const destination =
    command.do === 'delete-destination'
      ? destinationKeyValues(command.destination)
      : destinationValues(command.destination)
  return { service, destination }
}

type ServiceValues = ValueOf<typeof serviceAttributes>
type DestinationValues = ValueOf<typeof destinationAttributes>

/** The attributes that name a service. */
export function keyValues(key: IpvsServiceKey): ServiceValues {
  return 'protocol' in key
    ? {
        family: key.family,
        protocol: key.protocol,
        address: key.address,
        port: key.port,
      }
    : { family: key.family, fwmark: key.fwmark }
}

function serviceValues(service: IpvsService): ServiceValues {
  return {
    ...keyValues(service.key),
    scheduler: service.scheduler,
    flags: { flags: service.flags & ~hashed, mask: everyBit },
    timeout: service.timeout,
    ...(service.key.family === AF_INET
      ? { netmask: service.prefix === 0 ? 0 : (everyBit << (32 - service.prefix)) >>> 0 }
      : { prefix: service.prefix }),
    engine: service.engine === '' ? undefined : service.engine,
  }
}

function destinationKeyValues({ family, address, port }: IpvsDestinationKey): DestinationValues {
  return { family, address, port }
}

function destinationValues(destination: IpvsDestination): DestinationValues {
  return {
    ...destinationKeyValues(destination.key),
    forwarding: destination.forwarding,
    weight: destination.weight,
    upperThreshold: destination.upperThreshold,
    lowerThreshold: destination.lowerThreshold,
    tunnelType: destination.tunnelType,
    tunnelPort: destination.tunnelPort,
    tunnelFlags: destination.tunnelFlags,
  }
}

/** What an answer of IPVS says of a service; undefined where it names none. */
export function decodeService({ service }: CommandValues): IpvsServiceSeen | undefined {
  const family = service === undefined ? undefined : familyOf(service.family)
  if (service === undefined || family === undefined) return undefined
  return {
    key: serviceKey(service, family),
    scheduler: service.scheduler ?? '',
    flags: service.flags?.flags ?? 0,
    timeout: service.timeout ?? 0,
    prefix: family === AF_INET ? Math.clz32(~(service.netmask ?? 0)) : (service.prefix ?? 0),
    engine: service.engine ?? '',
    statistics: decodeStatistics(service.statistics64 ?? service.statistics),
  }
}

function serviceKey(service: ServiceValues, family: AddressFamily): IpvsServiceKey {
  if (service.fwmark !== undefined && service.fwmark !== 0) return { family, fwmark: service.fwmark }
  return {
    family,
    fwmark: 0,
    protocol: service.protocol ?? 0,
    address: ofFamily(service.address, family),
    port: service.port ?? 0,
  }
}

/**
 * What an answer of IPVS says of a destination; undefined where it names none.
 *
 * @param serviceFamily that of its service, which is the destination's before Linux 3.18
 */
export function decodeDestination(
  { destination }: CommandValues,
  serviceFamily: AddressFamily,
): IpvsDestinationSeen | undefined {
  if (destination === undefined) return undefined
  const family = familyOf(destination.family) ?? serviceFamily
  return {
    key: { family, address: ofFamily(destination.address, family), port: destination.port ?? 0 },
    forwarding: destination.forwarding ?? 0,
    weight: destination.weight ?? 0,
    upperThreshold: destination.upperThreshold ?? 0,
    lowerThreshold: destination.lowerThreshold ?? 0,
    tunnelType: destination.tunnelType ?? 0,
    tunnelPort: destination.tunnelPort ?? 0,
    tunnelFlags: destination.tunnelFlags ?? 0,
    activeConnections: destination.activeConnections ?? 0,
    inactiveConnections: destination.inactiveConnections ?? 0,
    persistentConnections: destination.persistentConnections ?? 0,
    statistics: decodeStatistics(destination.statistics64 ?? destination.statistics),
  }
}

const daemonState = { master: 1, backup: 2 } as const

/** What starts or, by its state alone, stops a daemon. */
export function encodeDaemon(daemon: Partial<IpvsDaemon> & Pick<IpvsDaemon, 'state'>): CommandValues {
  const group = daemon.group ? addressOf(daemon.group) : undefined
  return {
    daemon: {
      state: daemonState[daemon.state],
      interface: daemon.interface,
      syncId: daemon.syncId,
      // 0 would be refused: the kernel's choice is made by leaving out.
      maxLength: daemon.maxLength || undefined,
      ...(group?.length === 16 ? { group6: group } : { group }),
      port: daemon.port || undefined,
      ttl: daemon.ttl || undefined,
    },
  }
}

/** What an answer of IPVS says of a daemon; undefined where it names none. */
export function decodeDaemon({ daemon }: CommandValues): IpvsDaemon | undefined {
  if (daemon === undefined) return undefined
  const group = daemon.group ?? daemon.group6
  return {
    state: daemon.state === daemonState.backup ? 'backup' : 'master',
    interface: daemon.interface ?? '',
    syncId: daemon.syncId ?? 0,
    maxLength: daemon.maxLength ?? 0,
    group: group === undefined ? '' : addressText(group),
    port: daemon.port ?? 0,
    ttl: daemon.ttl ?? 0,
  }
}

function decodeStatistics(seen: ValueOf<typeof statistics64> = {}): IpvsStatistics {
  return {
    connections: seen.connections ?? 0,
    packetsIn: seen.packetsIn ?? 0,
    packetsOut: seen.packetsOut ?? 0,
    bytesIn: seen.bytesIn ?? 0,
    bytesOut: seen.bytesOut ?? 0,
    connectionRate: seen.connectionRate ?? 0,
    packetRateIn: seen.packetRateIn ?? 0,
    packetRateOut: seen.packetRateOut ?? 0,
    byteRateIn: seen.byteRateIn ?? 0,
    byteRateOut: seen.byteRateOut ?? 0,
  }
}

const familyOf = (number: number | undefined): AddressFamily | undefined =>
  number === AF_INET || number === AF_INET6 ? number : undefined

const ofFamily = (value: Uint8Array | undefined, family: AddressFamily): Uint8Array =>
  (value ?? new Uint8Array(16)).subarray(0, family === AF_INET ? 4 : 16)
