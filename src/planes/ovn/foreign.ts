import type { VirtualService } from '../plane.ts'
import { endpointKey } from '../endpoint.ts'
import type { Attach } from './attachments.ts'
import { mark } from './marks.ts'
import type { Uuid } from './ovsdb/ovsdb.ts'
import { servicesOf } from './rows.ts'
import type { Northbound, NorthboundRow } from './tables.ts'

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
    .filter((row) => row.external_ids.get(mark.owner) !== owner)
    .flatMap((row) =>
      servicesOf(row, places.get(row.uuid) ?? nowhere).flatMap((service) => {
        if (endpoints !== null && !endpoints.has(endpointKey(service))) return []
        const named = row.name === '' ? service : { ...service, id: row.name }
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

const nowhere: Attach = { switches: [], routers: [], groups: [] }

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
