/**
 * The seam of the schedulers: IPVS's disciplines as pure step functions over typed arrays in list order.
 *
 * No clock, no randomness, no I/O in here: time and randomness come with the pick. A table's arrays are written by its
 * owner (connections come and go, weights change); a scheduler only reads them. The arrays may lie on shared memory.
 */
export interface Table {
  /** Destinations in list order; the arrays may be longer than this. */
  size: number
  /** Weight in force; 0 takes nothing new. */
  weight: Int32Array
  /** Configured weight: what sh, dh and mh build over where health must not move the table. */
  maxWeight: Int32Array
  active: Int32Array
  inactive: Int32Array
  /** 1: over its limit, or tried already for this connection; skipped. */
  overloaded: Uint8Array
  /** Identity of each destination for mh, which must not depend on list order: `address:port`. */
  name: string[]
}

export interface Pick {
  /** Address bytes: 4 or 16. */
  readonly source: Uint8Array
  readonly sourcePort: number
  readonly destination: Uint8Array
  readonly destinationPort: number
  /** Milliseconds of a clock that never goes back. */
  readonly now: number
  /** Uniform in [0, 1). */
  readonly random: () => number
}

export interface SchedulerOptions {
  /** sh-fallback, mh-fallback. */
  readonly fallback: boolean
  /** sh-port, mh-port. */
  readonly port: boolean
}

/** One service's scheduler. */
export interface Scheduler {
  /** Index into the table, or -1 where none is usable. */
  pick(table: Table, pick: Pick): number
  /**
   * To be called after the set of destinations or a weight changed.
   *
   * @param kind `set`: destinations were added or removed; `weight`: a configured weight; `health`: only weights in force
   */
  changed(table: Table, kind: 'set' | 'weight' | 'health'): void
}

export type MakeScheduler = (table: Table, options: SchedulerOptions) => Scheduler
