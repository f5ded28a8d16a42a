import type { ServiceId } from '../../model/names.ts'
import type { VirtualService } from '../plane.ts'
import { endpointKey } from '../endpoint.ts'
import { isMarked, mark } from './marks.ts'
import type { NorthboundRow } from './tables.ts'
import type { View } from './view.ts'
import { parseVip } from './vips.ts'

/** Who has the virtual address of a service at a switch or router that both are attached to: a row, or a service not yet written. */
export interface Collision {
  /** Somebody else's; null where it is a service of this Torb. */
  readonly row: NorthboundRow<'Load_Balancer'> | null
  readonly text: string
}

/** @param then services as they will be when this one is written; null: gone */
export function collision(
  { topology, own, owner }: View,
  spec: VirtualService,
  then: ReadonlyMap<ServiceId, VirtualService | null>,
): Collision | null {
  if (spec.attach === null || spec.ovn?.template !== undefined) return null
  const places = new Set(topology.reachOf(spec.attach).map(({ datapath }) => datapath.row.uuid))
  for (const [id, other] of then) {
    if (other === null || id === spec.id || other.attach === null || !sameVip(spec, other)) continue
    const at = topology.reachOf(other.attach).find(({ datapath }) => places.has(datapath.row.uuid))
    if (at !== undefined)
      return {
        row: null,
        text: `service ${id} has ${endpointKey(spec)} on ${at.datapath.kind} ${at.datapath.row.name}; ${cure}`,
      }
  }
  for (const row of topology.balancersAt(spec.address)) {
    const service = own.isOwn(row) ? (row.external_ids.get(mark.service) ?? '') : null
    // One that is there for a moment only, to reset connections.
    if (service === null && isMarked(row.external_ids, owner)) continue
    if (service !== null && (service === spec.id || then.has(service))) continue
    if (![...row.vips.keys()].some((key) => isVip(key, row.protocol, spec))) continue
    const at = topology.reach(row.uuid).find(({ datapath }) => places.has(datapath.row.uuid))
    if (at === undefined) continue
    const on = `on ${at.datapath.kind} ${at.datapath.row.name}`
    if (service !== null)
      return { row: null, text: `service ${service} has ${endpointKey(spec)} ${on}; ${cure}` }
    return {
      row,
      text: `load balancer ${row.name === '' ? row.uuid : row.name} has ${endpointKey(spec)} ${on} and is not Torb's; remove it (ovn-nbctl lb-del ${row.uuid}), or start Torb with --adopt`,
    }
  }
  return null
}

const cure = 'choose another address or port, or attach one of them elsewhere'

/** OVN knows no protocol where there is no port. */
const sameVip = (a: VirtualService, b: VirtualService): boolean =>
  a.address === b.address && a.port === b.port && (a.port === 'any' || a.protocol === b.protocol)

function isVip(key: string, protocol: unknown, spec: VirtualService): boolean {
  const vip = parseVip(key)
  if (vip === null || vip.address !== spec.address) return false
  if (spec.port === 'any') return vip.port === 0
  return vip.port === spec.port && (protocol ?? 'tcp') === spec.protocol
}
