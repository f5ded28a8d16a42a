import { leastLoaded, overhead } from './load.ts'
import type { MakeScheduler } from './scheduler.ts'

/** Weighted least connections: the least of (256 x active + inactive) / weight. */
export const wlc: MakeScheduler = () => ({
  pick: (table) => leastLoaded(table, overhead),
  changed() {},
})
