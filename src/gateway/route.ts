import type { SelectionMethod } from '../model/function.ts'
import type { Lookup } from '../schedulers/maglev.ts'

/** A function as Workers go by it: made once by the main thread for each change, never changed. Members are positions in its list of instances. */
export interface Route {
  /** Grows with each change of any function. */
  readonly version: number
  readonly name: string
  /** The function's number in board and statistics; the same in all versions. */
  readonly fn: number
  readonly method: SelectionMethod
  /** Lower case; '' for the client's address. */
  readonly hashHeader: string
  readonly members: readonly Member[]
  readonly all: Choice
  /** Without gateways: for requests that another gateway has forwarded. */
  readonly local: Choice
  /** Requests of an instance at a time; 0: no limit. */
  readonly inFlight: number
  readonly queue: number
  readonly waitMs: number
  readonly retries: number
  readonly ejection: { readonly failures: number; readonly baseMs: number; readonly maxMs: number } | null
}

export interface Member {
  readonly text: string
  /** Number of the instance, which functions share. */
  readonly upstream: number
  /** Number of this member's statistics. */
  readonly row: number
  readonly isGateway: boolean
  /** False while its name does not resolve. */
  readonly isResolved: boolean
  readonly weight: number
}

export interface Choice {
  /** wrr: members in the order of their turns. Others: those with a weight. */
  readonly order: Uint16Array
  /** hash: Maglev's table of members. */
  readonly lookup: Lookup | null
  /** Its position in the board. */
  readonly position: number
}
