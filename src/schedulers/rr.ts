import { listed, moved } from './moved.ts'
import type { MakeScheduler } from './scheduler.ts'
import { usable } from './usable.ts'

/** Round robin: the next usable destination in list order after the last one used. */
export const rr: MakeScheduler = (table) => {
  let names = listed(table)
  let last = -1
  return {
    pick(table) {
      for (let step = 1; step <= table.size; step++) {
        const index = (last + step) % table.size
        if (!usable(table, index)) continue
        last = index
        return index
      }
      return -1
    },
    /** Goes on where it was; where the last one used is gone, after the one that stood before it. */
    changed(table, kind) {
      if (kind !== 'set') return
      const places = moved(names, table)
      while (last >= 0 && places[last]! < 0) last--
      if (last >= 0) last = places[last]!
      names = listed(table)
    },
  }
}
