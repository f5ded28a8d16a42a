import type { MakeScheduler } from './scheduler.ts'
import { usable } from './usable.ts'

/** Failover: everything to the usable destination with the highest weight. */
export const fo: MakeScheduler = () => ({
  pick(table) {
    let highest = -1
    for (let index = 0; index < table.size; index++) {
      if (!usable(table, index)) continue
      if (highest < 0 || table.weight[index]! > table.weight[highest]!) highest = index
    }
    return highest
  },
  changed() {},
})
