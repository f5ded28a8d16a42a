import type { RefusalCode } from '../model/refusal.ts'
import type { DesiredState, ServiceState } from './state.ts'

const firstMs = 1000
/** Somebody may have cleared the way meanwhile. */
const lastMs = 15_000
/** A plane that could not be asked says at once when that is still so. */
const lastUnreachableMs = 5000

export interface RetriesOptions {
  readonly desired: DesiredState
  readonly now: () => number
  readonly touch: (state: ServiceState) => void
}

/** Another try for services that their plane refused, after 1 s, 2 s, 4 s, at last every 15 s; every 5 s where it cannot be asked. One timer for all. */
export class Retries {
  readonly #options: RetriesOptions
  #timer: NodeJS.Timeout | null = null
  /** When the timer goes off; infinite while there is none. */
  #due = Number.POSITIVE_INFINITY
  #closed = false

  constructor(options: RetriesOptions) {
    this.#options = options
  }

  /** The service failed once more. */
  later(state: ServiceState, why: RefusalCode): void {
    const most = why === 'unreachable' ? lastUnreachableMs : lastMs
    const wait = Math.min(most, firstMs * 2 ** state.attempts++)
    state.retryAt = this.#options.now() + wait
    this.#arm(state.retryAt)
  }

  close(): void {
    this.#closed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
  }

  #arm(at: number): void {
    if (this.#closed || at >= this.#due) return
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#due = at
    this.#timer = setTimeout(() => this.#go(), Math.max(0, at - this.#options.now()))
  }

  #go(): void {
    const { desired, now, touch } = this.#options
    this.#timer = null
    this.#due = Number.POSITIVE_INFINITY
    let next = Number.POSITIVE_INFINITY
    for (const state of desired.services.values()) {
      if (state.retryAt === 0) continue
      if (state.retryAt <= now()) touch(state)
      else next = Math.min(next, state.retryAt)
    }
    if (Number.isFinite(next)) this.#arm(next)
  }
}
