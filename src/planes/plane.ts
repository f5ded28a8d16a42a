import type { Family } from '../model/address.ts'
import type {
  BackendId,
  Forwarding,
  PlaneName,
  Protocol,
  PulseType,
  SchedulerName,
  ServiceId,
  TunnelType,
} from '../model/names.ts'
import type { HttpOptions } from '../model/http.ts'
import type { OvnOptions } from '../model/service.ts'
import type { Refusal } from '../model/refusal.ts'

/**
 * What stands between Torb's decisions and whatever carries the packets.
 *
 * A data plane is a Target<VirtualService, ServiceId>; the function gateway's table will be a Target of functions.
 * Only the reconciler calls `apply`.
 */
export interface Target<Spec, Key> {
  readonly can: Capabilities
  /** Probes and gets ready. Rejects with a Refusal that says what is missing and how to get it. */
  open(ledger: Ledger): Promise<void>
  /** What the target really holds: its own entries, those of the ledger included. A key it does not hold is left out. */
  observe(scope: 'all' | readonly Key[]): AsyncIterable<readonly [Key, Spec]>
  /** One batch, one outcome a change, in order. A refused change leaves its entry as it was; the others are done. */
  apply(changes: readonly Change<Spec, Key>[]): Promise<readonly Outcome[]>
  /** Where effect comes later than acceptance (ovn): every accepted change, or a later one of its key, is `applied` in the end. */
  readonly confirmed?: AsyncIterable<Confirmation<Spec, Key>>
  /** Health as the target itself sees it (a service monitor, a proxy whose connects fail). */
  readonly signals?: AsyncIterable<HealthReport>
  /**
   * Why it could not carry this service as things are there now, beyond `can`: asked before anything is stored.
   * One sentence with the cure; null where it could.
   */
  refuses?(spec: Spec): string | null
  /** Where several Torbs share it and one writes at a time: that another one does, in one sentence with the cure; null: this one writes. */
  standby?(): string | null
  /** What its own monitor says of a backend with a `check` now; null: nothing yet. */
  health?(service: Key, backend: BackendId): { readonly up: boolean; readonly reason: string } | null
  /** What whoever set this up should know: one sentence each, with the cure. */
  advice?(key: Key): readonly string[]
  /** Counters of all or of some keys, as they are now. A key it does not hold is left out. */
  counters(keys?: readonly Key[]): Promise<ReadonlyMap<Key, ServiceCounters>>
  /** Where a connection of this kind would go, and why. */
  explain(flow: Flow): Promise<Explanation>
  /** Ends the target's work; traffic goes on where `can.survivesExit`. */
  close(): Promise<void>
  /** Removes exactly its own entries of these keys. */
  withdraw(keys: readonly Key[]): Promise<void>
  /** Sets the counters of these keys, or of all it holds, to zero. */
  zero(keys?: readonly Key[]): Promise<void>
  /**
   * Entries that somebody else made: all, or those at these endpoints (`endpointKey`). Absent where there are none ever.
   * Their ids are the names that they have there, which several may share, else the texts of their endpoints.
   */
  foreign?(endpoints?: readonly string[]): Promise<readonly Spec[]>
  /** Removes everything, also what is not its own. Absent where only its own can be there. */
  flush?(): Promise<void>
  /** What else is to be known about it (time-outs in force, sync daemons), for people. Absent where nothing. */
  facts?(): Promise<Readonly<Record<string, unknown>>>
  /** Opens the log files that it writes anew: what rotates logs has moved them away. Absent where it writes none. */
  reopenLog?(): Promise<void>
}

export type Plane = Target<VirtualService, ServiceId>

/** Add: before null. Remove: after null. `before` is what the target held when the plan was made. */
export interface Change<Spec, Key> {
  readonly key: Key
  readonly before: Spec | null
  readonly after: Spec | null
  /** `before` is an entry of somebody else, the very object that `foreign` gave: it becomes the target's own (ovn: is marked). */
  readonly foreign?: true
}

/** The error has the code `refused` (the plane said no) or `unreachable` (it could not be asked). */
export type Outcome = { readonly ok: true } | { readonly ok: false; readonly error: Refusal }

export interface Confirmation<Spec, Key> {
  readonly key: Key
  /** The very object that `apply` was given; applied, it stands for all earlier ones of the key. null: of an earlier run. */
  readonly change: Change<Spec, Key> | null
  /** `accepted` may be told again and again while some lag. */
  readonly state: 'accepted' | 'applied'
  /** Those that have not followed yet, by name. */
  readonly lagging: readonly string[]
}

export interface HealthReport {
  readonly service: ServiceId
  readonly backend: BackendId
  readonly up: boolean
  readonly reason: string
}

/** A virtual service as a plane programs it: addresses resolved, names validated, weights in force. */
export interface VirtualService {
  readonly id: ServiceId
  /** Canonical IP address; '' with a firewall mark. */
  readonly address: string
  readonly port: number | 'any'
  readonly protocol: Protocol
  /** 0: selected by address. */
  readonly fwmark: number
  readonly family: Family
  readonly scheduler: SchedulerName
  /** Bits of `flagBit`. */
  readonly flags: number
  /** Source affinity: idle time-out in seconds and prefix length of the client's network. */
  readonly persistence: { readonly timeout: number; readonly prefix: number } | null
  /** Say who the client is to the backend by PROXY protocol v2. */
  readonly proxyProtocol: boolean
  readonly attach: {
    readonly switches: readonly string[]
    readonly routers: readonly string[]
    readonly groups: readonly string[]
  } | null
  /** What only a virtual network has; null where nothing was said. */
  readonly ovn: OvnOptions | null
  /** What only http has; absent where nothing was said. */
  readonly http?: HttpOptions
  /** In the order they were created. */
  readonly destinations: readonly Destination[]
  /** Of what a plane observes: what somebody changed in its entry that no other field can tell, in a few words. */
  readonly drift?: string
}

export interface Destination {
  readonly id: BackendId
  /** Canonical IP address. */
  readonly address: string
  /** 0: the port of the connection (services of any port). */
  readonly port: number
  /** The weight in force; 0 takes no new connections. */
  readonly weight: number
  /** The configured weight; a hash that must not move with health is built over it. */
  readonly maxWeight: number
  readonly forwarding: Forwarding
  readonly tunnel: { readonly type: TunnelType; readonly port: number } | null
  /** Open connections, from which on it is skipped; 0: no limit. */
  readonly maxConnections: number
  /** IPVS thresholds: above the upper skipped until below the lower (3/4 of the upper where 0). 0: none. */
  readonly upperThreshold: number
  readonly lowerThreshold: number
  /** What the plane's own monitor is to check, of the kinds in `can.checks`; null: nothing. */
  readonly check: DestinationCheck | null
}

/** Times in milliseconds. */
export interface DestinationCheck {
  readonly type: PulseType
  readonly intervalMs: number
  readonly timeoutMs: number
  readonly rise: number
  readonly fall: number
  /**
   * True: while the monitor says down, the plane leaves it out by itself, also while no Torb runs. False: the weight alone
   * decides, and the monitor only tells: where the weight is 0 by wish (configured, drain), or 1 by fb-zero-to-one.
   */
  readonly decides: boolean
}

/** What a plane can do, as data: validation, `doctor` and the conformance suite read it. */
export interface Capabilities {
  readonly name: PlaneName
  readonly schedulers: ReadonlySet<SchedulerName>
  /** `exact`: shares follow the discipline's order. `hash`: connections are spread by a hash, so shares are statistical. */
  readonly spread: 'exact' | 'hash'
  /** Kinds of pulses that it carries out itself, and tells of by `health` and `signals`. */
  readonly checks: ReadonlySet<PulseType>
  /** Where schedulers are kernel modules: what their module names begin with, so that a missing one can be loaded. */
  readonly schedulerModules?: string
  /** Bits of `flagBit` that it honours. */
  readonly flags: number
  readonly forwarding: ReadonlySet<Forwarding>
  readonly tunnels: ReadonlySet<TunnelType>
  readonly protocols: ReadonlySet<Protocol>
  readonly families: ReadonlySet<Family>
  readonly anyPort: boolean
  /** `anyPort` also without affinity. */
  readonly anyPortWithoutPersistence: boolean
  readonly fwmark: boolean
  readonly persistence: boolean
  readonly maxConnections: boolean
  readonly thresholds: boolean
  readonly proxyProtocol: boolean
  readonly attach: boolean
  /** Connections, packets and bytes are counted; without, counters tell of what is open at most. */
  readonly counters: boolean
  /** Active connections of a backend are known: a drain can end when they do. */
  readonly activeConnections: boolean
  /** Traffic goes on while no Torb runs; what it holds is adopted at the next start. */
  readonly survivesExit: boolean
}

/** Counters since the entry was added. In: from the client's side. */
export interface TrafficCounters {
  connections: number
  packetsIn: number
  packetsOut: number
  bytesIn: number
  bytesOut: number
  /** Open now. UDP: flows seen within the time-out. */
  active: number
  /** In the table, but closing or waiting out a time-out. */
  inactive: number
  /** Connections that could not be made, or broke. */
  errors: number
  /** Averages over the last seconds. Absent where not measured. */
  rates?: Rates
}

/** Per second, as the kernel's estimator has them (net/netfilter/ipvs/ip_vs_est.c): every 2 s a quarter of the difference. */
export interface Rates {
  readonly connections: number
  readonly packetsIn: number
  readonly packetsOut: number
  readonly bytesIn: number
  readonly bytesOut: number
}

export interface DestinationCounters extends TrafficCounters {
  /** Time to connect in microseconds: count, sum and one count for each bound of `connectBounds`. Absent where not measured. */
  readonly connect?: { readonly count: number; readonly sum: number; readonly buckets: readonly number[] }
}

/** Upper bounds of the connect-time buckets, microseconds; what is slower is only in `count`. */
export const connectBounds = [100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 100_000, 1_000_000] as const

/** Requests for which all backends of a service were full. */
export interface QueueCounters {
  /** In the queue now. */
  readonly waiting: number
  /** Refused, since the queue was full too. */
  readonly overloaded: number
  /** Refused after they had waited in vain. */
  readonly expired: number
}

export interface ServiceCounters extends TrafficCounters {
  /** Absent where requests are not what is balanced. */
  readonly queue?: QueueCounters
  readonly destinations: ReadonlyMap<BackendId, DestinationCounters>
}

export interface Flow {
  readonly protocol: Protocol
  readonly source: string
  readonly sourcePort: number
  readonly destination: string
  readonly destinationPort: number
}

export interface Explanation {
  readonly service: ServiceId | null
  readonly backend: BackendId | null
  /** One of these takes it, and which cannot be foretold; absent where `backend` says it, or none does. */
  readonly candidates?: readonly BackendId[]
  /** The steps that led there, one sentence each, in order. */
  readonly steps: readonly string[]
}

/** Which keys a target was given: kernels keep no owner's mark. Written before the add, cleared after the delete. */
export interface Ledger {
  has(key: string): boolean
  keys(): Iterable<string>
  /** What was noted for the key when it was added, such as its address in the kernel. */
  note(key: string): string | undefined
}

/** True where two destinations would be programmed alike. */
export function sameDestination(a: Destination, b: Destination): boolean {
  return (
    a.id === b.id &&
    a.address === b.address &&
    a.port === b.port &&
    a.weight === b.weight &&
    a.maxWeight === b.maxWeight &&
    a.forwarding === b.forwarding &&
    a.tunnel?.type === b.tunnel?.type &&
    a.tunnel?.port === b.tunnel?.port &&
    a.maxConnections === b.maxConnections &&
    a.upperThreshold === b.upperThreshold &&
    a.lowerThreshold === b.lowerThreshold &&
    sameCheck(a.check, b.check)
  )
}

function sameCheck(a: DestinationCheck | null, b: DestinationCheck | null): boolean {
  if (a === null || b === null) return a === b
  return (
    a.type === b.type &&
    a.intervalMs === b.intervalMs &&
    a.timeoutMs === b.timeoutMs &&
    a.rise === b.rise &&
    a.fall === b.fall &&
    a.decides === b.decides
  )
}

/** What differs between two states of one service: the smallest set of steps from `before` to `after`. */
export interface DestinationDifference {
  readonly added: readonly Destination[]
  readonly removed: readonly Destination[]
  readonly changed: readonly (readonly [before: Destination, after: Destination])[]
}

export function differenceOfDestinations(
  before: readonly Destination[],
  after: readonly Destination[],
): DestinationDifference {
  const held = new Map(before.map((destination) => [destination.id, destination]))
  const added: Destination[] = []
  const removed: Destination[] = []
  const changed: [Destination, Destination][] = []
  for (const destination of after) {
    const old = held.get(destination.id)
    held.delete(destination.id)
    if (old === undefined) added.push(destination)
    else if (old.address !== destination.address || old.port !== destination.port) {
      removed.push(old)
      added.push(destination)
    } else if (old !== destination && !sameDestination(old, destination)) changed.push([old, destination])
  }
  removed.push(...held.values())
  return { added, removed, changed }
}
