import { constants } from 'node:os'
import { SystemCallError } from '../../kernel/ffi.ts'
import type {
  AddressFamily,
  Ipvs,
  IpvsCommand,
  IpvsDestination,
  IpvsService,
} from '../../kernel/netlink/ipvsEntries.ts'
import type { Family } from '../../model/address.ts'
import { schedulerNames, tunnelTypes, type SchedulerName, type TunnelType } from '../../model/names.ts'
import type { Capabilities } from '../plane.ts'
import { ipvsCan } from './can.ts'

const { EAFNOSUPPORT, ENOENT } = constants.errno

/** Mark of the services that try what the kernel can; nobody's packets bear it. "torb" in ASCII. */
const ownMark = 0x746f7262

/** The discard port of the director itself, at weight 0: gets nothing. */
const nowhere = { family: 2, address: Uint8Array.of(127, 0, 0, 1), port: 9 } as const

/**
 * Finds out what this kernel's IPVS can do, by services of a mark that no packet bears. Modules load by the asking.
 *
 * @throws SystemCallError where no service can be made at all
 */
export function probe(ipvs: Ipvs): Capabilities {
  const mark = freeMark(ipvs)
  const schedulers = workingSchedulers(ipvs, mark)
  const [scheduler] = schedulers
  return {
    ...ipvsCan,
    schedulers: new Set(schedulers),
    families: new Set(scheduler === undefined ? [] : families(ipvs, mark, scheduler)),
    tunnels: new Set(scheduler === undefined ? [] : tunnels(ipvs, mark, scheduler)),
  }
}

/** Removes what a probe that crashed has left, and finds a mark that is not in use. */
function freeMark(ipvs: Ipvs): number {
  const used = new Set<number>()
  for (const { key } of ipvs.services()) {
    if (key.fwmark < ownMark) continue
    const left = key.fwmark === ownMark ? ipvs.destinations(key) : null
    const orphan = left?.every(({ key: { port }, weight }) => port === nowhere.port && weight === 0) === true
    if (orphan) ipvs.execute([{ do: 'delete-service', key }])
    else used.add(key.fwmark)
  }
  let mark = ownMark
  while (used.has(mark)) mark++
  return mark
}

const emptyService = (mark: number, scheduler: string, family: AddressFamily): IpvsService => ({
  key: { family, fwmark: mark },
  scheduler,
  flags: 0,
  timeout: 0,
  prefix: family === 2 ? 32 : 128,
  engine: '',
})

/** Adds a service of each scheduler and removes it again. */
function workingSchedulers(ipvs: Ipvs, mark: number): SchedulerName[] {
  const added = ipvs.execute(
    schedulerNames.flatMap((scheduler) => {
      const service = emptyService(mark, scheduler, 2)
      return [
        { do: 'add-service', service },
        { do: 'delete-service', key: service.key },
      ] satisfies IpvsCommand[]
    }),
  )
  return schedulerNames.filter((_, index) => works(added[index * 2], ENOENT))
}

/** @throws the error where it is another one than that which says that the kernel has no such thing */
function works(error: Error | null | undefined, missing: number): boolean {
  if (error === null || error === undefined) return true
  if (error instanceof SystemCallError && error.errno === missing) return false
  throw error
}

function families(ipvs: Ipvs, mark: number, scheduler: SchedulerName): Family[] {
  const service = emptyService(mark, scheduler, 10)
  const [added] = ipvs.execute([
    { do: 'add-service', service },
    { do: 'delete-service', key: service.key },
  ])
  return works(added, EAFNOSUPPORT) ? [4, 6] : [4]
}

/** Kernels without gue (before 5.2) or gre (before 5.3) pass over the type that they do not know, so it is read back. */
function tunnels(ipvs: Ipvs, mark: number, scheduler: SchedulerName): TunnelType[] {
  const service = emptyService(mark, scheduler, 2)
  const { key } = service
  const destination = (tunnelType: number): IpvsDestination => ({
    key: { ...nowhere, port: nowhere.port },
    forwarding: 2,
    weight: 0,
    upperThreshold: 0,
    lowerThreshold: 0,
    tunnelType,
    tunnelPort: tunnelTypes[tunnelType] === 'gue' ? 6080 : 0,
    tunnelFlags: 0,
  })
  ipvs.execute([
    { do: 'add-service', service },
    { do: 'add-destination', key, destination: destination(0) },
  ])
  const held = tunnelTypes.filter((_, tunnelType) => {
    ipvs.execute([{ do: 'set-destination', key, destination: destination(tunnelType) }])
    return ipvs.destinations(key)[0]?.tunnelType === tunnelType
  })
  ipvs.execute([{ do: 'delete-service', key }])
  return held
}
