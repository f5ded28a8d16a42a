import { setTimeout as sleep } from 'node:timers/promises'
import type { ServiceId } from '../../model/names.ts'
import { Refusal } from '../../model/refusal.ts'
import type { Change, Outcome, VirtualService } from '../plane.ts'
import { Draft } from './draft.ts'
import { OvsdbError, type Operation, type OvsdbLock } from './ovsdb/ovsdb.ts'
import type { View } from './view.ts'

type ServiceChange = Change<VirtualService, ServiceId>

/** A transaction that meets a racing writer is made anew from what that one left, so many times. */
const mostRaces = 8
/** After a connection the answer about the lock may still be on its way. */
const lockMs = 1000

export interface WriterOptions {
  /** So long a connection that broke during a transaction may take to come back before the write counts as failed. */
  readonly patienceMs: number
  /** Changes that were committed under a number of NB_Global:nb_cfg. */
  committed(changes: readonly ServiceChange[], number: number): void
  warn(fields: object, text: string): void
}

/** Carries changes into the northbound database: a batch in one transaction where that can be. One batch at a time. */
export class Writer {
  readonly #view: View
  readonly #lock: OvsdbLock
  readonly #options: WriterOptions
  readonly #unwatch: () => void
  /** Services of which it is not known whether a change that failed was done after all, and how they were when last acknowledged. */
  readonly #unsettled = new Map<ServiceId, VirtualService | null>()
  #last: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor(view: View, lock: OvsdbLock, options: WriterOptions) {
    this.#view = view
    this.#lock = lock
    this.#options = options
    this.#unwatch = lock.watch((held) => {
      if (held) void this.#inTurn(() => this.#settle())
    })
  }

  close(): Promise<unknown> {
    this.#closed = true
    this.#unwatch()
    return this.#last
  }

  /** One outcome a change, in order. Of a service at most one change. */
  carryOut(changes: readonly ServiceChange[]): Promise<readonly Outcome[]> {
    return this.#inTurn(async () => {
      const outcomes = await this.#carryOut(changes)
      changes.forEach(({ key }, index) => {
        if (outcomes[index]?.ok === true) this.#unsettled.delete(key)
      })
      return outcomes
    })
  }

  /** Operations that are no service's. @throws Refusal */
  perform(operations: () => readonly Operation[]): Promise<void> {
    return this.#inTurn(async () => {
      for (let race = 0; ; race++) {
        try {
          await this.#commit(operations())
          return
        } catch (error) {
          if (error instanceof Refusal) throw error
          if (race === mostRaces || !isRace(error)) throw refused(error)
          await sleep(5 * race)
        }
      }
    })
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work)
    this.#last = result.catch(() => {})
    return result
  }

  async #carryOut(changes: readonly ServiceChange[]): Promise<readonly Outcome[]> {
    const before = new Map(changes.map(({ key }) => [key, this.#view.own.spec(key)]))
    const deadline = performance.now() + this.#options.patienceMs
    let broken: Refusal | null = null
    for (let race = 0; ;) {
      const draft = new Draft(this.#view)
      const fit: ServiceChange[] = []
      const outcomes = changes.map((change): Outcome => {
        try {
          draft.add(change)
          fit.push(change)
          return { ok: true }
        } catch (error) {
          if (error instanceof Refusal) return { ok: false, error }
          throw error
        }
      })
      try {
        const number = fit.length === 0 ? 0 : await this.#commit(draft.operations())
        if (fit.length > 0) this.#options.committed(fit, number)
        return outcomes
      } catch (error) {
        if (error instanceof Refusal && error.code === 'unreachable') {
          const sent: boolean = error !== this.#idle
          if (!sent && broken === null) return changes.map(() => ({ ok: false, error }))
          broken ??= error
          if (await this.#reconnected(deadline)) continue
          for (const [key, spec] of before) if (!this.#unsettled.has(key)) this.#unsettled.set(key, spec)
          return changes.map(() => ({ ok: false, error: broken ?? error }))
        }
        if (isRace(error) && race < mostRaces) {
          // What the other one did may still be on its way into the replica.
          await sleep(5 * race++)
          continue
        }
        if (fit.length > 1) return this.#apart(changes)
        const refusal = error instanceof Refusal ? error : refused(error)
        return outcomes.map((outcome) => (outcome.ok ? { ok: false, error: refusal } : outcome))
      }
    }
  }

  /** A batch that the database refuses as a whole: one by one. */
  async #apart(changes: readonly ServiceChange[]): Promise<readonly Outcome[]> {
    const outcomes: Outcome[] = []
    for (const change of changes) outcomes.push(...(await this.#carryOut([change])))
    return outcomes
  }

  /** What came of this is that nothing was sent. */
  #idle: Refusal | null = null

  /** @returns NB_Global:nb_cfg of this transaction, or the present one where there is nothing to do */
  async #commit(operations: readonly Operation[]): Promise<number> {
    await this.#mayWrite()
    const { northbound } = this.#view
    if (operations.length === 0) return currentNumber(northbound)
    const results = await northbound.transact([
      this.#lock.assertion,
      ...operations,
      { op: 'mutate', table: 'NB_Global', where: [], mutations: [['nb_cfg', '+=', 1]] },
      { op: 'select', table: 'NB_Global', where: [], columns: ['nb_cfg'] },
    ])
    return Number(results.at(-1)?.rows?.[0]?.['nb_cfg'] ?? 0)
  }

  /** @throws Refusal `unreachable`, which is `#idle` */
  async #mayWrite(): Promise<void> {
    await this.#afterConnect(() => this.#lock.held)
    const { connected, problem } = this.#view.northbound.state
    if (connected && this.#lock.held) return
    this.#idle = new Refusal(
      'unreachable',
      connected
        ? `${this.#other}, and this one stands by: write there, or give this one an owner of its own (ovn_owner)`
        : problem,
    )
    throw this.#idle
  }

  get #other(): string {
    return `another Torb writes what is marked torb-owner=${this.#view.owner} in the northbound database`
  }

  /** That another Torb holds the lock; null where this one does, or nobody knows. */
  standby(): string | null {
    const { connected } = this.#view.northbound.state
    return connected && this.#lock.known && !this.#lock.held
      ? `${this.#other}; this one stands by, and takes over when that one ends`
      : null
  }

  /** Resolves when the server has said whether this Torb holds the lock, or does not say so in time. */
  lockKnown(): Promise<void> {
    return this.#afterConnect(() => this.#lock.known)
  }

  /** Gives a connection that has just come a moment until this holds of its lock. */
  async #afterConnect(holds: () => boolean): Promise<void> {
    const { northbound } = this.#view
    const deadline = northbound.state.since + lockMs
    const waits = (): boolean => northbound.state.connected && !holds() && Date.now() < deadline
    while (!this.#closed && waits()) await sleep(5)
  }

  async #reconnected(deadline: number): Promise<boolean> {
    while (!this.#closed && performance.now() < deadline) {
      if (this.#view.northbound.state.connected && this.#lock.held) return true
      await sleep(20)
    }
    return false
  }

  /** Takes back what failed and was done after all. */
  async #settle(): Promise<void> {
    if (this.#closed || this.#unsettled.size === 0) return
    const changes = [...this.#unsettled].map(([key, after]): ServiceChange => ({
      key,
      before: this.#view.own.spec(key),
      after,
    }))
    const outcomes = await this.#carryOut(changes)
    changes.forEach(({ key }, index) => {
      const outcome = outcomes[index]
      // The next connection settles it.
      if (outcome?.ok === false && outcome.error.code === 'unreachable') return
      this.#unsettled.delete(key)
      if (outcome?.ok === false)
        this.#options.warn(
          { plane: 'ovn', service: key },
          `a write that failed could not be taken back: ${outcome.error.message}`,
        )
    })
  }
}

export function currentNumber(northbound: View['northbound']): number {
  const [global] = northbound.rows('NB_Global').values()
  return global?.nb_cfg ?? 0
}

/** A guard that did not hold, or a unique name that somebody was first to take. */
const isRace = (error: unknown): boolean =>
  error instanceof OvsdbError && (error.code === 'timed out' || error.code === 'constraint violation')

function refused(error: unknown): Refusal {
  if (!(error instanceof OvsdbError)) throw error
  if (error.code === 'not owner')
    return new Refusal(
      'unreachable',
      'another Torb took over writing to the northbound database just now, and this one stands by: write there',
      { cause: error },
    )
  if (error.code === 'timed out')
    return new Refusal(
      'refused',
      'somebody else keeps changing the same rows of the northbound database: stop that, and try again',
      { cause: error },
    )
  return new Refusal('refused', `the northbound database refused (${error.message})`, { cause: error })
}
