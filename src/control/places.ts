import type { ServiceId } from '../model/names.ts'
import { endpointOf, type ServiceRecord } from './records.ts'

interface Attach {
  readonly switches?: readonly string[] | undefined
  readonly routers?: readonly string[] | undefined
  readonly groups?: readonly string[] | undefined
}

const kinds = ['switches', 'routers', 'groups'] as const

/** True where two services of a virtual network are attached to one and the same switch, router or group. */
export const meet = (a: Attach, b: Attach): boolean =>
  kinds.some((kind) => a[kind]?.some((name) => b[kind]?.includes(name)))

/** Services by their endpoints. One has an endpoint for itself, or in a virtual network at the places that it is attached to. */
export class Places {
  readonly #byEndpoint = new Map<string, Map<ServiceId, ServiceRecord>>()

  add(record: ServiceRecord): void {
    const endpoint = endpointOf(record)
    const records = this.#byEndpoint.get(endpoint) ?? new Map<ServiceId, ServiceRecord>()
    this.#byEndpoint.set(endpoint, records.set(record.id, record))
  }

  remove(record: ServiceRecord): void {
    const endpoint = endpointOf(record)
    const records = this.#byEndpoint.get(endpoint)
    if (records?.delete(record.id) === true && records.size === 0) this.#byEndpoint.delete(endpoint)
  }

  /** Another service that is where this one is to be. @param except who is overlooked */
  holderOf(record: ServiceRecord, except?: ReadonlySet<ServiceId>): ServiceId | undefined {
    const { attach } = record.options
    for (const { id, options } of this.#byEndpoint.get(endpointOf(record))?.values() ?? []) {
      if (id === record.id || except?.has(id) === true) continue
      if (attach === undefined || options.attach === undefined || meet(attach, options.attach)) return id
    }
    return undefined
  }
}
