import { connectOvsdb } from '../../src/planes/ovn/ovsdb/client.ts'
import type { Operation, Ovsdb, OvsdbOptions } from '../../src/planes/ovn/ovsdb/ovsdb.ts'

/** Some columns of each kind of Debian's northbound schema, and one that it does not have. */
export const northboundTables = {
  Load_Balancer: {
    required: { name: 'string', vips: 'map', protocol: 'optional', selection_fields: 'set' },
    wanted: { external_ids: 'map', future: 'string' },
  },
  Logical_Switch: { required: { name: 'string', load_balancer: 'set' } },
  NB_Global: { required: { nb_cfg: 'integer', ipsec: 'boolean' } },
} as const

export type Northbound = Ovsdb<typeof northboundTables>

/** Limits short enough for tests. */
export const fastTiming = { connectMs: 5000, probeMs: 250, leaveMs: 2000 }

/** A client of a northbound database that is closed at the end of its block. */
export async function connectNorthbound(
  addresses: readonly string[],
  options: Partial<OvsdbOptions<typeof northboundTables>> = {},
  timing?: typeof fastTiming,
): Promise<Northbound & AsyncDisposable> {
  const database = await connectOvsdb(
    {
      database: 'OVN_Northbound',
      addresses,
      tables: northboundTables,
      leaderOnly: true,
      log: { info: () => {}, warn: () => {} },
      ...options,
    },
    timing,
  )
  return Object.assign(database, { [Symbol.asyncDispose]: () => database.close() })
}

/** A Load_Balancer of this name and nothing else. */
export const insertNamed = (name: string): Operation => ({
  op: 'insert',
  table: 'Load_Balancer',
  row: { name },
})

/** Of whatever table a change is. */
export const nameOf = (row: object | null): unknown => (row !== null && 'name' in row ? row.name : null)

/** Names of all Load_Balancers in the replica, sorted. */
export function namesIn(database: Northbound): string[] {
  return [...database.rows('Load_Balancer').values()].map(({ name }) => name).toSorted()
}
