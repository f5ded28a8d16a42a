import type { BackendBody, BackendOptions, BackendPatchBody } from '../model/backend.ts'
import type { BackendId, PlaneName, ServiceId } from '../model/names.ts'
import type { ServiceBody, ServiceOptions } from '../model/service.ts'
import type { Capabilities, Explanation, Flow, ServiceCounters, VirtualService } from '../planes/plane.ts'
import type { EventLog, Source } from './events.ts'

/**
 * The face of control to those above it (REST, files, the command line): every write goes through here, one at a time.
 *
 * A write resolves when it is durable and the plane has it. It rejects with a Refusal and then has changed nothing.
 * Values arrive parsed by the model's schemas; control fills in defaults, resolves names and checks the rest.
 */
export interface Control {
  /** With its backends: all of it or nothing. */
  createService(id: ServiceId, body: NewServiceBody, source: Source): Promise<void>
  patchService(id: ServiceId, body: ServiceBody, source: Source): Promise<void>
  deleteService(id: ServiceId, source: Source): Promise<void>
  createBackend(service: ServiceId, id: BackendId, body: BackendBody, source: Source): Promise<void>
  patchBackend(service: ServiceId, id: BackendId, body: BackendPatchBody, source: Source): Promise<void>
  /** @param drainMs let open connections finish for so long first; undefined: the service's `drain`, else at once */
  deleteBackend(service: ServiceId, id: BackendId, source: Source, drainMs?: number): Promise<void>
  /** Makes the file's objects those of the configuration: creates, changes and deletes what the file owns, nothing else. */
  replaceConfigured(objects: readonly ConfiguredService[]): Promise<ConfiguredOutcome>

  serviceIds(): ServiceId[]
  /** null where unknown. */
  service(id: ServiceId): ServiceView | null
  backend(service: ServiceId, id: BackendId): BackendView | null
  /** All backends of a service in list order; none where it is unknown. */
  backends(service: ServiceId): BackendView[]
  counters(ids?: readonly ServiceId[]): Promise<ReadonlyMap<ServiceId, ServiceCounters>>
  explain(flow: Flow): Promise<Explanation>
  /** Sets the counters of these services, or of all, to zero. */
  zero(ids?: readonly ServiceId[]): Promise<void>
  planes(): Promise<readonly PlaneStatus[]>
  /** Waits until all that planes have accepted of the service is in effect, for so long at most. */
  applied(id: ServiceId, timeoutMs: number): Promise<Effect>
  readonly events: EventLog
}

export interface NewServiceBody extends ServiceBody {
  readonly backends?: Readonly<Record<BackendId, BackendBody>> | undefined
}

export interface ConfiguredService {
  readonly id: ServiceId
  readonly options: ServiceBody
  readonly backends: readonly { readonly id: BackendId; readonly options: BackendBody }[]
}

/** What was not taken over, with the place in the file left to the caller, who knows it by service and backend. */
export type ConfiguredOutcome =
  | { readonly ok: true; readonly changes: number }
  | {
      readonly ok: false
      readonly service: ServiceId
      readonly backend: BackendId | null
      readonly message: string
    }

/** Whether all that was accepted of a service is in effect. */
export interface Effect {
  readonly state: 'applied' | 'accepted'
  /** Those that have not followed yet, by name, as far as they are known. */
  readonly lagging: readonly string[]
}

/** Where an object stands between wish and effect. */
export interface ReconcileState {
  /**
   * applied: the plane holds it. accepted: the plane has taken it and it is not in effect everywhere, or another Torb writes
   * to it and this one stands by (ovn). failing: the plane refuses it, retried with back-off. drifted: somebody changed it behind Torb, which only reports that (--observe).
   */
  readonly state: 'applied' | 'accepted' | 'failing' | 'drifted'
  readonly message: string
  /** Milliseconds since the epoch of the last change of state. */
  readonly since: number
  /** Those that have not followed yet, by name; absent where the plane does not tell. */
  readonly lagging?: readonly string[]
}

export interface ServiceView {
  readonly id: ServiceId
  readonly options: ServiceOptions
  /** Canonical IP address in use; '' for a firewall mark. */
  readonly address: string
  readonly owner: 'rest' | 'file'
  readonly plane: PlaneName
  /** Mean of the backends' health; 0 without any. */
  readonly health: number
  readonly backends: readonly BackendId[]
  readonly reconcile: ReconcileState
  /** What whoever set it up should know: one sentence each, with the cure. */
  readonly advice: readonly string[]
}

export interface BackendView {
  readonly id: BackendId
  /** `weight` is the configured one (an override included). */
  readonly options: BackendOptions
  readonly address: string
  readonly owner: 'rest' | 'file'
  /** The weight in force. */
  readonly effectiveWeight: number
  /** True while a REST override stands above the file's weight. */
  readonly overridden: boolean
  readonly draining: boolean
  readonly metrics: BackendMetrics
  /** Why it is out, or on its way back; '' where it is simply Up. */
  readonly reason: string
}

/** GORB's metrics. status: 0 Up, 1 Down, 2 Removed. health: 0..1. uptime: whole seconds. */
export interface BackendMetrics {
  readonly status: 0 | 1 | 2
  readonly health: number
  readonly uptime: number
}

export interface PlaneStatus {
  readonly name: PlaneName
  readonly can: Capabilities
  readonly services: number
  readonly failing: number
  /** Services that somebody changed behind Torb and that it does not repair (--observe). */
  readonly drifted: number
  /** How far effect lags behind acceptance; null where the plane does not tell. */
  readonly lag: PlaneLag | null
  /** Milliseconds since the epoch of the last full audit; 0: none yet. */
  readonly auditedAt: number
  /** Entries that somebody else made; their ids are texts of their endpoints. */
  readonly foreign: readonly VirtualService[]
  readonly facts: Readonly<Record<string, unknown>>
  /** Why `foreign` and `facts` are not known now; '' where they are. */
  readonly problem: string
}

export interface PlaneLag {
  /** Services of which something is accepted and not applied. */
  readonly services: number
  /** Milliseconds since the epoch of the oldest; 0: none. */
  readonly since: number
  /** Of how many services each of those that lag has not followed yet, by name. */
  readonly lagging: ReadonlyMap<string, number>
}
