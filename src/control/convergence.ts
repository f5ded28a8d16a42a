import type { PlaneName, ServiceId } from '../model/names.ts'
import { Refusal } from '../model/refusal.ts'
import { unsupported } from '../planes/can.ts'
import type { Change, Outcome, Plane, VirtualService } from '../planes/plane.ts'
import { initialHealth } from '../pulse/health.ts'
import { ownListener } from './addresses.ts'
import { effective, sameService, type Vital } from './effective.ts'
import type { EventLog, Log } from './events.ts'
import type { KeyLedger } from './ledger.ts'
import type { ServiceRecord } from './records.ts'
import { driftText, weightEvents } from './report.ts'
import { Retries } from './retries.ts'
import type { DesiredState, ServiceState } from './state.ts'
import type { Vitals } from './vitals.ts'

export interface ConvergenceOptions {
  readonly desired: DesiredState
  readonly planes: ReadonlyMap<PlaneName, Plane>
  readonly defaultPlane: PlaneName
  readonly ledger: KeyLedger
  readonly vitals: Vitals
  readonly events: EventLog
  readonly now: () => number
  /** True where Torb's own API listens. Asked at each change: the API may have moved since a backend was created. */
  readonly isOwnListener: (address: string, port: number) => boolean
  readonly log: Log
}

/** Brings what the planes hold to the effective state, and keeps account of how that went. */
export class Convergence {
  readonly #options: ConvergenceOptions
  readonly #retries: Retries
  /** Services that somebody changed behind Torb, until they are repaired. */
  readonly #drifted = new Set<ServiceState>()

  /** @param touch asks for another try of a service */
  constructor(options: ConvergenceOptions, touch: (state: ServiceState) => void) {
    this.#options = options
    this.#retries = new Retries({ desired: options.desired, now: options.now, touch })
  }

  close(): void {
    this.#retries.close()
  }

  /** The plane that is to carry this service. */
  planeOf(record: ServiceRecord | null): PlaneName {
    return record?.options.plane ?? this.#options.defaultPlane
  }

  /** @throws Refusal where the plane of this service cannot carry it */
  check(record: ServiceRecord): void {
    const vital = this.#options.desired.services.get(record.id)?.vital ?? (() => newcomer)
    const why = this.#unfit(this.planeOf(record), effective(record, vital, null))
    if (why !== null) throw new Refusal('invalid', why)
  }

  /** Why this plane cannot carry this service, or null. */
  #unfit(name: PlaneName, spec: VirtualService): string | null {
    const { planes, isOwnListener } = this.#options
    const plane = planes.get(name)
    if (plane === undefined) {
      return `plane "${name}" is not open in this Torb: choose ${[...planes.keys()].join(' or ')}, or start Torb with --plane ${name}`
    }
    const ours = spec.destinations.find(({ address, port }) => isOwnListener(address, port))
    if (ours !== undefined) return ownListener(ours.address, ours.port)
    return unsupported(
      plane.can,
      spec,
      [...planes.values()].map((other) => other.can),
    )
  }

  /**
   * Brings the planes to the effective state of these services.
   *
   * @param undoable services whose refusal is going to be undone, and so is no failure that lasts
   */
  async apply(
    written: readonly ServiceState[],
    dirty: readonly ServiceState[],
    undoable: ReadonlySet<ServiceId>,
  ): Promise<Map<ServiceId, Refusal>> {
    const states = new Set([...dirty, ...written])
    const refusals = new Map<ServiceId, Refusal>()
    const changes = new Map<PlaneName, Change<VirtualService, ServiceId>[]>()
    const add = (name: PlaneName, change: Change<VirtualService, ServiceId>): void => {
      if (change.before === change.after) return
      const list = changes.get(name) ?? []
      changes.set(name, list)
      list.push(change)
    }
    for (const state of states) {
      const wanted = this.planeOf(state.record)
      if (state.record !== null) {
        const before = state.held.get(wanted) ?? null
        const after = effective(state.record, state.vital, before)
        const why = after === before ? null : this.#unfit(wanted, after)
        if (why === null) add(wanted, { key: state.id, before, after })
        else refusals.set(state.id, new Refusal('refused', why))
      }
      for (const [name, before] of state.held) {
        if (name !== wanted || state.record === null) add(name, { key: state.id, before, after: null })
      }
    }
    const byWrite = new Set(written)
    for (const [name, list] of changes) {
      const outcomes = await this.#ask(name, list)
      list.forEach((change, index) => {
        const state = this.#options.desired.services.get(change.key)
        const outcome = outcomes[index]
        if (state === undefined || outcome === undefined) return
        if (outcome.ok) this.#took(state, name, change, byWrite.has(state))
        else refusals.set(change.key, outcome.error)
      })
    }
    for (const state of states) {
      const refusal = refusals.get(state.id)
      if (refusal === undefined || !undoable.has(state.id)) this.#note(state, refusal)
    }
    return refusals
  }

  async #ask(
    name: PlaneName,
    changes: readonly Change<VirtualService, ServiceId>[],
  ): Promise<readonly Outcome[]> {
    try {
      return (await this.#options.planes.get(name)?.apply(changes)) ?? []
    } catch (error) {
      const refusal = new Refusal('unreachable', `the ${name} plane did not answer: ${text(error)}`, {
        cause: error,
      })
      return changes.map(() => ({ ok: false, error: refusal }))
    }
  }

  #took(
    state: ServiceState,
    name: PlaneName,
    { before, after }: Change<VirtualService, ServiceId>,
    byWrite: boolean,
  ): void {
    const { events, now, ledger } = this.#options
    if (after === null) {
      state.held.delete(name)
      ledger.removed(name, state.id)
    } else state.held.set(name, after)
    if (this.#drifted.delete(state)) {
      events.record({ at: now(), type: 'plane-repaired', plane: name, service: state.id })
      return
    }
    if (byWrite || before === null || after === null) return
    for (const event of weightEvents(state, before, after, now())) events.record(event)
  }

  /** Notes how it went, and when a failing service is tried again. */
  #note(state: ServiceState, refusal: Refusal | undefined): void {
    const { now, events, desired, vitals } = this.#options
    const plane = this.planeOf(state.record)
    if (refusal === undefined) {
      if (state.reconcile.state === 'failing') {
        events.record({ at: now(), type: 'plane-recovered', plane, service: state.id })
      }
      if (state.reconcile.state !== 'applied' || state.reconcile.since === 0) {
        state.reconcile = { state: 'applied', message: '', since: now() }
      }
      state.attempts = 0
      state.retryAt = 0
      if (state.record === null) vitals.follow(state)
      desired.drop(state)
      return
    }
    if (state.reconcile.state !== 'failing' || state.reconcile.message !== refusal.message) {
      events.record({ at: now(), type: 'plane-failed', plane, service: state.id, message: refusal.message })
      state.reconcile = { state: 'failing', message: refusal.message, since: now() }
    }
    this.#retries.later(state)
  }

  /** Looks whether a plane still holds what it was given. @returns what must be repaired */
  async compare(name: PlaneName, keys: readonly ServiceId[]): Promise<ServiceState[]> {
    const { planes, desired, events, now, log } = this.#options
    const held = new Map<ServiceId, VirtualService>()
    try {
      for await (const [id, spec] of planes.get(name)?.observe(keys) ?? []) held.set(id, spec)
    } catch (error) {
      log.warn({ plane: name }, `the plane could not be observed: ${text(error)}`)
      return []
    }
    const drifted: ServiceState[] = []
    for (const id of keys) {
      const state = desired.services.get(id)
      const given = state?.held.get(name)
      const seen = held.get(id)
      if (state === undefined || given === undefined || (seen !== undefined && sameService(given, seen)))
        continue
      if (seen === undefined) state.held.delete(name)
      else state.held.set(name, seen)
      const difference = driftText(given, seen)
      events.record({ at: now(), type: 'plane-drift', plane: name, service: id, difference })
      this.#drifted.add(state)
      drifted.push(state)
    }
    return drifted
  }
}

const newcomer: Vital = { health: initialHealth(), held: null }
const text = (error: unknown): string => (error instanceof Error ? error.message : String(error))
