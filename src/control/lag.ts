import type { PlaneName } from '../model/names.ts'
import type { Confirmations } from './confirmations.ts'
import type { PlaneLag } from './control.ts'
import type { EventLog } from './events.ts'

const lookEveryMs = 1000
/** What takes no longer is the ordinary way from accepted to applied. */
const ordinaryMs = 5000

/** How far effect lags behind acceptance on one plane now; null where the plane does not tell. */
export function lagOf(confirmations: Confirmations): PlaneLag
export function lagOf(confirmations: Confirmations | undefined): PlaneLag | null
export function lagOf(confirmations: Confirmations | undefined): PlaneLag | null {
  if (confirmations === undefined) return null
  let services = 0
  let since = 0
  const lagging = new Map<string, number>()
  for (const [, pending] of confirmations.all()) {
    services++
    if (since === 0 || pending.since < since) since = pending.since
    for (const name of pending.lagging) lagging.set(name, (lagging.get(name) ?? 0) + 1)
  }
  return { services, since, lagging }
}

/** Tells as events when a plane's effect lags for longer than is ordinary, and when it has caught up. */
export class LagWatch {
  readonly #confirmations: ReadonlyMap<PlaneName, Confirmations>
  readonly #events: EventLog
  readonly #now: () => number
  /** Planes that lag, with the names that were told. */
  readonly #told = new Map<PlaneName, string>()
  readonly #timer: NodeJS.Timeout | null

  constructor(confirmations: ReadonlyMap<PlaneName, Confirmations>, events: EventLog, now: () => number) {
    this.#confirmations = confirmations
    this.#events = events
    this.#now = now
    this.#timer = confirmations.size === 0 ? null : setInterval(() => this.look(), lookEveryMs)
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
  }

  /** What the timer does. */
  look(): void {
    const at = this.#now()
    for (const [plane, confirmations] of this.#confirmations) {
      const { services, since, lagging } = lagOf(confirmations)
      if (since === 0 || at - since < ordinaryMs) {
        if (this.#told.delete(plane)) this.#events.record({ at, type: 'plane-caught-up', plane })
        continue
      }
      const names = [...lagging.keys()].sort()
      const text = names.join(' ')
      if (this.#told.get(plane) === text) continue
      this.#told.set(plane, text)
      this.#events.record({ at, type: 'plane-lagging', plane, services, lagging: names })
    }
  }
}
