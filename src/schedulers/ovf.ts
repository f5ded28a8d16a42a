import type { MakeScheduler } from './scheduler.ts'
import { usable } from './usable.ts'

/** Overflow: the highest weight whose active connections do not exceed it; nobody where all are full. */
export const ovf: MakeScheduler = () => ({
  pick(table) {
    let highest = -1
    for (let index = 0; index < table.size; index++) {
      if (table.active[index]! > table.weight[index]! || !usable(table, index)) continue
      if (highest < 0 || table.weight[index]! > table.weight[highest]!) highest = index
    }
    return highest
  },
  changed() {},
})
