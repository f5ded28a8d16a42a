import { familyOf } from '../../model/address.ts'
import type { DestinationCheck, VirtualService } from '../plane.ts'
import { endpointKey } from '../endpoint.ts'
import { nowhere, type Attach } from './attachments.ts'
import { isMarked } from './marks.ts'
import type { Uuid } from './ovsdb/ovsdb.ts'
import { servicesOf } from './rows.ts'
import type { Northbound, NorthboundRow } from './tables.ts'
import { parseVip, vipOf, vipText } from './vips.ts'
import { checksOf } from './writes.ts'

type Database = Pick<Northbound, 'rows'>

/**
 * What others have in the northbound database, as services: one for each virtual address of a row.
 *
 * @param endpoints only those at one of them (`endpointKey`)
 */
export function foreignServices(
  database: Database,
  owner: string,
  endpoints: ReadonlySet<string> | null,
): readonly VirtualService[] {
  const places = placesOf(database)
  return [...database.rows('Load_Balancer').values()]
    .filter((row) => !isMarked(row.external_ids, owner))
    .flatMap((row) =>
      servicesOf(row, places.get(row.uuid) ?? nowhere).flatMap((service) => {
        if (endpoints !== null && !endpoints.has(endpointKey(service))) return []
        const found = checked(database, row, service)
        const named = row.name === '' ? found : { ...found, id: row.name }
        rowsOfForeign.set(named, row.uuid)
        return [named]
      }),
    )
}

const rowsOfForeign = new WeakMap<VirtualService, Uuid>()

/** The row that a service of `foreignServices` was read from, as it is now; null where it is gone. */
export function rowOfForeign(
  database: Database,
  service: VirtualService,
): NorthboundRow<'Load_Balancer'> | null {
  return database.rows('Load_Balancer').get(rowsOfForeign.get(service) ?? '') ?? null
}

/** The service with the checks that OVN makes for it: of backends whose logical port is given. */
function checked(
  database: Database,
  row: NorthboundRow<'Load_Balancer'>,
  service: VirtualService,
): VirtualService {
  const { protocol, address, port } = service
  if (protocol !== 'tcp' && protocol !== 'udp') return service
  const place = vipOf({ address, port })
  const options = checksOf(database, row).find(({ vip }) => {
    const at = parseVip(vip)
    return at !== null && vipText(at) === place
  })?.options
  if (options === undefined) return service
  // The defaults are those of ovn-nb(5).
  const number = (key: string, usual: number): number =>
    /^[1-9]\d{0,5}$/.test(options[key] ?? '') ? Number(options[key]) : usual
  const check: DestinationCheck = {
    type: protocol,
    intervalMs: number('interval', 5) * 1000,
    timeoutMs: number('timeout', 3) * 1000,
    rise: number('success_count', 1),
    fall: number('failure_count', 1),
    decides: true,
  }
  const sources = new Map(
    [...(row.ip_port_mappings ?? [])].map(([key, value]) => [
      plain(key),
      plain(value.replace(/^[^:]*:?/, '')),
    ]),
  )
  const destinations = service.destinations.map((destination) =>
    sources.has(destination.address) ? { ...destination, check } : destination,
  )
  const used = new Set(destinations.flatMap((each) => (each.check === null ? [] : sources.get(each.address))))
  const [source] = used
  const known = used.size === 1 && source !== undefined && familyOf(source) !== null
  return { ...service, destinations, ...(known ? { ovn: { ...service.ovn, check_source: source } } : {}) }
}

/** An address without its brackets. */
const plain = (text: string): string => text.replaceAll(/[[\]]/g, '')

/** Where each load balancer is attached, by name. */
function placesOf(database: Database): ReadonlyMap<Uuid, Attach> {
  const places = new Map<Uuid, { switches: string[]; routers: string[]; groups: string[] }>()
  const note = (
    list: 'switches' | 'routers' | 'groups',
    { name = '', uuid, load_balancer = [] }: Partial<NorthboundRow<'Load_Balancer_Group'>> & { uuid: Uuid },
  ): void => {
    for (const balancer of load_balancer) {
      const at = places.get(String(balancer)) ?? { switches: [], routers: [], groups: [] }
      places.set(String(balancer), at)
      at[list].push(name === '' ? uuid : name)
    }
  }
  for (const row of database.rows('Logical_Switch').values()) note('switches', row)
  for (const row of database.rows('Logical_Router').values()) note('routers', row)
  for (const row of database.rows('Load_Balancer_Group').values()) note('groups', row)
  return places
}
