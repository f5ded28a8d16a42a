import { endpointText } from '../model/address.ts'
import { flagBit, type PlaneName } from '../model/names.ts'
import { defaultPulse } from '../model/pulse.ts'
import { Refusal } from '../model/refusal.ts'
import { endpointKey } from '../planes/endpoint.ts'
import type { Destination, Plane, VirtualService } from '../planes/plane.ts'
import { initialHealth } from '../pulse/health.ts'
import { effective } from './effective.ts'
import { identified } from './identify.ts'
import type { BackendRecord, ServiceRecord } from './records.ts'

/** A new service and what somebody else has at its endpoint; null: the place is free. */
export interface Claim {
  readonly record: ServiceRecord
  readonly found: VirtualService | null
}

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
    if (plane?.foreign === undefined) return records.map((record) => ({ record, found: null }))
    const wishes = records.map((record) => effective(record, newcomer, null))
    let foreign: readonly VirtualService[]
    try {
      foreign = await plane.foreign(wishes.map((wish) => endpointKey(wish)))
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error)
      return records.map(() => new Refusal('unreachable', `the ${name} plane did not answer: ${text}`))
    }
    const byEndpoint = new Map(foreign.map((entry) => [endpointKey(entry), entry]))
    return records.map((record, index) => {
      const wish = wishes[index]
      const found = wish && byEndpoint.get(endpointKey(wish))
      if (wish === undefined || found === undefined) return { record, found: null }
      return this.#judge(name, record, wish, found)
    })
  }

  #judge(
    plane: PlaneName,
    record: ServiceRecord,
    wish: VirtualService,
    found: VirtualService,
  ): Claim | Refusal {
    const there = `the ${plane} plane has a service at ${endpointKey(found)} that is not Torb's`
    if (!this.#adopt) {
      return new Refusal(
        'refused',
        `${there}: remove it (ipvsadm -D), or start Torb with --adopt to take an equal one over`,
      )
    }
    const differing = differences(wish, found)
    if (differing.length > 0) {
      return new Refusal(
        'refused',
        `${there} and it differs in ${differing.join(', ')}: ask for the same to take it over, or remove it`,
      )
    }
    // Who creates a service by REST gives it backends later: until then those that it has go on.
    const taken =
      record.backends.length > 0 ? record : { ...record, backends: found.destinations.map(adopted) }
    return { record: taken, found: identified(found, effective(taken, newcomer, null)) }
  }
}

/** A destination found in the kernel, as a backend that a later PUT of the same address takes the place of. */
function adopted(destination: Destination, index: number): BackendRecord {
  const { address, port, weight, forwarding, tunnel, upperThreshold, lowerThreshold } = destination
  return {
    id: endpointText(address, port),
    options: {
      host: address,
      port,
      weight,
      method: forwarding,
      pulse: { ...defaultPulse, type: 'none' },
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
  return list
}

const unchecked = { health: initialHealth(), held: null }
const newcomer = (): typeof unchecked => unchecked
