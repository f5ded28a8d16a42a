import type { FunctionName, FunctionSpec } from '../model/function.ts'
import type { WeightOverlay } from './functions.ts'

interface Laid {
  readonly spec: FunctionSpec
  readonly overlay: WeightOverlay
}

/** Weights that lie over those of functions for a while; each holds for the very spec that it was laid over. */
export class Overlays {
  readonly #laid = new Map<FunctionName, Laid>()
  readonly #now: () => number
  readonly #expired: (name: FunctionName) => void
  #timer: NodeJS.Timeout | undefined
  /** When the timer ends. */
  #wakesAt = Infinity

  /** @param expired told of each function whose overlay came to its end */
  constructor(now: () => number, expired: (name: FunctionName) => void) {
    this.#now = now
    this.#expired = expired
  }

  /** null takes it away. */
  lay(name: FunctionName, spec: FunctionSpec, overlay: WeightOverlay | null): void {
    if (overlay === null) {
      this.#laid.delete(name)
      return
    }
    this.#laid.set(name, { spec, overlay })
    if (overlay.until < this.#wakesAt) this.#wakeAt(overlay.until)
  }

  /** What lies over this spec of a function; what lay over another is forgotten. */
  over(name: FunctionName, spec: FunctionSpec): WeightOverlay | null {
    const laid = this.#laid.get(name)
    if (laid?.spec === spec) return laid.overlay
    this.#laid.delete(name)
    return null
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#laid.clear()
  }

  #wakeAt(until: number): void {
    clearTimeout(this.#timer)
    this.#wakesAt = until
    this.#timer = setTimeout(() => this.#end(), Math.max(1, until - this.#now())).unref()
  }

  #end(): void {
    const now = this.#now()
    let next = Infinity
    for (const [name, { overlay }] of this.#laid) {
      if (overlay.until > now) {
        next = Math.min(next, overlay.until)
        continue
      }
      this.#laid.delete(name)
      this.#expired(name)
    }
    this.#wakesAt = Infinity
    if (next < Infinity) this.#wakeAt(next)
  }
}
