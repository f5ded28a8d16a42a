import { leastLoaded } from './load.ts'
import type { MakeScheduler, Table } from './scheduler.ts'

/** What waits at a destination once the new connection is there. */
export const expectedQueue = (table: Table, index: number): number => table.active[index]! + 1

/** Shortest expected delay: the least of (active + 1) / weight. */
export const sed: MakeScheduler = () => ({
  pick: (table) => leastLoaded(table, expectedQueue),
  changed() {},
})
