import { Locality, outgrown } from './locality.ts'
import { leastLoaded, overhead } from './load.ts'
import { listed, moved } from './moved.ts'
import type { MakeScheduler } from './scheduler.ts'
import { usable } from './usable.ts'

/**
 * Locality-based least connection: each destination address keeps its server until that is unusable, or is over its
 * weight while another is below half of its own.
 */
export const lblc: MakeScheduler = (table) => {
  let names = listed(table)
  const servers = new Locality<number>()
  return {
    pick(table, { destination, now }) {
      const known = servers.use(destination, now)
      if (known !== undefined && usable(table, known) && !outgrown(table, known)) return known
      const chosen = leastLoaded(table, overhead)
      if (chosen >= 0 && chosen !== known) servers.set(destination, chosen, now)
      return chosen
    },
    changed(table, kind) {
      if (kind !== 'set') return
      const places = moved(names, table)
      servers.update((server) => (places[server]! < 0 ? undefined : places[server]))
      names = listed(table)
    },
  }
}
