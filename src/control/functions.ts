import type { FunctionName, FunctionSpec } from '../model/function.ts'

/** Where functions come from, the first that has a name decides: what an operator says by hand stands above all. */
export const functionOwners = ['rest', 'file', 'etcd'] as const
export type FunctionOwner = (typeof functionOwners)[number]

/**
 * What a source outside of Torb puts its functions into: a layer of the table for each of its zones, of which the first
 * that has a name decides. Calls take effect in their order; nothing in here waits.
 */
export interface FunctionSource {
  /** What this source holds of a zone now. */
  held(zone: string): ReadonlyMap<FunctionName, FunctionSpec>
  /** Creates or replaces; also ends the rejection of `key`. A function that is refused is kept as `reject` does. */
  put(key: string, zone: string, name: FunctionName, spec: FunctionSpec): void
  /** Forgets a function, if it is there, and the rejection of `key`. */
  remove(key: string, zone: string, name: FunctionName): void
  /** A key that cannot be used, with the reason; what its function was before stays. */
  reject(key: string, reason: string): void
  /** Forgets the rejection of `key`. */
  settle(key: string): void
  /** How it stands with the origin; shown with its age. */
  report(state: SourceState, message: string): void
}

/** current: as its origin has it. stale: the origin does not answer, the last known functions stay. held: a change waits for somebody to confirm it. */
export type SourceState = 'starting' | 'current' | 'stale' | 'held'

export interface SourceStatus {
  readonly owner: FunctionOwner
  readonly state: SourceState
  readonly message: string
  /** Milliseconds since the epoch: when it last was `current`; 0: never. */
  readonly currentAt: number
  readonly functions: number
}

/** A source that follows an origin by zones, and may hold losses back until somebody confirms them (src/sources/etcd). */
export interface FollowedSource {
  status(): { readonly zones: readonly FollowedZone[] }
  /** An operator's word that the origin is right. @returns how many functions changed */
  confirm(): number
}

export interface FollowedZone {
  readonly zone: string
  readonly state: SourceState
  readonly endpoint: string
  /** All up to this revision of the origin is known; 0: nothing is. */
  readonly revision: number
  /** Milliseconds since it was last proven that all the origin has is known; null: it never was. */
  readonly age: number | null
  readonly message: string
  readonly held: HeldLosses | null
}

/** Losses of instances that wait for a confirmation. */
export interface HeldLosses {
  /** Milliseconds since the epoch. */
  readonly since: number
  /** Functions that keep instances which the origin has no more. */
  readonly functions: readonly FunctionName[]
  readonly instances: number
  /** Instances in force, the held ones among them. */
  readonly of: number
  /** What the origin has does not follow from what it had: it is not taken by itself after a while. */
  readonly onlyByOperator: boolean
}

export interface RejectedKey {
  readonly owner: FunctionOwner
  readonly key: string
  readonly reason: string
  /** Milliseconds since the epoch. */
  readonly since: number
}

export interface PublishedInstance {
  /** As in `ips`. */
  readonly text: string
  /** '' while its name does not resolve. */
  readonly address: string
  readonly port: number
}

/** Weights that lie over those of a function for a while: what feedback says of it. */
export interface WeightOverlay {
  /** One for each of `spec.ips`. */
  readonly weights: readonly number[]
  /** Milliseconds since the epoch. */
  readonly until: number
}

/** A function in force. */
export interface PublishedFunction {
  readonly name: FunctionName
  readonly owner: FunctionOwner
  /** '' where it is of no zone: by REST or from the file. */
  readonly zone: string
  readonly spec: FunctionSpec
  /** Its weights stand instead of those of `spec`; null: there is none. */
  readonly overlay: WeightOverlay | null
  /** One for each of `spec.ips`. */
  readonly instances: readonly PublishedInstance[]
}

/** What a source has of a function. */
export interface FunctionClaim {
  readonly owner: FunctionOwner
  readonly zone: string
  readonly spec: FunctionSpec
}

/** Who carries the functions out: the gateway. */
export interface FunctionTarget {
  /** Resolves when new requests go by it. `published: null` removes. */
  apply(changes: readonly FunctionChange[]): Promise<void>
}

export interface FunctionChange {
  readonly name: FunctionName
  readonly published: PublishedFunction | null
}
