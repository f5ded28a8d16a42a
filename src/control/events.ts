import type { FunctionName } from '../model/function.ts'
import type { BackendId, PlaneName, ServiceId } from '../model/names.ts'
import type { FunctionOwner, SourceState } from './functions.ts'

/** The part of a logger (pino's) that control uses. */
export interface Log {
  info(fields: object, text: string): void
  warn(fields: object, text: string): void
}

/** All that happens, as one closed union: the log, the metrics, `/events` and the live pages render it. */
export type TorbEvent = { readonly at: number } & (
  | {
      readonly type: 'service-created' | 'service-changed' | 'service-deleted'
      readonly service: ServiceId
      readonly source: Source
    }
  | {
      readonly type: 'backend-created' | 'backend-changed' | 'backend-deleted'
      readonly service: ServiceId
      readonly backend: BackendId
      readonly source: Source
    }
  | {
      readonly type: 'backend-up' | 'backend-down'
      readonly service: ServiceId
      readonly backend: BackendId
      readonly reason: string
    }
  | {
      readonly type: 'function-created' | 'function-changed' | 'function-deleted'
      readonly function: FunctionName
      readonly source: FunctionOwner
    }
  | {
      /** A key that cannot be used; what its function was before stays. */
      readonly type: 'function-rejected'
      readonly source: FunctionOwner
      readonly key: string
      readonly reason: string
    }
  | {
      /** How it stands with the origin of functions. */
      readonly type: 'source-changed'
      readonly source: FunctionOwner
      readonly state: SourceState
      readonly message: string
    }
  | {
      readonly type: 'instance-up' | 'instance-down'
      readonly function: FunctionName
      readonly instance: string
      readonly reason: string
    }
  | {
      /** Passive ejection of an instance by the gateway. */
      readonly type: 'instance-ejected'
      readonly instance: string
      readonly milliseconds: number
    }
  | {
      /** Feedback moved the weight of an instance. */
      readonly type: 'instance-weight-changed'
      readonly function: FunctionName
      readonly instance: string
      readonly from: number
      readonly to: number
      readonly reason: 'slower' | 'faster' | 'failing' | 'balance'
      /** Its response time, and the mean with which it was compared; null: not measured. */
      readonly milliseconds: number | null
      readonly reference: number | null
    }
  | {
      /** The weight in force moved by health: restoration, failure or fallback. */
      readonly type: 'weight-changed'
      readonly service: ServiceId
      readonly backend: BackendId
      readonly from: number
      readonly to: number
      readonly reason: 'down' | 'recovering' | 'recovered' | 'fallback' | 'fallback-ended'
    }
  | {
      readonly type: 'drain-started' | 'drain-progress' | 'drain-ended'
      readonly service: ServiceId
      readonly backend: BackendId
      /** Connections still open. */
      readonly active: number
    }
  | {
      /** An equal entry of somebody else became this service. */
      readonly type: 'service-adopted'
      readonly plane: PlaneName
      readonly service: ServiceId
    }
  | {
      readonly type: 'plane-drift'
      readonly plane: PlaneName
      readonly service: ServiceId
      readonly difference: string
    }
  | {
      readonly type: 'plane-failed'
      readonly plane: PlaneName
      readonly service: ServiceId
      readonly message: string
    }
  | {
      readonly type: 'plane-repaired' | 'plane-recovered'
      readonly plane: PlaneName
      readonly service: ServiceId
    }
  | {
      /** For some seconds changes have been accepted and are not in effect: once, and again where others lag. */
      readonly type: 'plane-lagging'
      readonly plane: PlaneName
      readonly services: number
      /** Those that have not followed, by name. */
      readonly lagging: readonly string[]
    }
  | { readonly type: 'plane-caught-up'; readonly plane: PlaneName }
  | {
      /** What whoever wrote the service should know, with the cure. */
      readonly type: 'advice'
      readonly plane: PlaneName
      readonly service: ServiceId
      readonly text: string
    }
  | {
      readonly type: 'counters-zeroed'
      /** Absent: of all services. */
      readonly service?: ServiceId
    }
  | { readonly type: 'config-loaded' | 'config-refused'; readonly file: string; readonly message: string }
  | { readonly type: 'ready'; readonly plane: PlaneName }
)

export type Source = 'rest' | 'file' | 'health'

export interface Numbered {
  readonly id: number
  readonly event: TorbEvent
}

/** The last events, numbered, for whoever reads on from a number; and those to come, for whoever listens. */
export class EventLog {
  readonly #kept: Numbered[] = []
  readonly #listeners = new Set<(numbered: Numbered) => void>()
  readonly #capacity: number
  #next = 1

  constructor(capacity = 1000) {
    this.#capacity = capacity
  }

  record(event: TorbEvent): void {
    const numbered = { id: this.#next++, event }
    this.#kept.push(numbered)
    // Trimmed in slabs, so that a record costs no shift.
    if (this.#kept.length >= 2 * this.#capacity) this.#kept.splice(0, this.#kept.length - this.#capacity)
    for (const listener of this.#listeners) listener(numbered)
  }

  /** The kept events after number `id`, oldest first. */
  since(id: number): readonly Numbered[] {
    return this.#kept.slice(-this.#capacity).filter((numbered) => numbered.id > id)
  }

  /** @returns the function that ends the subscription */
  subscribe(listener: (numbered: Numbered) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}
