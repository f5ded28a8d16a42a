import type { PlaneName, ServiceId } from '../model/names.ts'
import { exists, message, Refusal } from '../model/refusal.ts'
import type { Change, Outcome, Plane, VirtualService } from '../planes/plane.ts'
import { StoreFull, type Store } from '../store/store.ts'
import { unsupported } from '../planes/can.ts'
import type { Step } from './desired.ts'
import { initialHealth } from '../pulse/health.ts'
import { ownListener } from './addresses.ts'
import { effective, sameService, type Vital } from './effective.ts'
import type { EventLog, Log, Source } from './events.ts'
import type { KeyLedger } from './ledger.ts'
import { endpointKey, rowsBetween, type ServiceRecord } from './records.ts'
import { weightEvents, writeEvents } from './report.ts'
import type { DesiredState, ServiceState } from './state.ts'
import type { Vitals } from './vitals.ts'

/** At most so many writes become one transaction and one batch to a plane. */
const batchSize = 1024
const firstRetryMs = 1000
const lastRetryMs = 60_000

interface Write {
  readonly id: ServiceId
  readonly step: Step
  readonly source: Source
  readonly resolve: () => void
  readonly reject: (error: Refusal) => void
}

/** A write whose step succeeded: from one record to the next. */
interface Decided extends Write {
  readonly before: ServiceRecord | null
  readonly after: ServiceRecord | null
}

export interface ReconcilerOptions {
  readonly desired: DesiredState
  readonly planes: ReadonlyMap<PlaneName, Plane>
  readonly defaultPlane: PlaneName
  readonly store: Store
  readonly ledger: KeyLedger
  readonly vitals: Vitals
  readonly events: EventLog
  readonly now: () => number
  /** True where Torb's own API listens. Asked at each change: the API may have moved since a backend was created. */
  readonly isOwnListener: (address: string, port: number) => boolean
  readonly log: Log
}

/**
 * The one writer. Writes and dirty services go through one loop, a batch at a time:
 *
 *     decide ──► store (durable) ──► desired ──► effective ──► plan ──► plane ──► answer
 *                                                                        │ refused: a REST write is undone everywhere,
 *                                                                        └ anything else is tried again with back-off
 *
 * A service has at most one write in a batch, so that undoing one touches no other.
 */
export class Reconciler {
  readonly #options: ReconcilerOptions
  #writes: Write[] = []
  #audits: { readonly plane: PlaneName; readonly keys: readonly ServiceId[]; readonly done: () => void }[] =
    []
  readonly #dirty = new Set<ServiceState>()
  #running: Promise<void> | null = null
  #savingHealth = false
  #retryTimer: NodeJS.Timeout | null = null
  #closed = false

  constructor(options: ReconcilerOptions) {
    this.#options = options
  }

  /** Resolves when the step is durable and in the plane; rejects with a Refusal, and then nothing has changed. */
  write(id: ServiceId, step: Step, source: Source): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    if (this.#closed) reject(new Refusal('unreachable', 'Torb is stopping; ask again when it is back'))
    else {
      this.#writes.push({ id, step, source, resolve, reject })
      this.#start()
    }
    return promise
  }

  /** The service's effective state may have changed, or the plane may have. */
  touch(state: ServiceState): void {
    this.#dirty.add(state)
    this.#start()
  }

  /** Looks whether the plane still holds what it was given, between batches; marks what must be repaired. */
  audit(plane: PlaneName, keys: readonly ServiceId[]): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#audits.push({ plane, keys, done: resolve })
    this.#start()
    return promise
  }

  /** All that was asked for before this call is done. */
  async settled(): Promise<void> {
    while (this.#running !== null) await this.#running
  }

  async close(): Promise<void> {
    this.#closed = true
    if (this.#retryTimer !== null) clearTimeout(this.#retryTimer)
    await this.settled()
    await this.#saveHealth()
  }

  #start(): void {
    // Work that arrives while a batch is under way waits for the next one.
    this.#running ??= Promise.resolve()
      .then(() => this.#run())
      .finally(() => {
        this.#running = null
        if (this.#waiting()) this.#start()
      })
  }

  async #run(): Promise<void> {
    while (this.#waiting()) {
      const decided = this.#decide(this.#takeBatch())
      const kept = await this.#makeDurable(decided)
      const written = kept.map((write) => this.#options.desired.put(write.id, write.after))
      const undoable = new Set(kept.filter((write) => write.source === 'rest').map((write) => write.id))
      const refusals = await this.#apply(written, this.#takeDirty(), undoable)
      await this.#answer(kept, refusals)
      void this.#saveHealth()
      for (const { plane, keys, done } of this.#audits.splice(0)) {
        await this.#compare(plane, keys)
        done()
      }
    }
  }

  #waiting(): boolean {
    return this.#writes.length > 0 || this.#dirty.size > 0 || this.#audits.length > 0
  }

  async #compare(name: PlaneName, keys: readonly ServiceId[]): Promise<void> {
    const { planes, desired, events, now, log } = this.#options
    const held = new Map<ServiceId, VirtualService>()
    try {
      for await (const [id, spec] of planes.get(name)?.observe(keys) ?? []) held.set(id, spec)
    } catch (error) {
      log.warn({ plane: name }, `the plane could not be observed: ${text(error)}`)
      return
    }
    for (const id of keys) {
      const state = desired.services.get(id)
      const given = state?.held.get(name)
      const seen = held.get(id)
      if (state === undefined || given === undefined || (seen !== undefined && sameService(given, seen)))
        continue
      if (seen === undefined) state.held.delete(name)
      else state.held.set(name, seen)
      const difference = seen === undefined ? 'the service is gone' : 'the service was changed'
      events.record({ at: now(), type: 'plane-drift', plane: name, service: id, difference })
      this.#dirty.add(state)
    }
  }

  /** The oldest writes, one a service. */
  #takeBatch(): Write[] {
    const taken = new Map<ServiceId, Write>()
    const later: Write[] = []
    for (const write of this.#writes) {
      if (taken.has(write.id) || taken.size >= batchSize) later.push(write)
      else taken.set(write.id, write)
    }
    this.#writes = later
    return [...taken.values()]
  }

  /** Services that health, a retry or the audit marked; one that is waiting for its next try stays for that. */
  #takeDirty(): ServiceState[] {
    const taken: ServiceState[] = []
    for (const state of this.#dirty) {
      if (taken.length >= batchSize) break
      this.#dirty.delete(state)
      if (state.retryAt <= this.#options.now()) taken.push(state)
    }
    return taken
  }

  #decide(batch: readonly Write[]): Decided[] {
    const { desired } = this.#options
    const claimed = new Map<string, ServiceId>()
    const decided: Decided[] = []
    for (const write of batch) {
      try {
        const before = desired.record(write.id)
        const after = write.step(before)
        if (after === before) {
          write.resolve()
          continue
        }
        if (after !== null) {
          const endpoint = endpointKey(after)
          const holder = claimed.get(endpoint) ?? desired.holderOf(endpoint)
          if (holder !== undefined && holder !== write.id) {
            throw exists(`${message.exists}: service "${holder}" has ${endpoint} already`)
          }
          this.checkPlane(after)
          claimed.set(endpoint, write.id)
        }
        decided.push({ ...write, before, after })
      } catch (error) {
        write.reject(
          error instanceof Refusal ? error : new Refusal('refused', String(error), { cause: error }),
        )
      }
    }
    return decided
  }

  /** @throws Refusal where the plane of this service cannot carry it */
  checkPlane(record: ServiceRecord): void {
    const vital = this.#options.desired.services.get(record.id)?.vital ?? (() => newcomer)
    const why = this.#unfit(this.#planeOf(record), effective(record, vital, null))
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

  /** Stores the batch; what cannot be stored is refused and has changed nothing. */
  async #makeDurable(decided: readonly Decided[]): Promise<readonly Decided[]> {
    const rows = decided.flatMap((write) => [
      ...rowsBetween(write.before, write.after),
      ...this.#options.ledger.rowsBefore(this.#planeOf(write.after), write.after),
    ])
    if (rows.length === 0) return decided
    try {
      await this.#options.store.commit(rows)
      return decided
    } catch (error) {
      const refusal =
        error instanceof StoreFull
          ? new Refusal('full', error.message, { cause: error })
          : new Refusal('refused', `the change could not be stored: ${text(error)}`, { cause: error })
      for (const write of decided) write.reject(refusal)
      return []
    }
  }

  /**
   * Brings the planes to the effective state of these services.
   *
   * @param undoable services whose refusal is going to be undone, and so is no failure that lasts
   */
  async #apply(
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
      const wanted = this.#planeOf(state.record)
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
    if (byWrite || before === null || after === null) return
    for (const event of weightEvents(state, before, after, now())) events.record(event)
  }

  /** Notes how it went, and when a failing service is tried again. */
  #note(state: ServiceState, refusal: Refusal | undefined): void {
    const { now, events, desired, vitals } = this.#options
    const plane = this.#planeOf(state.record)
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
    const wait = Math.min(lastRetryMs, firstRetryMs * 2 ** state.attempts++)
    state.retryAt = now() + wait
    this.#retryLater(wait)
  }

  #retryLater(ms: number): void {
    if (this.#retryTimer !== null || this.#closed) return
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = null
      const { desired, now } = this.#options
      let next = Number.POSITIVE_INFINITY
      for (const state of desired.services.values()) {
        if (state.retryAt === 0) continue
        if (state.retryAt <= now()) this.touch(state)
        else next = Math.min(next, state.retryAt)
      }
      if (Number.isFinite(next)) this.#retryLater(next - now())
    }, ms)
  }

  /** Answers each write; one from REST that a plane refused is undone first, in the store and in the planes. */
  async #answer(kept: readonly Decided[], refusals: ReadonlyMap<ServiceId, Refusal>): Promise<void> {
    const { desired, vitals, events, now } = this.#options
    const undone: Decided[] = []
    for (const write of kept) {
      if (write.source === 'rest' && refusals.has(write.id)) {
        undone.push(write)
        continue
      }
      const state = desired.services.get(write.id)
      if (state !== undefined) vitals.follow(state)
      for (const event of writeEvents(write.before, write.after, write.source, now())) events.record(event)
      write.resolve()
    }
    if (undone.length > 0) await this.#undo(undone, refusals)
  }

  async #undo(undone: readonly Decided[], refusals: ReadonlyMap<ServiceId, Refusal>): Promise<void> {
    const { desired, vitals, store, log, ledger } = this.#options
    const states = undone.map((write) => desired.put(write.id, write.before))
    for (const state of states) state.retryAt = 0
    await this.#apply(states, [], new Set())
    const rows = undone.flatMap((write) => rowsBetween(write.after, write.before))
    try {
      await store.commit(rows)
    } catch (error) {
      // The wish is undone here and now; the stored one comes back at the next start unless a later write replaces it.
      log.warn(
        { services: undone.map((write) => write.id) },
        `a refused change could not be taken back from the store: ${text(error)}`,
      )
    }
    undone.forEach((write, index) => {
      const state = states[index]
      if (state !== undefined) {
        vitals.save(state)
        if (write.before === null && state.held.size === 0)
          ledger.removed(this.#planeOf(write.after), write.id)
      }
      const refusal = refusals.get(write.id)
      if (refusal !== undefined) write.reject(refusal)
    })
  }

  #planeOf(record: ServiceRecord | null): PlaneName {
    return record?.options.plane ?? this.#options.defaultPlane
  }

  /** Health is stored behind the planes' back: it is never waited for, and a full disk only delays it. */
  async #saveHealth(): Promise<void> {
    if (this.#savingHealth) return
    const rows = [...this.#options.vitals.takeUnsaved(), ...this.#options.ledger.takeCleared()]
    if (rows.length === 0) return
    this.#savingHealth = true
    try {
      await this.#options.store.commit(rows)
    } catch (error) {
      this.#options.log.warn({}, `health could not be stored: ${text(error)}`)
    } finally {
      this.#savingHealth = false
    }
  }
}

const newcomer: Vital = { health: initialHealth(), held: null }
const text = (error: unknown): string => (error instanceof Error ? error.message : String(error))
