import { leastLoaded } from './load.ts'
import type { MakeScheduler } from './scheduler.ts'
import { expectedQueue } from './sed.ts'
import { usable } from './usable.ts'

/** Never queue: the first idle destination, whatever its weight; shortest expected delay where all are busy. */
export const nq: MakeScheduler = () => ({
  pick(table) {
    for (let index = 0; index < table.size; index++) {
      if (table.active[index] === 0 && usable(table, index)) return index
    }
    return leastLoaded(table, expectedQueue)
  },
  changed() {},
})
