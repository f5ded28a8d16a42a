import type { BackendId, PlaneName, ServiceId } from '../model/names.ts'
import type { VirtualService } from '../planes/plane.ts'
import type { CheckResult } from '../pulse/check.ts'
import type { Health } from '../pulse/health.ts'
import { initialHealth } from '../pulse/health.ts'
import type { ReconcileState } from './control.ts'
import type { Vital } from './effective.ts'
import { Places } from './places.ts'
import type { BackendRecord, ServiceRecord } from './records.ts'

/** One backend's health as control keeps it; it is its own key in the pulse. */
export class BackendState implements Vital {
  readonly service: ServiceState
  record: BackendRecord
  health: Health = unchecked
  /** Why it is Down, in the check's words; '' when Up. */
  reason = ''
  held: number | null = null
  /** What the plane says of it, where the plane checks it; null where Torb does. */
  ask: (() => CheckResult | null) | null = null

  constructor(service: ServiceState, record: BackendRecord) {
    this.service = service
    this.record = record
  }

  get id(): BackendId {
    return this.record.id
  }
}

export interface Drift {
  /** What the plane had been given. */
  readonly given: VirtualService
  readonly difference: string
}

/** One service: what is wished for, what each plane holds of it, and how that went. */
export class ServiceState {
  readonly id: ServiceId
  record: ServiceRecord | null = null
  readonly backends = new Map<BackendId, BackendState>()
  /** What the plane was last known to hold. */
  readonly held = new Map<PlaneName, VirtualService>()
  /** What somebody changed behind Torb and Torb only reports; `held` is as he made it. */
  readonly drift = new Map<PlaneName, Drift>()
  /** Planes where `held` is somebody else's entry that has yet to become Torb's. */
  readonly taking = new Set<PlaneName>()
  /** What its plane advised when it was last written. */
  advice: readonly string[] = []
  reconcile: ReconcileState = { state: 'applied', message: '', since: 0 }
  /** Failed attempts in a row, and when the next is due. */
  attempts = 0
  retryAt = 0

  /** False while its plane refuses it, or leaves it to another Torb. */
  get isTaken(): boolean {
    return this.reconcile.state !== 'failing' && this.retryAt === 0
  }

  constructor(id: ServiceId) {
    this.id = id
  }

  /** The health of a backend of the record; of one not yet known, that of a new one. */
  readonly vital = (id: BackendId): Vital => this.backends.get(id) ?? newcomer
}

const unchecked = initialHealth()
const newcomer: Vital = { health: unchecked, held: null }

/** All services by id, and where they are reached. */
export class DesiredState {
  readonly services = new Map<ServiceId, ServiceState>()
  readonly #places = new Places()

  record(id: ServiceId): ServiceRecord | null {
    return this.services.get(id)?.record ?? null
  }

  /** Another service that is where this one is to be, or undefined. @param except who is overlooked */
  holderOf(record: ServiceRecord, except?: ReadonlySet<ServiceId>): ServiceId | undefined {
    return this.#places.holderOf(record, except)
  }

  /** Makes `record` the wish for this id; the state of a service no longer wished for stays until it is dropped. */
  put(id: ServiceId, record: ServiceRecord | null): ServiceState {
    const state = this.services.get(id) ?? new ServiceState(id)
    this.services.set(id, state)
    if (state.record !== null) this.#places.remove(state.record)
    state.record = record
    if (record !== null) this.#places.add(record)
    return state
  }

  /** Forgets a service that is neither wished for nor held. */
  drop(state: ServiceState): void {
    if (state.record === null && state.held.size === 0) this.services.delete(state.id)
  }
}
