import { isDeepStrictEqual } from 'node:util'
import { flagBit, type PlaneName, type ServiceId } from '../model/names.ts'
import { defaultPulse, type PulseOptions } from '../model/pulse.ts'
import { Refusal } from '../model/refusal.ts'
import { endpointKey } from '../planes/endpoint.ts'
import type { Destination, DestinationCheck, Plane, VirtualService } from '../planes/plane.ts'
import { initialHealth } from '../pulse/health.ts'
import { effective } from './effective.ts'
import { identified } from './identify.ts'
import { meet } from './places.ts'
import type { BackendRecord, ServiceRecord } from './records.ts'

/** A new service and what its plane has in its place already; null: the place is free. */
export interface Claim {
  readonly record: ServiceRecord
  readonly found: VirtualService | null
  /** `found` is somebody else's, and not what bears the mark of this Torb. */
  readonly foreign: boolean
}

/** How an entry of somebody else is removed. */
const removals: Partial<Record<PlaneName, string>> = { ipvs: 'ipvsadm -D', ovn: 'ovn-nbctl lb-del' }

/**
 * Looks what stands at the endpoints of new services before anything of them is stored.
 *
 * An equal entry is taken over where the operator allows it; any other stands in the way.
 */
export class Adoption {
  readonly #planes: ReadonlyMap<PlaneName, Plane>
  readonly #adopt: boolean

  constructor(planes: ReadonlyMap<PlaneName, Plane>, adopt: boolean) {
    this.#planes = planes
    this.#adopt = adopt
  }

  /** One claim or refusal for each service that is to be created on this plane, in order. */
  async claim(name: PlaneName, records: readonly ServiceRecord[]): Promise<(Claim | Refusal)[]> {
    const plane = this.#planes.get(name)
    if (plane?.foreign === undefined) return records.map(free)
    const wishes = records.map((record) => effective(record, newcomer, null, plane.can.checks))
    let foreign: readonly VirtualService[]
    const marked = new Map<ServiceId, VirtualService>()
    try {
      foreign = await plane.foreign(wishes.map((wish) => endpointKey(wish)))
      if (plane.can.attach)
        for await (const [id, entry] of plane.observe(records.map(({ id }) => id))) marked.set(id, entry)
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error)
      return records.map(() => new Refusal('unreachable', `the ${name} plane did not answer: ${text}`))
    }
    const byEndpoint = Map.groupBy(foreign, (entry) => endpointKey(entry))
    return records.map((record, index) => {
      const wish = wishes[index]
      if (wish === undefined) return free(record)
      const own = marked.get(record.id)
      if (own !== undefined) return resume(record, wish, own, name)
      const there = byEndpoint.get(endpointKey(wish))
      return there === undefined ? free(record) : this.#judge(plane, record, wish, there)
    })
  }

  /** @param there what others have at the endpoint: in a virtual network there may be several, each at places of its own */
  #judge(
    { can }: Plane,
    record: ServiceRecord,
    wish: VirtualService,
    there: readonly VirtualService[],
  ): Claim | Refusal {
    const equal = there.find((entry) => differences(wish, entry).length === 0)
    if (this.#adopt && equal !== undefined) return take(record, equal, can)
    const inTheWay = there.find(
      ({ attach }) => !can.attach || (wish.attach && attach && meet(wish.attach, attach)),
    )
    if (inTheWay === undefined) return free(record)
    const text = `the ${can.name} plane has a service at ${endpointKey(inTheWay)} that is not Torb's`
    if (!this.#adopt) {
      return new Refusal(
        'refused',
        `${text}: remove it (${removals[can.name] ?? 'with what made it'}), or start Torb with --adopt to take an equal one over`,
      )
    }
    return new Refusal(
      'refused',
      `${text} and it differs in ${differences(wish, inTheWay).join(', ')}: ask for the same to take it over, or remove it`,
    )
  }
}

/** There is nothing in the place of this service. */
export const free = (record: ServiceRecord): Claim => ({ record, found: null, foreign: false })

/**
 * A service that bears this Torb's mark and that its store does not know, since it is new or an older one. What differs
 * becomes as it is asked for.
 */
function resume(
  record: ServiceRecord,
  wish: VirtualService,
  found: VirtualService,
  plane: PlaneName,
): Claim | Refusal {
  if (record.backends.length === 0 && endpointKey(found) !== endpointKey(wish)) {
    const where =
      found.address === ''
        ? 'with marks that somebody changed beyond reading: describe it whole, in a file'
        : `at ${endpointKey(found)}: ask for it there`
    return new Refusal(
      'refused',
      `the ${plane} plane has service "${record.id}" of this Torb's mark, unknown to its store, ${where}, or remove it (${removals[plane] ?? 'with what made it'})`,
    )
  }
  return { record: withBackends(record, found), found, foreign: false }
}

/** Who creates a service by REST gives it backends later: until then those that it has go on. */
const withBackends = (record: ServiceRecord, { destinations }: VirtualService): ServiceRecord =>
  record.backends.length > 0 ? record : { ...record, backends: destinations.map(adopted) }

function take(record: ServiceRecord, found: VirtualService, { attach, checks }: Plane['can']): Claim {
  const taken = withBackends(record, found)
  // A virtual network's plane has to mark it as its own, and knows it by this very object.
  return {
    record: taken,
    found: attach ? found : identified(found, effective(taken, newcomer, null, checks)),
    foreign: true,
  }
}

/** A destination that a plane was found to have, as a backend that a later PUT of its name or address takes the place of. */
export function adopted(destination: Destination, index: number): BackendRecord {
  const { id, address, port, weight, maxWeight, forwarding, tunnel, check } = destination
  const { upperThreshold, lowerThreshold } = destination
  return {
    id,
    options: {
      host: address,
      port,
      // What nothing checks any more stays as it is, in or out.
      weight: check === null ? weight : maxWeight,
      method: forwarding,
      pulse: check === null ? { ...defaultPulse, type: 'none' } : pulseOf(check),
      ...(tunnel === null || tunnel.type === 'ipip' ? {} : { tunnel }),
      ...(upperThreshold === 0
        ? {}
        : { limits: { upper_threshold: upperThreshold, lower_threshold: lowerThreshold } }),
    },
    address,
    override: null,
    drainUntil: 0,
    order: index + 1,
    adopted: true,
  }
}

/** The pulse that makes the plane check as it does already. */
function pulseOf({ type, intervalMs, timeoutMs, rise, fall }: DestinationCheck): PulseOptions {
  const seconds = (milliseconds: number): string => `${milliseconds / 1000}s`
  return { type, interval: seconds(intervalMs), args: null, timeout: seconds(timeoutMs), rise, fall }
}

function differences(wish: VirtualService, found: VirtualService): string[] {
  const list: string[] = []
  if (wish.scheduler !== found.scheduler) list.push(`method (it has ${found.scheduler})`)
  // The kernel sets IP_VS_SVC_F_HASHED by itself.
  if (((wish.flags ^ found.flags) & ~flagBit.hashed) !== 0) list.push(`flags (it has ${found.flags})`)
  if (JSON.stringify(wish.persistence) !== JSON.stringify(found.persistence)) {
    const { persistence } = found
    list.push(
      persistence === null
        ? 'persistence (it has none)'
        : `persistence (it has ${persistence.timeout} s for /${persistence.prefix})`,
    )
  }
  if (!isDeepStrictEqual(placesOf(wish), placesOf(found)))
    list.push(`attach (it has ${placesOf(found).join(', ') || 'none'})`)
  if (!isDeepStrictEqual({ ...wish.ovn }, { ...found.ovn }))
    list.push(`ovn (it has ${JSON.stringify(found.ovn ?? {}).replaceAll('"', '')})`)
  return list
}

const placesOf = ({ attach }: VirtualService): string[] =>
  Object.entries(attach ?? {})
    .flatMap(([kind, names]) => names.map((name) => `${kind} ${name}`))
    .sort()

const unchecked = { health: initialHealth(), held: null }
const newcomer = (): typeof unchecked => unchecked
