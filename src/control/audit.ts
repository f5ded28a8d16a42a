import type { PlaneName } from '../model/names.ts'
import type { Reconciler } from './reconciler.ts'
import type { DesiredState } from './state.ts'

const tickMs = 200
/** A full round takes 2 s up to 1,000 services and grows with them above. */
const ticksARound = 10
const mostKeysATick = 100

/** Looks round-robin whether the planes still hold what they were given; repair is the reconciler's. */
export class Audit {
  readonly #timer: NodeJS.Timeout | null
  readonly #desired: DesiredState
  readonly #reconciler: Reconciler
  readonly #planes: readonly PlaneName[]
  readonly #now: () => number
  #round: Iterator<string> | null = null
  #busy = false
  /** Milliseconds since the epoch; 0: no round has ended yet. */
  roundEndedAt = 0

  /** @param planes those whose entries somebody else could change: a plane inside this process needs no audit */
  constructor(options: {
    desired: DesiredState
    reconciler: Reconciler
    planes: readonly PlaneName[]
    now: () => number
  }) {
    this.#desired = options.desired
    this.#reconciler = options.reconciler
    this.#planes = options.planes
    this.#now = options.now
    this.#timer = options.planes.length === 0 ? null : setInterval(() => void this.#tick(), tickMs)
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
  }

  async #tick(): Promise<void> {
    if (this.#busy) return
    this.#busy = true
    try {
      const keys: string[] = []
      const share = Math.ceil(this.#desired.services.size / ticksARound)
      const keysATick = Math.min(mostKeysATick, Math.max(1, share))
      this.#round ??= this.#desired.services.keys()
      while (keys.length < keysATick) {
        const next = this.#round.next()
        if (next.done === true) {
          this.#round = null
          break
        }
        keys.push(next.value)
      }
      for (const plane of this.#planes) await this.#reconciler.audit(plane, keys)
      if (this.#round === null) this.roundEndedAt = this.#now()
    } finally {
      this.#busy = false
    }
  }
}
