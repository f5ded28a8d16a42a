import type { DaemonOptions } from '../model/daemon.ts'
import { connectOvsdb } from '../planes/ovn/ovsdb/client.ts'
import { ovnOptions } from '../planes/ovn/settings.ts'

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
  { name: 'northbound', database: 'OVN_Northbound', table: 'NB_Global' },
  { name: 'southbound', database: 'OVN_Southbound', table: 'SB_Global' },
] as const

const log = { info: () => undefined, warn: () => undefined }

/** Asks the databases that a Torb of these options would use; null where it would use none. */
export async function readOvnFacts(options: DaemonOptions): Promise<readonly OvnDatabase[] | null> {
  const { plane, ovn_nb: northbound, ovn_sb: southbound } = options
  if (plane !== 'ovn' && northbound === undefined && southbound === undefined) return null
  return await Promise.all(
    databases.map(async ({ name, database, table }): Promise<OvnDatabase> => {
      try {
        const { [name]: addresses, tls } = ovnOptions(options, log)
        const connection = await connectOvsdb({
          database,
          addresses,
          tables: { [table]: { required: { nb_cfg: 'integer' } } },
          leaderOnly: name === 'northbound',
          log,
          ...(tls === undefined ? {} : { tls }),
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
