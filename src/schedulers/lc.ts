import { overhead } from './load.ts'
import type { MakeScheduler } from './scheduler.ts'
import { usable } from './usable.ts'

/** Least connections: the least of 256 x active + inactive; weight only says whether, not how much. */
export const lc: MakeScheduler = () => ({
  pick(table) {
    let least = -1
    let leastLoad = 0
    for (let index = 0; index < table.size; index++) {
      if (!usable(table, index)) continue
      const load = overhead(table, index)
      if (least >= 0 && load >= leastLoad) continue
      least = index
      leastLoad = load
    }
    return least
  },
  changed() {},
})
