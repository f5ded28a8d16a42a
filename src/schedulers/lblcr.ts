import { expiration, Locality, outgrown } from './locality.ts'
import { leastLoaded, moreLoaded, overhead } from './load.ts'
import { listed, moved } from './moved.ts'
import type { MakeScheduler, Table } from './scheduler.ts'
import { usable } from './usable.ts'

/** The servers of one destination address, the newest first. */
interface ServerSet {
  servers: number[]
  changedAt: number
}

const leastLoadedOf = (table: Table, servers: readonly number[]): number => {
  let least = -1
  for (const server of servers) {
    if (!usable(table, server)) continue
    if (least < 0 || isLighter(table, server, least)) least = server
  }
  return least
}

/** Quiesced members are passed over: they take nothing anyway. */
const mostLoadedOf = (table: Table, servers: readonly number[]): number => {
  let most = -1
  for (const server of servers) {
    if (table.weight[server]! <= 0) continue
    if (most < 0 || isLighter(table, most, server)) most = server
  }
  return most
}

const isLighter = (table: Table, one: number, other: number): boolean =>
  moreLoaded(overhead(table, other), table.weight[other]!, overhead(table, one), table.weight[one]!)

/**
 * Locality-based least connection with replication: each destination address keeps a set of servers and the least loaded
 * is taken. The set grows while that one is over its weight, and loses its most loaded member when unchanged for a day.
 */
export const lblcr: MakeScheduler = (table) => {
  let names = listed(table)
  const sets = new Locality<ServerSet>()
  return {
    pick(table, { destination, now }) {
      const set = sets.use(destination, now)
      if (set === undefined) {
        const chosen = leastLoaded(table, overhead)
        if (chosen >= 0) sets.set(destination, { servers: [chosen], changedAt: now }, now)
        return chosen
      }
      const least = leastLoadedOf(table, set.servers)
      if (set.servers.length > 1 && now > set.changedAt + expiration) {
        const most = mostLoadedOf(table, set.servers)
        if (most >= 0) {
          set.servers.splice(set.servers.indexOf(most), 1)
          set.changedAt = now
        }
      }
      if (least >= 0 && !outgrown(table, least)) return least
      const chosen = leastLoaded(table, overhead)
      if (chosen >= 0 && !set.servers.includes(chosen)) {
        set.servers.unshift(chosen)
        set.changedAt = now
      }
      return chosen
    },
    changed(table, kind) {
      if (kind !== 'set') return
      const places = moved(names, table)
      sets.update((set) => {
        set.servers = set.servers.map((server) => places[server]!).filter((server) => server >= 0)
        return set.servers.length === 0 ? undefined : set
      })
      names = listed(table)
    },
  }
}
