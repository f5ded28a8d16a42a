import { constants, release } from 'node:os'
import { SystemCallError } from '../../kernel/ffi.ts'
import type { Ipvs, IpvsCommand } from '../../kernel/netlink/ipvsEntries.ts'
import { schedulerNames, type SchedulerName, type TunnelType } from '../../model/names.ts'
import type { Capabilities } from '../plane.ts'
import { ipvsCan } from './can.ts'

const { EAFNOSUPPORT, EINVAL, ENOENT } = constants.errno

/** Mark of the services that try what the kernel can; nobody's packets bear it. "torb" in ASCII. */
const mark = 0x746f7262

/** The kernels that brought each tunnel type; older ones pass over what they do not know (ip_vs.h, IP_VS_CONN_F_TUNNEL_TYPE_*). */
const tunnelsSince: readonly (readonly [TunnelType, major: number, minor: number])[] = [
  ['ipip', 2, 2],
  ['gue', 5, 2],
  ['gre', 5, 3],
]

/**
 * Finds out what this kernel's IPVS can do, without a trace in its table. Modules load by the asking.
 *
 * @throws SystemCallError where no service can be made at all
 */
export function probe(ipvs: Ipvs, kernel = release()): Capabilities {
  const [schedulers, hasIpv6] = workingSchedulers(ipvs)
  const [major = 0, minor = 0] = kernel.split('.').map((part) => Number.parseInt(part, 10))
  const tunnels = tunnelsSince.filter(([, from, after]) => major > from || (major === from && minor >= after))
  return {
    ...ipvsCan,
    schedulers: new Set(schedulers),
    families: new Set(hasIpv6 ? [4, 6] : [4]),
    tunnels: new Set(tunnels.map(([type]) => type)),
  }
}

/**
 * Asks for an IPv6 service of each scheduler with a netmask that no kernel takes: ip_vs_add_service looks the scheduler
 * up first (ENOENT) and then refuses the netmask (EINVAL). A kernel without IPv6 says EAFNOSUPPORT before; there each
 * scheduler gets a service of the mark, which is removed at once.
 */
function workingSchedulers(ipvs: Ipvs): [SchedulerName[], hasIpv6: boolean] {
  const errors = ipvs.execute(schedulerNames.map((scheduler) => add(scheduler, 10, 0)))
  if (errors.some((error) => errnoOf(error) === EAFNOSUPPORT)) {
    const key = { family: 2, fwmark: mark } as const
    const outcomes = ipvs.execute(
      schedulerNames.flatMap((scheduler) => [add(scheduler, 2, 32), { do: 'delete-service', key }]),
    )
    return [schedulerNames.filter((_, index) => works(outcomes[index * 2], 0)), false]
  }
  return [schedulerNames.filter((_, index) => works(errors[index], EINVAL)), true]
}

const add = (scheduler: string, family: 2 | 10, prefix: number): IpvsCommand => ({
  do: 'add-service',
  service: { key: { family, fwmark: mark }, scheduler, flags: 0, timeout: 0, prefix, engine: '' },
})

/** @param expected errno that says that the scheduler is there @throws any other error than a missing scheduler */
function works(error: Error | null | undefined, expected: number): boolean {
  const errno = errnoOf(error)
  if (errno === expected) return true
  if (errno === ENOENT) return false
  throw error ?? new Error('the kernel took a service that it cannot have')
}

/** 0: no error. */
const errnoOf = (error: Error | null | undefined): number =>
  error instanceof SystemCallError ? error.errno : error === null || error === undefined ? 0 : -1
