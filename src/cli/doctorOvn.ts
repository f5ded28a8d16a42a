import { readFileSync } from 'node:fs'
import type { DaemonOptions } from '../model/daemon.ts'
import { connectOvsdb } from '../planes/ovn/ovsdb/client.ts'
import type { OvsdbTls } from '../planes/ovn/ovsdb/ovsdb.ts'

/** What one of OVN's databases says of itself. */
export interface OvnDatabase {
  readonly name: 'northbound' | 'southbound'
  /** The member that answered. */
  readonly address: string
  readonly version: string
  /** Why it cannot be used, with the cure; '' where it can. */
  readonly problem: string
}

const databases = [
  { name: 'northbound', option: 'ovn_nb', database: 'OVN_Northbound', table: 'NB_Global' },
  { name: 'southbound', option: 'ovn_sb', database: 'OVN_Southbound', table: 'SB_Global' },
] as const

/** Asks the databases that the options name; null where they name none. */
export async function readOvnFacts(options: DaemonOptions): Promise<readonly OvnDatabase[] | null> {
  const named = databases.flatMap((each) => {
    const addresses = options[each.option]
    return addresses === undefined ? [] : [{ ...each, addresses }]
  })
  if (named.length === 0) return null
  return await Promise.all(
    named.map(async ({ name, addresses, database, table }): Promise<OvnDatabase> => {
      try {
        const tls = tlsOf(options)
        const connection = await connectOvsdb({
          database,
          addresses,
          tables: { [table]: { required: { nb_cfg: 'integer' } } },
          leaderOnly: name === 'northbound',
          log: { info: () => undefined, warn: () => undefined },
          ...(tls === null ? {} : { tls }),
        })
        const { address, version } = connection.state
        await connection.close()
        return { name, address, version, problem: '' }
      } catch (error) {
        return { name, address: '', version: '', problem: (error as Error).message }
      }
    }),
  )
}

function tlsOf({ ovn_ca: ca, ovn_cert: cert, ovn_key: key }: DaemonOptions): OvsdbTls | null {
  if (ca === undefined || cert === undefined || key === undefined) return null
  return {
    ca: readFileSync(ca, 'utf8'),
    cert: readFileSync(cert, 'utf8'),
    key: readFileSync(key, 'utf8'),
  }
}
