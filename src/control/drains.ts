import type { BackendId, ServiceId } from '../model/names.ts'
import type { ServiceCounters } from '../planes/plane.ts'
import { endDrain } from './desired.ts'
import type { EventLog } from './events.ts'
import { backendKey } from './records.ts'
import type { Reconciler } from './reconciler.ts'
import type { DesiredState } from './state.ts'

const lookEveryMs = 200
const tellEveryMs = 1000

export interface DrainsOptions {
  readonly desired: DesiredState
  readonly reconciler: Reconciler
  readonly counters: (ids: readonly ServiceId[]) => Promise<ReadonlyMap<ServiceId, ServiceCounters>>
  /** False where the plane of a service cannot count its open connections: a drain then takes all of its time. */
  readonly isCounted: (id: ServiceId) => boolean
  readonly events: EventLog
  readonly now: () => number
}

/** Removes draining backends when their last connection has ended, or their time. */
export class Drains {
  readonly #options: DrainsOptions
  /** Services with a draining backend. */
  readonly #services = new Set<ServiceId>()
  /** Open connections of each draining backend as last told, and when (epoch ms). */
  readonly #told = new Map<string, { readonly active: number; readonly at: number }>()
  #timer: NodeJS.Timeout | null = null
  #closed = false

  constructor(options: DrainsOptions) {
    this.#options = options
  }

  /** To be called for a service that has a draining backend. */
  watch(id: ServiceId): void {
    this.#services.add(id)
    this.#later()
  }

  close(): void {
    this.#closed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
  }

  #later(): void {
    if (this.#closed || this.#services.size === 0) return
    this.#timer ??= setTimeout(() => {
      void this.#look().finally(() => {
        this.#timer = null
        this.#later()
      })
    }, lookEveryMs)
  }

  async #look(): Promise<void> {
    const { desired, counters, isCounted, now } = this.#options
    const open = await counters([...this.#services]).catch(() => new Map<ServiceId, ServiceCounters>())
    for (const id of this.#services) {
      const draining = desired.record(id)?.backends.filter((backend) => backend.drainUntil > 0) ?? []
      if (draining.length === 0) this.#services.delete(id)
      for (const backend of draining) {
        // A plane that does not answer says nothing: the deadline decides.
        const active = isCounted(id) ? open.get(id)?.destinations.get(backend.id)?.active : undefined
        if (active === 0 || backend.drainUntil <= now()) await this.#end(id, backend.id, active ?? 0)
        else if (active !== undefined) this.#tell(id, backend.id, active)
      }
    }
  }

  /** Progress, where there is some, once a second. */
  #tell(service: ServiceId, backend: BackendId, active: number): void {
    const { events, now } = this.#options
    const key = backendKey(service, backend)
    const last = this.#told.get(key)
    if (last !== undefined && (last.active === active || now() - last.at < tellEveryMs)) return
    this.#told.set(key, { active, at: now() })
    if (last !== undefined) events.record({ at: now(), type: 'drain-progress', service, backend, active })
  }

  async #end(service: ServiceId, backend: BackendId, active: number): Promise<void> {
    const { reconciler, events, now } = this.#options
    try {
      await reconciler.write(service, endDrain(backend), 'health')
      this.#told.delete(backendKey(service, backend))
      events.record({ at: now(), type: 'drain-ended', service, backend, active })
    } catch {
      // Not durable yet (a full disk): the next look tries again.
    }
  }
}
