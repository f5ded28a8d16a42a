import { constants } from 'node:os'
import { getSystemErrorName } from 'node:util'
import { SystemCallError } from '../../kernel/ffi.ts'
import type { IpvsCommand, IpvsDestination, IpvsServiceKey } from '../../kernel/netlink/ipvsEntries.ts'
import { addressText, endpointText } from '../../model/address.ts'
import type { ServiceId } from '../../model/names.ts'
import { Refusal } from '../../model/refusal.ts'
import { endpointKey } from '../endpoint.ts'
import type { VirtualService } from '../plane.ts'
import type { Refused } from './carryOut.ts'
import { destinationText, endpointOfKey } from './entries.ts'

const {
  EACCES,
  EAFNOSUPPORT,
  EEXIST,
  EINVAL,
  EMSGSIZE,
  ENOBUFS,
  ENODEV,
  ENOENT,
  ENOMEM,
  ENOPROTOOPT,
  EOPNOTSUPP,
  EPERM,
  EPROTONOSUPPORT,
  ERANGE,
  ESRCH,
} = constants.errno

const privilege =
  'Torb lacks CAP_NET_ADMIN; run it as root, or give it that capability (AmbientCapabilities=CAP_NET_ADMIN in its unit)'
const memory = 'the kernel has no memory left for it; free some, or lower the number of services'
const noIpv6 =
  'IPVS of this kernel has no IPv6 (CONFIG_IP_VS_IPV6, or IPv6 is disabled); enable it, or use IPv4'

/** Causes that do not depend on what was asked. net/netfilter/ipvs/ip_vs_ctl.c and net/netlink/genetlink.c. */
const always: ReadonlyMap<number, string> = new Map([
  [EPERM, privilege],
  [EACCES, privilege],
  [ENOMEM, memory],
  [ENOBUFS, memory],
  [EAFNOSUPPORT, noIpv6],
  [ENOPROTOOPT, 'the module ip_vs is being unloaded; load it again ("modprobe ip_vs")'],
  [EOPNOTSUPP, 'IPVS of this kernel does not know that command; take a newer kernel'],
  [EMSGSIZE, 'the kernel could not fit its answer; this is a fault of Torb, please report it'],
])

export const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)))

/** A failed system call as `EPERM`, or the message of another error. */
export const errorName = (error: Error): string =>
  error instanceof SystemCallError ? getSystemErrorName(-error.errno) : error.message

/** Why the kernel refused a command, and what helps. */
export function causeOf(command: IpvsCommand, error: Error): string {
  if (!(error instanceof SystemCallError)) return error.message
  return always.get(error.errno) ?? specific(command, error.errno) ?? error.message
}

function specific(command: IpvsCommand, errno: number): string | null {
  switch (command.do) {
    case 'add-service':
    case 'set-service': {
      const { key, scheduler, engine } = command.service
      if (errno === EEXIST)
        return `somebody else's service is there; remove it (\`ipvsadm -D ${selector(key)}\`), or start Torb with --adopt`
      if (errno === ENOENT)
        return engine === ''
          ? `this kernel has no scheduler ${scheduler}; load it ("modprobe ip_vs_${scheduler}"), or choose another`
          : `this kernel has no persistence engine ${engine}; load it ("modprobe ip_vs_pe_${engine}")`
      if (errno === EINVAL)
        return 'the netmask of its persistence is out of range; give 1 to 32, or 1 to 128 with IPv6'
      break
    }
    case 'add-destination':
    case 'set-destination': {
      const { key, destination } = command
      if (errno === EEXIST)
        return `somebody else added this backend; remove it (\`ipvsadm -d ${selector(key)} -r ${destinationText(destination.key)}\`)`
      if (errno === ENOENT)
        return 'somebody removed this backend from the kernel; Torb sees that at its next look and puts it back'
      if (errno === ERANGE)
        return 'its weight is negative or its lower threshold is above the upper one; give 0 or more, and lower below upper'
      if (errno === EINVAL) return invalidDestination(key, destination)
      break
    }
    case 'delete-service':
    case 'delete-destination':
    case 'zero':
    case 'flush':
    case 'zero-all':
  }
  if (errno === ESRCH)
    return 'somebody removed the service from the kernel; Torb sees that at its next look and puts it back'
  return null
}

/** EINVAL has many causes: the first that fits what was asked. */
function invalidDestination(key: IpvsServiceKey, destination: IpvsDestination): string {
  if (key.family !== destination.key.family) {
    return destination.forwarding === 2
      ? 'a tunnel between IPv4 and IPv6 cannot be while a connection-sync daemon runs; stop it ("ipvsadm --stop-daemon master")'
      : 'the families of service and backend differ, and only tunnels lead from one to the other; use "method": "tunnel", or one family'
  }
  if (destination.tunnelType === 1 && destination.tunnelPort === 0)
    return 'a tunnel of type gue needs a port; give tunnel.port'
  if (destination.upperThreshold > 0x7fffffff)
    return 'this kernel takes thresholds up to 2147483647; give a lower upper_threshold'
  return `${addressText(destination.key.address)} is no address of one host (broadcast, multicast or link-local); give a unicast address`
}

/** The service as ipvsadm's arguments. */
function selector(key: IpvsServiceKey): string {
  if (!('protocol' in key)) return `-f ${key.fwmark}${key.family === 10 ? ' -6' : ''}`
  const letter = key.protocol === 17 ? '-u' : key.protocol === 132 ? '--sctp-service' : '-t'
  return `${letter} ${destinationText({ family: key.family, address: key.address, port: key.port })}`
}

/** What a refused command means for the change that it was part of. @param spec the service, where its backends' ids are known */
export function changeRefused(
  spec: VirtualService | null,
  id: ServiceId,
  { command, error, undoing }: Refused,
): Refusal {
  const text =
    `service ${id}: IPVS refused to ${commandText(command, spec)} (${errorName(error)}): ${causeOf(command, error)}` +
    (undoing === null
      ? ''
      : `; what had been done before could not be taken back (${errorName(undoing)}), so Torb goes on from what the kernel holds`)
  return new Refusal('refused', text, { cause: error })
}

function commandText(command: IpvsCommand, spec: VirtualService | null): string {
  const [verb = ''] = command.do.split('-')
  switch (command.do) {
    case 'add-service':
    case 'set-service':
      return `${verbs[verb]} ${placeText(command.service.key)}`
    case 'delete-service':
    case 'zero':
      return `${verbs[verb]} ${placeText(command.key)}`
    case 'add-destination':
    case 'set-destination':
      return `${verbs[verb]} ${backendText(destinationText(command.destination.key), spec)}`
    case 'delete-destination':
      return `${verbs[verb]} ${backendText(destinationText(command.destination), spec)}`
    case 'flush':
    case 'zero-all':
    default:
      return `${verbs[verb]} all services`
  }
}

const verbs: Readonly<Record<string, string>> = {
  add: 'add',
  set: 'change',
  delete: 'remove',
  zero: 'zero the counters of',
  flush: 'remove',
}

function placeText(key: IpvsServiceKey): string {
  const endpoint = endpointOfKey(key)
  return endpoint === null ? 'a service of an unknown protocol' : endpointKey(endpoint)
}

function backendText(endpoint: string, spec: VirtualService | null): string {
  const known = spec?.destinations.find(({ address, port }) => endpointText(address, port) === endpoint)
  return known === undefined ? `backend ${endpoint}` : `backend ${known.id} (${endpoint})`
}

/** Why IPVS cannot be used here, and what helps. */
export function unusable(error: Error): string {
  const errno = error instanceof SystemCallError ? error.errno : 0
  const reasons: ReadonlyMap<number, string> = new Map([
    [
      ENOENT,
      'this kernel has no IPVS; load it ("modprobe ip_vs"), or take a kernel with CONFIG_IP_VS (in a container: load it on the host)',
    ],
    [EPERM, privilege],
    [EACCES, privilege],
    [EPROTONOSUPPORT, 'this kernel has no generic netlink; take one that has, or choose the plane userspace'],
    [EAFNOSUPPORT, 'this kernel or sandbox has no netlink; take one that has, or choose the plane userspace'],
  ])
  return `IPVS cannot be used (${errorName(error)}): ${reasons.get(errno) ?? error.message}`
}

/** Why a connection-sync daemon does not start, and what helps. net/netfilter/ipvs/ip_vs_sync.c. */
export function daemonRefused(state: 'master' | 'backup', device: string, error: Error): Refusal {
  const errno = error instanceof SystemCallError ? error.errno : 0
  const reasons: ReadonlyMap<number, string> = new Map([
    [EEXIST, `one runs already; stop it ("ipvsadm --stop-daemon ${state}")`],
    [ENODEV, `there is no interface ${device}, or it is down or has no address; name another, or set it up`],
    [
      EINVAL,
      'its group is no multicast address, its length does not fit the interface, or a service has backends of another family; correct that',
    ],
  ])
  const cause = reasons.get(errno) ?? always.get(errno) ?? error.message
  return new Refusal(
    'refused',
    `the connection-sync ${state} on ${device} cannot be started (${errorName(error)}): ${cause}`,
    { cause: error },
  )
}
