import type { ServiceId } from '../../model/names.ts'
import { Refusal } from '../../model/refusal.ts'
import type { DestinationCounters, ServiceCounters, VirtualService } from '../plane.ts'
import type { Connections } from './connections.ts'

/** OVN counts nothing of what it balances; what is open is known of the chassis that can be asked. @throws Refusal `unreachable` */
export async function countersOf(
  specs: readonly VirtualService[],
  connections: Connections,
): Promise<ReadonlyMap<ServiceId, ServiceCounters>> {
  if (!connections.known) return new Map(specs.map((spec) => [spec.id, summed(spec, () => zero)]))
  try {
    const tallies = await connections.of(specs)
    return new Map(
      specs.map((spec) => [spec.id, summed(spec, (id) => ({ ...zero, ...tallies.get(spec.id)?.get(id) }))]),
    )
  } catch (error) {
    connections.complain(error)
    throw new Refusal('unreachable', `open connections are not known: ${(error as Error).message}`, {
      cause: error,
    })
  }
}

const zero: DestinationCounters = {
  connections: 0,
  packetsIn: 0,
  packetsOut: 0,
  bytesIn: 0,
  bytesOut: 0,
  active: 0,
  inactive: 0,
  errors: 0,
}

function summed(spec: VirtualService, of: (id: string) => DestinationCounters): ServiceCounters {
  const destinations = new Map(spec.destinations.map(({ id }) => [id, of(id)]))
  const sum = (field: 'active' | 'inactive'): number =>
    [...destinations.values()].reduce((total, one) => total + one[field], 0)
  return { ...zero, active: sum('active'), inactive: sum('inactive'), destinations }
}
