import type { ServiceId } from '../../model/names.ts'
import { familyOf } from '../../model/address.ts'
import { Refusal } from '../../model/refusal.ts'
import type { Operation } from './ovsdb/ovsdb.ts'
import type { NorthboundRow } from './tables.ts'
import { unchanged } from './writes.ts'

/**
 * lb_force_snat_ip is an option of a router and not of a load balancer: it is there while a service that is attached to the
 * router wants it, and marked, so that the last one takes it away again.
 */

type RouterRow = NorthboundRow<'Logical_Router'>

export const forceSnatOption = 'lb_force_snat_ip'
/** In a router's external_ids: the owner that has set the option. */
const forceSnatMark = 'torb-force-snat'

/** What the services of a router want together. @throws Refusal where that cannot be one value */
export function togetherWanted(
  router: string,
  wishes: readonly (readonly [service: ServiceId, value: string])[],
): string | null {
  const byFamily = new Map<string, readonly [service: ServiceId, value: string]>()
  for (const [service, wish] of wishes) {
    for (const value of wish === 'router_ip' ? ['router_ip'] : wish.split(' ')) {
      const family = value === 'router_ip' ? value : `IPv${familyOf(value)}`
      const other = [...byFamily].find(([kind, [, had]]) =>
        kind === family ? had !== value : kind === 'router_ip' || family === 'router_ip',
      )?.[1]
      if (other !== undefined)
        throw new Refusal(
          'refused',
          `service ${service} cannot have force_snat ${wish}: router ${router} has one value for all services, and ${other[0]} has ${other[1]}; give both the same, or attach them to different routers`,
        )
      if (!byFamily.has(family)) byFamily.set(family, [service, value])
    }
  }
  return byFamily.size === 0
    ? null
    : Array.from(byFamily.values(), ([, value]) => value)
        .sort()
        .join(' ')
}

/** Brings a router to what is wanted. @throws Refusal where somebody else has set the option to another value */
export function forceSnatOperations(
  router: RouterRow,
  wanted: string | null,
  owner: string,
): readonly Operation[] {
  const set = router.options.get(forceSnatOption)
  const ours = router.external_ids.get(forceSnatMark) === owner
  if (set !== undefined && !ours) {
    if (wanted === null || sameAddresses(set, wanted)) return []
    throw new Refusal(
      'refused',
      `router ${router.name} has lb_force_snat_ip ${set}, which is not Torb's: take it away (ovn-nbctl remove Logical_Router ${router.name} options ${forceSnatOption}), or leave force_snat out`,
    )
  }
  if (wanted === null ? !ours : set === wanted && ours) return []
  const options = Object.fromEntries(router.options)
  const ids = Object.fromEntries(router.external_ids)
  delete options[forceSnatOption]
  delete ids[forceSnatMark]
  return [
    unchanged('Logical_Router', router, ['options', 'external_ids']),
    {
      op: 'update',
      table: 'Logical_Router',
      where: { uuid: router.uuid },
      row: {
        options: wanted === null ? options : { ...options, [forceSnatOption]: wanted },
        external_ids: wanted === null ? ids : { ...ids, [forceSnatMark]: owner },
      },
    },
  ]
}

const sameAddresses = (a: string, b: string): boolean => a.split(' ').sort().join(' ') === b
