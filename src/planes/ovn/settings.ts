import { readFileSync, statSync } from 'node:fs'
import type { DaemonOptions } from '../../model/daemon.ts'
import { splitAddresses } from '../../model/ovsdbAddress.ts'
import type { OvsdbTls } from './ovsdb/ovsdb.ts'
import type { OvnOptions } from './plane.ts'

/** Where ovn-ctl(8) puts the sockets of its databases. */
const defaultNorthbound = ['unix:/var/run/ovn/ovnnb_db.sock']
const defaultSouthbound = ['unix:/var/run/ovn/ovnsb_db.sock']
const defaultOwner = 'torb'

/** The plane's options of the daemon's. @throws Error where a file of TLS cannot be read */
export function ovnOptions(options: DaemonOptions, log: OvnOptions['log']): OvnOptions {
  const tls = ovsdbTls(options)
  return {
    northbound: options.ovn_nb ?? defaultNorthbound,
    southbound: options.ovn_sb ?? defaultSouthbound,
    owner: options.ovn_owner ?? defaultOwner,
    vswitchd: options.ovn_vswitchd === undefined ? [] : splitAddresses([options.ovn_vswitchd]),
    log,
    ...(tls === null ? {} : { tls }),
  }
}

/** Certificates for connections of ssl:; null where the options name none. @throws Error where one cannot be read */
export function ovsdbTls({ ovn_ca: ca, ovn_cert: cert, ovn_key: key }: DaemonOptions): OvsdbTls | null {
  if (ca === undefined && cert === undefined && key === undefined) return null
  if (ca === undefined || cert === undefined || key === undefined)
    throw new Error('ovn_ca, ovn_cert and ovn_key belong together: give all three, or none')
  const [caText, certText, keyText] = [ca, cert, key].map(readPem)
  return { ca: caText ?? '', cert: certText ?? '', key: keyText ?? '' }
}

/** Why there is no OVN here, with the cure; null where there may be one: what does not answer is told when it is opened. */
export function ovnMissing(options: DaemonOptions): Promise<string | null> {
  const { northbound, southbound } = {
    northbound: options.ovn_nb ?? defaultNorthbound,
    southbound: options.ovn_sb ?? defaultSouthbound,
  }
  const all = [
    ['northbound', 'ovn_nb', northbound],
    ['southbound', 'ovn_sb', southbound],
  ] as const
  for (const [name, option, addresses] of all) {
    if (addresses.some((address) => !address.startsWith('unix:') || isSocket(address.slice(5)))) continue
    return Promise.resolve(
      `there is no ${name} database of OVN at ${addresses.join(' or ')}: start it (ovn-ctl start_northd), or say where it is (${option})`,
    )
  }
  return Promise.resolve(null)
}

/** Also where that cannot be seen for want of permission, which is told when it is opened. */
function isSocket(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isSocket() ?? false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EACCES'
  }
}

function readPem(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new Error(`the certificates of OVN's databases cannot be read: ${(error as Error).message}`, {
      cause: error,
    })
  }
}
