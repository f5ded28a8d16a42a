import type { ServiceId } from '../model/names.ts'
import type { Change, Confirmation, VirtualService } from '../planes/plane.ts'
import type { Effect } from './control.ts'

type ServiceChange = Change<VirtualService, ServiceId>

/** What a plane has accepted of a service and not yet told to be in effect. */
export interface Pending {
  /** Milliseconds since the epoch: at least since then something of it waits. */
  readonly since: number
  /** Those that have not followed yet, as last told. */
  readonly lagging: readonly string[]
}

interface Entry extends Pending {
  /** Of the last change. */
  readonly number: number
  readonly lastAt: number
}

interface Waiting {
  /** Of the change that is waited for. */
  readonly number: number
  readonly resolve: () => void
}

/**
 * The way of one plane's changes from accepted to applied, where the plane tells of it.
 *
 * A change is noted before the plane is asked: its confirmation may come before the answer.
 */
export class Confirmations {
  readonly #now: () => number
  readonly #numbers = new WeakMap<ServiceChange, number>()
  /** Changes that the plane was asked for and has not answered, and whether they are confirmed already. */
  readonly #asked = new Map<ServiceId, { readonly number: number; confirmed: boolean }>()
  readonly #pending = new Map<ServiceId, Entry>()
  readonly #waiting = new Map<ServiceId, Set<Waiting>>()
  #last = 0

  constructor(now: () => number) {
    this.#now = now
  }

  /** The plane is going to be asked for this change. */
  ask(change: ServiceChange): void {
    const number = ++this.#last
    this.#numbers.set(change, number)
    this.#asked.set(change.key, { number, confirmed: false })
  }

  /** The plane has answered. */
  answer(change: ServiceChange, accepted: boolean): void {
    const asked = this.#asked.get(change.key)
    this.#asked.delete(change.key)
    if (asked === undefined || !accepted || asked.confirmed) return
    const at = this.#now()
    const { since = at, lagging = [] } = this.#pending.get(change.key) ?? {}
    this.#pending.set(change.key, { number: asked.number, since, lastAt: at, lagging })
  }

  /** @returns true where what `pending` says of the service is another thing now */
  tell({ key, change, state, lagging }: Confirmation<VirtualService, ServiceId>): boolean {
    const number = change === null ? 0 : this.#numbers.get(change)
    if (number === undefined) return false
    const entry = this.#pending.get(key)
    if (state === 'accepted') return this.#lag(key, number, entry, lagging)
    const asked = this.#asked.get(key)
    if (asked !== undefined && number >= asked.number) asked.confirmed = true
    this.#release(key, number)
    if (entry === undefined) return false
    if (number >= entry.number) this.#pending.delete(key)
    else this.#pending.set(key, { ...entry, since: entry.lastAt })
    return true
  }

  /** null: all of it is in effect. */
  pending(key: ServiceId): Pending | null {
    return this.#pending.get(key) ?? null
  }

  /** All that is accepted and not applied. */
  all(): Iterable<readonly [ServiceId, Pending]> {
    return this.#pending
  }

  /** Resolves with true when all that is accepted of the service by now is applied, with false at the end of the signal. */
  applied(key: ServiceId, signal: AbortSignal): Promise<boolean> {
    const entry = this.#pending.get(key)
    if (entry === undefined) return Promise.resolve(true)
    if (signal.aborted) return Promise.resolve(false)
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const waiting = this.#waiting.get(key) ?? new Set()
    this.#waiting.set(key, waiting)
    const one: Waiting = { number: entry.number, resolve: () => resolve(true) }
    waiting.add(one)
    const giveUp = (): void => {
      waiting.delete(one)
      if (waiting.size === 0) this.#waiting.delete(key)
      resolve(false)
    }
    signal.addEventListener('abort', giveUp, { once: true })
    return promise.finally(() => signal.removeEventListener('abort', giveUp))
  }

  #lag(key: ServiceId, number: number, entry: Entry | undefined, lagging: readonly string[]): boolean {
    if (entry === undefined) {
      // Only an earlier run can have left what nobody here asked for; the rest is confirmed by now, or not answered yet.
      if (number > 0) return false
      const at = this.#now()
      this.#pending.set(key, { number, since: at, lastAt: at, lagging })
      return true
    }
    if (entry.lagging.length === lagging.length && entry.lagging.every((name, i) => name === lagging[i]))
      return false
    this.#pending.set(key, { ...entry, lagging })
    return true
  }

  #release(key: ServiceId, number: number): void {
    const waiting = this.#waiting.get(key)
    for (const one of waiting ?? []) {
      if (one.number > number) continue
      waiting?.delete(one)
      one.resolve()
    }
    if (waiting?.size === 0) this.#waiting.delete(key)
  }
}

/** Waits until all that these planes have accepted of a service is applied, or for the end of the signal. */
export async function appliedOn(
  planes: readonly Confirmations[],
  key: ServiceId,
  signal: AbortSignal,
): Promise<Effect> {
  const all = await Promise.all(planes.map((plane) => plane.applied(key, signal)))
  if (all.every(Boolean)) return { state: 'applied', lagging: [] }
  const lagging = planes.flatMap((plane) => plane.pending(key)?.lagging ?? [])
  return { state: 'accepted', lagging: [...new Set(lagging)] }
}
