import type { DaemonOptions } from '../model/daemon.ts'
import { splitAddresses } from '../model/ovsdbAddress.ts'
import { Connections } from '../planes/ovn/connections.ts'
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

/** An ovs-vswitchd by which open connections would be seen. */
export interface Vswitchd {
  /** Its control socket or its run directory. */
  readonly path: string
  /** Why it cannot be asked, with the cure; '' where it can. */
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

/** Asks each ovs-vswitchd that these options name, as a start does; null where they name none. */
export async function readVswitchdFacts({
  ovn_vswitchd: given,
}: DaemonOptions): Promise<readonly Vswitchd[] | null> {
  if (given === undefined) return null
  return await Promise.all(
    splitAddresses([given]).map(async (path): Promise<Vswitchd> => {
      let problem = ''
      const warn = (_fields: object, text: string): void => void (problem = text)
      await new Connections({ vswitchd: [path], log: { warn } }).check()
      return { path, problem }
    }),
  )
}
