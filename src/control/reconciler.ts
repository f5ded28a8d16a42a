import type { PlaneName, ServiceId } from '../model/names.ts'
import { exists, message, Refusal } from '../model/refusal.ts'
import type { Confirmation, VirtualService } from '../planes/plane.ts'
import { StoreFull, type Store } from '../store/store.ts'
import { Convergence, type ConvergenceOptions } from './convergence.ts'
import type { Step } from './desired.ts'
import { free, type Adoption, type Claim } from './adoption.ts'
import type { Source } from './events.ts'
import { Places } from './places.ts'
import { endpointOf, rowsBetween, type ServiceRecord } from './records.ts'
import { writeEvents } from './report.ts'
import type { ServiceState } from './state.ts'

/** At most so many writes become one transaction and one batch to a plane. */
const batchSize = 1024

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
  /** What the plane held in the place of a new service, and is now its own. */
  readonly found: VirtualService | null
  /** `found` was somebody else's. */
  readonly foreign: boolean
}

export interface ReconcilerOptions extends ConvergenceOptions {
  readonly store: Store
  readonly adoption: Adoption
}

/**
 * The one writer. Writes and dirty services go through one loop, a batch at a time:
 *
 *     decide ──► claim ──► store (durable) ──► desired ──► effective ──► plan ──► plane ──► answer
 *                                                                        │ refused: a REST write is undone everywhere,
 *                                                                        └ anything else is tried again with back-off
 *
 * A service has at most one write in a batch, so that undoing one touches no other.
 */
export class Reconciler {
  readonly #options: ReconcilerOptions
  readonly #convergence: Convergence
  #writes: Write[] = []
  #audits: { readonly plane: PlaneName; readonly keys: readonly ServiceId[]; readonly done: () => void }[] =
    []
  readonly #dirty = new Set<ServiceState>()
  #running: Promise<void> | null = null
  #saving: Promise<void> | null = null
  #closed = false

  constructor(options: ReconcilerOptions) {
    this.#options = options
    this.#convergence = new Convergence(options, (state) => this.touch(state))
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

  /** @throws Refusal where the plane of this service cannot carry it */
  check(record: ServiceRecord): void {
    this.#convergence.check(record)
  }

  /** A plane says how far something that it accepted has come. */
  confirm(plane: PlaneName, confirmation: Confirmation<VirtualService, ServiceId>): void {
    this.#convergence.confirm(plane, confirmation)
  }

  /** What a plane holds otherwise than it should at a start is only reported. @returns true where it does */
  reportHeld(state: ServiceState, plane: PlaneName): boolean {
    return this.#convergence.reportHeld(state, plane)
  }

  /** What would happen to new services of these records: one claim or refusal each, in order. Changes nothing. */
  async claims(records: readonly ServiceRecord[]): Promise<(Claim | Refusal)[]> {
    const byRecord = new Map<ServiceRecord, Claim | Refusal>()
    for (const [plane, list] of Map.groupBy(records, (record) => this.#convergence.planeOf(record))) {
      if (this.#convergence.unopened(plane) !== null) continue
      const claims = await this.#options.adoption.claim(plane, list)
      list.forEach((record, index) => byRecord.set(record, claims[index] ?? free(record)))
    }
    return records.map((record) => byRecord.get(record) ?? free(record))
  }

  /** All that was asked for before this call is done. */
  async settled(): Promise<void> {
    while (this.#running !== null) await this.#running
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#convergence.close()
    await this.settled()
    await this.#saving
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
      const decided = await this.#claim(this.#decide(this.#takeBatch()))
      const kept = await this.#makeDurable(decided)
      const written = kept.map((write) => this.#put(write))
      const undoable = new Set(kept.filter((write) => write.source === 'rest').map((write) => write.id))
      const refusals = await this.#convergence.apply(written, this.#takeDirty(), undoable)
      await this.#answer(kept, refusals)
      this.#saving ??= this.#saveHealth().finally(() => {
        this.#saving = null
      })
      for (const { plane, keys, done } of this.#audits.splice(0)) {
        for (const state of await this.#convergence.compare(plane, keys)) this.#dirty.add(state)
        done()
      }
    }
  }

  #waiting(): boolean {
    return this.#writes.length > 0 || this.#dirty.size > 0 || this.#audits.length > 0
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
    const claimed = new Places()
    const decided: Decided[] = []
    for (const write of batch) {
      try {
        const before = desired.record(write.id)
        if (before === null && (desired.services.get(write.id)?.held.size ?? 0) > 0) {
          throw new Refusal(
            'unreachable',
            `service "${write.id}" was deleted and a plane still holds it: ask again when the plane has let it go`,
          )
        }
        const after = write.step(before)
        const closed = this.#convergence.unopened(this.#convergence.planeOf(after ?? before))
        if (closed !== null && write.source === 'rest') throw closed
        if (after === before) {
          write.resolve()
          continue
        }
        if (after !== null) {
          const holder = claimed.holderOf(after) ?? desired.holderOf(after)
          if (holder !== undefined)
            throw exists(`${message.exists}: service "${holder}" has ${endpointOf(after)} already`)
          this.#convergence.check(after)
          claimed.add(after)
        }
        decided.push({ ...write, before, after, found: null, foreign: false })
      } catch (error) {
        write.reject(
          error instanceof Refusal ? error : new Refusal('refused', String(error), { cause: error }),
        )
      }
    }
    return decided
  }

  /** What somebody else has at the endpoint of a new service is taken over, or the write is refused. */
  async #claim(decided: readonly Decided[]): Promise<readonly Decided[]> {
    const created = decided.flatMap(({ before, after }) => (before === null && after !== null ? [after] : []))
    if (created.length === 0) return decided
    const claims = await this.claims(created)
    const byRecord = new Map(created.map((record, index) => [record, claims[index]]))
    return decided.flatMap((write) => {
      const claim = write.before === null && write.after !== null ? byRecord.get(write.after) : undefined
      if (claim === undefined) return [write]
      if (!(claim instanceof Refusal)) {
        const { record, found, foreign } = claim
        return [{ ...write, after: record, found, foreign }]
      }
      write.reject(claim)
      return []
    })
  }

  #put({ id, after, found, foreign }: Decided): ServiceState {
    const state = this.#options.desired.put(id, after)
    const plane = this.#convergence.planeOf(after)
    if (found !== null) state.held.set(plane, found)
    // Who shares its entries with others has a mark on its own.
    if (foreign && this.#options.planes.get(plane)?.can.attach === true) state.taking.add(plane)
    return state
  }

  /** Stores the batch; what cannot be stored is refused and has changed nothing. */
  async #makeDurable(decided: readonly Decided[]): Promise<readonly Decided[]> {
    const rows = decided.flatMap((write) => [
      ...rowsBetween(write.before, write.after),
      ...this.#options.ledger.rowsBefore(this.#convergence.planeOf(write.after), write.after),
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
      if (state !== undefined) {
        vitals.follow(state)
        this.#advise(state)
      }
      for (const event of writeEvents(write.before, write.after, write.source, now())) events.record(event)
      if (write.found !== null) {
        const plane = this.#convergence.planeOf(write.after)
        events.record({ at: now(), type: 'service-adopted', plane, service: write.id })
      }
      write.resolve()
    }
    if (undone.length > 0) await this.#undo(undone, refusals)
  }

  /** Says what a plane advises of a service, once: as events, which are logged. */
  #advise(state: ServiceState): void {
    const { planes, events, now } = this.#options
    const plane = this.#convergence.planeOf(state.record)
    const said = new Set(state.advice)
    state.advice = state.record === null ? [] : (planes.get(plane)?.advice?.(state.id) ?? [])
    for (const text of state.advice)
      if (!said.has(text)) events.record({ at: now(), type: 'advice', plane, service: state.id, text })
  }

  async #undo(undone: readonly Decided[], refusals: ReadonlyMap<ServiceId, Refusal>): Promise<void> {
    const { desired, vitals, store, log, ledger } = this.#options
    const states = undone.map((write) => {
      const state = desired.put(write.id, write.before)
      // What was not taken over after all stays as its maker left it.
      if (write.found !== null) {
        state.held.delete(this.#convergence.planeOf(write.after))
        state.taking.clear()
      }
      state.retryAt = 0
      return state
    })
    // What somebody had changed, where that is only reported, stays so.
    const isOurs = ({ drift }: ServiceState): boolean => drift.size === 0
    await this.#convergence.apply(
      states.filter(isOurs),
      states.filter((state) => !isOurs(state)),
      new Set(),
    )
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
      const refusal = refusals.get(write.id)
      if (state !== undefined) {
        for (const backend of state.backends.values()) vitals.save(backend)
        // What did not answer may still create it after the end of this process: the next one is to know whose that is.
        if (write.before === null && state.held.size === 0 && refusal?.code !== 'unreachable')
          ledger.removed(this.#convergence.planeOf(write.after), write.id)
      }
      if (refusal !== undefined) write.reject(refusal)
    })
  }

  /** Health is stored behind the planes' back: it is never waited for, and a full disk only delays it. */
  async #saveHealth(): Promise<void> {
    const { vitals, ledger, store, log } = this.#options
    for (;;) {
      const backends = vitals.takeUnsaved()
      const cleared = ledger.takeCleared()
      if (backends.length + cleared.length === 0) return
      try {
        await store.commit([...backends.map((backend) => vitals.rowOf(backend)), ...cleared])
      } catch (error) {
        for (const backend of backends) vitals.save(backend)
        ledger.giveBack(cleared)
        log.warn({}, `health could not be stored, which is tried again with the next change: ${text(error)}`)
        return
      }
    }
  }
}

const text = (error: unknown): string => (error instanceof Error ? error.message : String(error))
