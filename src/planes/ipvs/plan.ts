import type { IpvsCommand, IpvsDestination, IpvsService } from '../../kernel/netlink/ipvsEntries.ts'
import type { VirtualService } from '../plane.ts'
import { destinationText, keyText, toDestination, toService } from './entries.ts'

/** One command, and what takes it back. */
export interface Step {
  readonly command: IpvsCommand
  readonly undo: readonly IpvsCommand[]
}

/** What turns one state of a service into another, in the order of doing. */
export interface Plan {
  /** Makes the service. Where it is refused, what follows would fall on a stranger's. */
  readonly appear: Step | null
  readonly settle: readonly Step[]
  /** Backends and services that go: last, so that a change that is refused has harmed no connection. */
  readonly removals: readonly Step[]
}

/** The smallest plan between two states; null is a service that is not there. Ids and configured weights are not the kernel's. */
export function planOf(before: VirtualService | null, after: VirtualService | null): Plan {
  const old = before === null ? null : toService(before)
  const now = after === null ? null : toService(after)
  const held = before === null ? [] : before.destinations.map(toDestination)
  const wanted = after === null ? [] : after.destinations.map(toDestination)
  if (old !== null && now !== null && keyText(old.key) === keyText(now.key)) {
    const { settle, removals } = destinationSteps(now, held, wanted)
    const frame = sameFrame(old, now) ? [] : [setService(old, now)]
    return { appear: null, settle: [...frame, ...settle], removals }
  }
  return {
    appear: now === null ? null : addService(now),
    settle: now === null ? [] : destinationSteps(now, [], wanted).settle,
    removals: old === null ? [] : [deleteService(old, held)],
  }
}

/** The first destination that is there twice, as text: IPVS keeps one for each address and port. */
export function repeated(spec: VirtualService): string | null {
  const seen = new Set<string>()
  for (const destination of spec.destinations) {
    const text = destinationText(toDestination(destination).key)
    if (seen.has(text)) return text
    seen.add(text)
  }
  return null
}

function destinationSteps(
  { key }: IpvsService,
  held: readonly IpvsDestination[],
  wanted: readonly IpvsDestination[],
): { settle: Step[]; removals: Step[] } {
  const rest = new Map(held.map((destination) => [destinationText(destination.key), destination]))
  const settle: Step[] = []
  for (const destination of wanted) {
    const text = destinationText(destination.key)
    const old = rest.get(text)
    rest.delete(text)
    if (old === undefined) {
      settle.push({
        command: { do: 'add-destination', key, destination },
        undo: [{ do: 'delete-destination', key, destination: destination.key }],
      })
    } else if (!sameDestination(old, destination)) {
      settle.push({
        command: { do: 'set-destination', key, destination },
        undo: [{ do: 'set-destination', key, destination: old }],
      })
    }
  }
  const removals = [...rest.values()].map((destination): Step => ({
    command: { do: 'delete-destination', key, destination: destination.key },
    undo: [{ do: 'add-destination', key, destination }],
  }))
  return { settle, removals }
}

const addService = (service: IpvsService): Step => ({
  command: { do: 'add-service', service },
  undo: [{ do: 'delete-service', key: service.key }],
})

const setService = (old: IpvsService, service: IpvsService): Step => ({
  command: { do: 'set-service', service },
  undo: [{ do: 'set-service', service: old }],
})

const deleteService = (service: IpvsService, destinations: readonly IpvsDestination[]): Step => ({
  command: { do: 'delete-service', key: service.key },
  undo: [
    { do: 'add-service', service },
    ...destinations.map((destination): IpvsCommand => ({
      do: 'add-destination',
      key: service.key,
      destination,
    })),
  ],
})

const sameFrame = (a: IpvsService, b: IpvsService): boolean =>
  a.scheduler === b.scheduler && a.flags === b.flags && a.timeout === b.timeout && a.prefix === b.prefix

const sameDestination = (a: IpvsDestination, b: IpvsDestination): boolean =>
  a.forwarding === b.forwarding &&
  a.weight === b.weight &&
  a.upperThreshold === b.upperThreshold &&
  a.lowerThreshold === b.lowerThreshold &&
  a.tunnelType === b.tunnelType &&
  a.tunnelPort === b.tunnelPort
