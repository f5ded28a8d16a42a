import type { PlaneName, PulseType, ServiceId } from '../model/names.ts'
import { Refusal } from '../model/refusal.ts'
import { unsupported } from '../planes/can.ts'
import type { Change, Confirmation, Outcome, Plane, VirtualService } from '../planes/plane.ts'
import { initialHealth } from '../pulse/health.ts'
import { ownListener } from './addresses.ts'
import type { Confirmations } from './confirmations.ts'
import type { ReconcileState } from './control.ts'
import { effective, sameService, type Vital } from './effective.ts'
import type { EventLog, Log } from './events.ts'
import type { KeyLedger } from './ledger.ts'
import type { ServiceRecord } from './records.ts'
import { driftText, weightEvents } from './report.ts'
import { Retries } from './retries.ts'
import { followWriter, standbyOf } from './standby.ts'
import type { DesiredState, ServiceState } from './state.ts'
import type { Vitals } from './vitals.ts'

export interface ConvergenceOptions {
  readonly desired: DesiredState
  readonly planes: ReadonlyMap<PlaneName, Plane>
  readonly defaultPlane: PlaneName
  /** Planes that are not open yet, and why. */
  readonly unopened: ReadonlyMap<PlaneName, string>
  /** Of the planes that tell when something is in effect. */
  readonly confirmations: ReadonlyMap<PlaneName, Confirmations>
  /** What somebody changes behind Torb is only reported. */
  readonly observe: boolean
  readonly ledger: KeyLedger
  readonly vitals: Vitals
  readonly events: EventLog
  readonly now: () => number
  /** True where Torb's own API listens. Asked at each change: the API may have moved since a backend was created. */
  readonly isOwnListener: (address: string, port: number) => boolean
  readonly log: Log
}

type Batches = Map<PlaneName, Change<VirtualService, ServiceId>[]>

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

  /** Why a plane cannot be asked that is not open yet; null where it is. */
  unopened(name: PlaneName): Refusal | null {
    const why = this.#options.unopened.get(name)
    return why === undefined ? null : new Refusal('unreachable', `the ${name} plane is not open yet: ${why}`)
  }

  /** @throws Refusal where the plane of this service cannot carry it */
  check(record: ServiceRecord): void {
    const vital = this.#options.desired.services.get(record.id)?.vital ?? (() => newcomer)
    const name = this.planeOf(record)
    const plane = this.#options.planes.get(name)
    // The default address is one of this machine.
    if (plane?.can.attach === true && record.options.host === '' && record.address !== '')
      throw new Refusal(
        'invalid',
        `host is missing: a virtual network (plane ${name}) has no default address`,
      )
    const spec = effective(record, vital, null, this.#checksOf(name))
    const why = this.#unfit(name, spec) ?? plane?.refuses?.(spec) ?? null
    if (why !== null) throw new Refusal('invalid', why)
  }

  /** Why this plane cannot carry this service, or null. */
  #unfit(name: PlaneName, spec: VirtualService): string | null {
    const { planes, isOwnListener } = this.#options
    const plane = planes.get(name)
    if (plane === undefined) {
      const able = [...planes.values()].filter(({ can }) => unsupported(can, spec) === null)
      return [
        `plane "${name}" is not open in this Torb: `,
        able.length === 0 ? '' : `choose ${able.map(({ can }) => can.name).join(' or ')}, or `,
        `start Torb with --plane ${name}${name === 'ovn' ? ' or --ovn-nb' : ''}`,
      ].join('')
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
    const byWrite = new Set(written)
    const states = new Set([...dirty, ...written])
    const refusals = new Map<ServiceId, Refusal>()
    const changes: Batches = new Map()
    /** What is to go from planes that carried a service before another one. */
    const departures: Batches = new Map()
    for (const state of states) {
      const wanted = this.planeOf(state.record)
      if (state.record !== null) {
        const before = state.held.get(wanted) ?? null
        const drift = state.drift.get(wanted)
        const wish = drift?.given ?? before
        const after = effective(state.record, state.vital, wish, this.#checksOf(wanted))
        const why = after === wish ? null : this.#unfit(wanted, after)
        if (why !== null) refusals.set(state.id, new Refusal('refused', why))
        // What somebody changed is only overwritten by who wants something else than before.
        else if (drift === undefined || after !== wish || byWrite.has(state))
          add(changes, wanted, {
            key: state.id,
            before,
            after,
            ...(state.taking.has(wanted) ? { foreign: true as const } : {}),
          })
      }
      for (const [name, before] of state.held) {
        if (state.record === null) add(changes, name, { key: state.id, before, after: null })
        else if (name !== wanted) add(departures, name, { key: state.id, before, after: null })
      }
      for (const name of state.drift.keys())
        if (name !== wanted && !state.held.has(name)) state.drift.delete(name)
    }
    await this.#carryOut(changes, byWrite, refusals)
    // What its new plane did not take stays where it is.
    for (const [name, list] of departures) {
      const left = list.filter(({ key }) => !refusals.has(key))
      if (left.length > 0) await this.#carryOut(new Map([[name, left]]), byWrite, refusals)
    }
    for (const state of states) {
      const refusal = refusals.get(state.id)
      if (refusal === undefined || !undoable.has(state.id)) this.#note(state, refusal)
    }
    return refusals
  }

  async #carryOut(
    batches: Batches,
    byWrite: ReadonlySet<ServiceState>,
    refusals: Map<ServiceId, Refusal>,
  ): Promise<void> {
    for (const [name, list] of batches) {
      const outcomes = await this.#ask(name, list)
      list.forEach((change, index) => {
        const state = this.#options.desired.services.get(change.key)
        const outcome = outcomes[index]
        if (state === undefined || outcome === undefined) return
        if (outcome.ok) this.#took(state, name, change, byWrite.has(state))
        else refusals.set(change.key, outcome.error)
      })
    }
  }

  async #ask(
    name: PlaneName,
    changes: readonly Change<VirtualService, ServiceId>[],
  ): Promise<readonly Outcome[]> {
    const { planes, confirmations } = this.#options
    const closed = this.unopened(name)
    if (closed !== null) return changes.map(() => ({ ok: false, error: closed }))
    const confirming = confirmations.get(name)
    for (const change of changes) confirming?.ask(change)
    let outcomes: readonly Outcome[]
    try {
      outcomes = (await planes.get(name)?.apply(changes)) ?? []
    } catch (error) {
      const refusal = new Refusal('unreachable', `the ${name} plane did not answer: ${text(error)}`, {
        cause: error,
      })
      outcomes = changes.map(() => ({ ok: false, error: refusal }))
    }
    changes.forEach((change, index) => confirming?.answer(change, outcomes[index]?.ok === true))
    return outcomes
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
    state.taking.delete(name)
    const isRepair = state.drift.delete(name)
    if (this.#drifted.delete(state) || isRepair) {
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
      state.reconcile = this.#standing(state)
      state.attempts = 0
      state.retryAt = 0
      if (state.record === null) vitals.follow(state)
      desired.drop(state)
      return
    }
    const standby = refusal.code === 'unreachable' ? standbyOf(this.#options.planes.get(plane)) : null
    if (standby !== null) {
      if (state.reconcile.message !== standby)
        state.reconcile = { state: 'accepted', message: standby, since: now() }
    } else if (state.reconcile.state !== 'failing' || state.reconcile.message !== refusal.message) {
      events.record({ at: now(), type: 'plane-failed', plane, service: state.id, message: refusal.message })
      state.reconcile = { state: 'failing', message: refusal.message, since: now() }
    }
    this.#retries.later(state, refusal.code)
  }

  /** Where a service stands that no plane refuses. */
  #standing({ id, record, drift, reconcile }: ServiceState): ReconcileState {
    const { confirmations, now } = this.#options
    const plane = this.planeOf(record)
    const confirming = confirmations.get(plane)
    const pending = confirming?.pending(id) ?? null
    const lagging = confirming === undefined ? {} : { lagging: pending?.lagging ?? [] }
    const difference = drift.get(plane)?.difference
    const state = difference !== undefined ? 'drifted' : pending !== null ? 'accepted' : 'applied'
    const message = difference ?? (pending === null ? '' : lagText(pending.lagging))
    const isNew = reconcile.state !== state || reconcile.since === 0
    const since = !isNew ? reconcile.since : state === 'accepted' ? (pending?.since ?? now()) : now()
    return { state, message, since, ...lagging }
  }

  /** A plane says how far something that it accepted has come. */
  confirm(name: PlaneName, confirmation: Confirmation<VirtualService, ServiceId>): void {
    const { confirmations, desired } = this.#options
    if (confirmations.get(name)?.tell(confirmation) !== true) return
    const state = desired.services.get(confirmation.key)
    if (state?.isTaken === true) state.reconcile = this.#standing(state)
  }

  /** Reports what a plane holds otherwise than it should at a start. @returns true where it does */
  reportHeld(state: ServiceState, name: PlaneName): boolean {
    const { events, now } = this.#options
    const seen = state.held.get(name)
    if (state.record === null || seen === undefined || this.planeOf(state.record) !== name) return false
    if (standbyOf(this.#options.planes.get(name)) !== null) return false
    const given = effective(state.record, state.vital, seen, this.#checksOf(name))
    if (given === seen) return false
    const difference = driftText(given, seen)
    state.drift.set(name, { given, difference })
    events.record({ at: now(), type: 'plane-drift', plane: name, service: state.id, difference })
    return true
  }

  #checksOf(name: PlaneName): ReadonlySet<PulseType> {
    return this.#options.planes.get(name)?.can.checks ?? new Set()
  }

  /** Looks whether a plane still holds what it was given. @returns what must be repaired */
  async compare(name: PlaneName, keys: readonly ServiceId[]): Promise<ServiceState[]> {
    const { planes, desired, events, now, log, observe, unopened } = this.#options
    if (unopened.has(name)) return []
    const held = new Map<ServiceId, VirtualService>()
    try {
      for await (const [id, spec] of planes.get(name)?.observe(keys) ?? []) held.set(id, spec)
    } catch (error) {
      log.warn({ plane: name }, `the plane could not be observed: ${text(error)}`)
      return []
    }
    if (standbyOf(planes.get(name)) !== null)
      return followWriter(desired, name, keys, held, this.#checksOf(name))
    const drifted: ServiceState[] = []
    for (const id of keys) {
      const state = desired.services.get(id)
      const known = state?.drift.get(name)
      const given = known?.given ?? state?.held.get(name)
      const seen = held.get(id)
      if (state === undefined || given === undefined) continue
      const isSame = seen !== undefined && sameService(given, seen)
      if (isSame && known === undefined) continue
      if (seen === undefined) state.held.delete(name)
      else state.held.set(name, isSame ? given : seen)
      if (isSame) {
        state.drift.delete(name)
        events.record({ at: now(), type: 'plane-repaired', plane: name, service: id })
      } else {
        const difference = driftText(given, seen)
        if (known?.difference !== difference)
          events.record({ at: now(), type: 'plane-drift', plane: name, service: id, difference })
        if (observe) state.drift.set(name, { given, difference })
        else drifted.push(state)
      }
      if (observe && state.isTaken) state.reconcile = this.#standing(state)
    }
    for (const state of drifted) this.#drifted.add(state)
    return drifted
  }
}

function add(batches: Batches, name: PlaneName, change: Change<VirtualService, ServiceId>): void {
  if (change.before === change.after && change.foreign !== true) return
  const list = batches.get(name) ?? []
  batches.set(name, list)
  list.push(change)
}

/** Names of those that lag that a message has at most. */
const mostNames = 5

function lagText(lagging: readonly string[]): string {
  if (lagging.length === 0) return 'not in effect yet'
  const more = lagging.length - mostNames
  return `not in effect yet on ${lagging.slice(0, mostNames).join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}

const newcomer: Vital = { health: initialHealth(), held: null }
const text = (error: unknown): string => (error instanceof Error ? error.message : String(error))
