import type { BalancerRow } from './logicalRows.ts'
import { isMarked } from './marks.ts'
import type { Uuid } from './ovsdb/ovsdb.ts'
import type { Datapath, Topology } from './topology.ts'
import { parseVip } from './vips.ts'

interface Balancer {
  readonly uuid: Uuid
  readonly name: string
}

/** Two load balancers, the second of somebody else, that take the same packets on the same switches or routers. */
export interface Conflict {
  readonly own: Balancer
  readonly foreign: Balancer
  /** As the key of `vips` has it. */
  readonly vip: string
  /** null: any, of a virtual service without port. */
  readonly protocol: string | null
  readonly at: readonly Datapath[]
}

/**
 * What stands against a row: load balancers of others with the same virtual service on a same switch or router.
 *
 * One with a port goes before one without (flows of priority 120 and 110), and of different protocols each takes its own:
 * those are no conflicts. Nor are equal ones that share no datapath.
 */
export function conflictsOf(row: BalancerRow, owner: string, topology: Topology): readonly Conflict[] {
  const reached = new Map(topology.reach(row.uuid).map(({ datapath }) => [datapath.row.uuid, datapath]))
  return [...row.vips.keys()].flatMap((key) => {
    const own = virtualService(key, row)
    return topology.balancersAt(own.address).flatMap((other): readonly Conflict[] => {
      if (other.uuid === row.uuid || isMarked(other.external_ids, owner)) return []
      if (![...other.vips.keys()].some((theirs) => same(own, virtualService(theirs, other)))) return []
      const at = topology.reach(other.uuid).flatMap(({ datapath }) => reached.get(datapath.row.uuid) ?? [])
      if (at.length === 0) return []
      const { uuid, name } = other
      return [
        {
          own: { uuid: row.uuid, name: row.name },
          foreign: { uuid, name },
          vip: key,
          protocol: own.protocol,
          at,
        },
      ]
    })
  })
}

/** A conflict as a sentence, with the cure. */
export function conflictText({ own, foreign, vip, protocol, at }: Conflict): string {
  const places = at.map(({ kind, row }) => `${kind} ${row.name}`)
  const shown = places.length > 3 ? [...places.slice(0, 3), `${places.length - 3} more`] : places
  const [first] = at
  const detach = `ovn-nbctl ${first?.kind === 'router' ? 'lr' : 'ls'}-lb-del ${first?.row.name} ${foreign.uuid}`
  return `load balancer ${foreign.name} (${foreign.uuid}), which is not Torb's, has ${protocol === null ? '' : `${protocol} `}${vip} on ${shown.join(', ')} too, as has ${own.name} (${own.uuid}), and OVN takes one of them without telling which: detach it ("${detach}"), remove it, take it over (--adopt), or give ${own.name} another address`
}

interface VirtualEnd {
  readonly address: string
  readonly port: number
  readonly protocol: string | null
}

/** Without port every protocol is taken; a port without protocol is one of TCP (ovn-nb(5)). */
function virtualService(key: string, { protocol }: BalancerRow): VirtualEnd {
  const read = parseVip(key)
  // Of a template only the text is known: what it stands for differs by chassis.
  if (read === null) return { address: key, port: 0, protocol: String(protocol ?? 'tcp') }
  return { ...read, protocol: read.port === 0 ? null : String(protocol ?? 'tcp') }
}

const same = (a: VirtualEnd, b: VirtualEnd): boolean =>
  a.address === b.address && a.port === b.port && a.protocol === b.protocol
