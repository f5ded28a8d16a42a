import { foldAddress, mix32 } from './hash.ts'
import { buildMaglev, type Lookup } from './maglev.ts'
import type { MakeScheduler, Table } from './scheduler.ts'
import { usable } from './usable.ts'

const anyUsable = (table: Table): boolean => {
  for (let index = 0; index < table.size; index++) if (usable(table, index)) return true
  return false
}

/**
 * Maglev hashing of the source: same client, same destination, and a change of the set moves hardly anyone else.
 *
 * Health never rebuilds the table: slots of a destination without weight in force are probed past. An overloaded one
 * refuses, or is probed past with fallback. Built at the first pick after a change: an unused service holds no table.
 */
export const mh: MakeScheduler = (_table, options) => {
  let lookup: Lookup | undefined
  return {
    pick(table, { source, sourcePort }) {
      lookup ??= buildMaglev(table)
      const slots = lookup.length
      if (slots === 0) return -1
      let hash = mix32(foldAddress(source))
      if (options.port) hash = mix32(hash + sourcePort)
      const home = hash % slots
      const index = lookup[home]!
      if (usable(table, index)) return index
      if (!anyUsable(table)) return -1
      for (let step = 0; step < slots; step++) {
        const other = lookup[(home + step) % slots]!
        if (usable(table, other)) return other
        if (table.weight[other]! > 0 && !options.fallback) return -1
      }
      return -1
    },
    changed(_table, kind) {
      if (kind !== 'health') lookup = undefined
    },
  }
}
