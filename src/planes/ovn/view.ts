import type { ServiceId } from '../../model/names.ts'
import type { VirtualService } from '../plane.ts'
import { attachmentsOf, type Attach, type Attachment } from './attachments.ts'
import { forceSnatOption } from './forceSnat.ts'
import { checkMode, healthRows } from './health.ts'
import { mapBackends, type CheckSources, type Mapped } from './mappings.ts'
import type { Monitors } from './monitors.ts'
import { specOf, type OwnRows } from './ownRows.ts'
import {
  countsOf,
  columnsThatDiffer,
  entriesOf,
  rowsOf,
  vipKey,
  type CheckedRow,
  type ServiceRows,
} from './rows.ts'
import type { SelectionField } from './selection.ts'
import type { Northbound, NorthboundRow, Southbound } from './tables.ts'
import { hasVariable, variableFor } from './templates.ts'
import type { Topology } from './topology.ts'
import { checksOf } from './writes.ts'

type BalancerRow = NorthboundRow<'Load_Balancer'>

/** What the databases hold, as the plane reads them. */
export interface View {
  readonly northbound: Northbound
  readonly southbound: Southbound
  readonly topology: Topology
  readonly own: OwnRows
  readonly monitors: Monitors
  readonly sources: CheckSources
  readonly owner: string
  /** Length of a list of backends at most, where a service does not say. */
  readonly slots: number
  /** What this server cannot choose backends by. */
  readonly lacking: ReadonlySet<SelectionField>
}

const unmapped: Mapped = { mappings: new Map(), problems: new Map() }

/** Logical ports of a service's backends, as far as checks need them. */
export function mappedOf({ topology, sources }: View, spec: VirtualService): Mapped {
  return checkMode(spec) === 'none' ? unmapped : mapBackends(topology, spec, sources, spec.ovn?.check_source)
}

/** The rows that a service should have. @param present the row that it has */
export function wantedRows(view: View, spec: VirtualService, present: BalancerRow | null): ServiceRows {
  const { owner, slots, monitors } = view
  const { mappings } = mappedOf(view, spec)
  const health = healthRows(spec, {
    mappings,
    down: (destination) => monitors.excludes(spec.protocol, destination, mappings.get(destination.address)),
  })
  const [held] = present?.vips.values() ?? []
  const previous = entriesOf(present?.vips.get(vipKey(spec, owner)) ?? held)
  return rowsOf(spec, { owner, slots, previous, health })
}

/** Names of all chassis. */
export function* chassisNames(southbound: Pick<Southbound, 'rows'>): Generator<string> {
  for (const { name } of southbound.rows('Chassis').values()) yield name
}

/** Where a row is attached of those places that it was attached to by Torb. */
export const held = (places: readonly Attachment[], row: BalancerRow): readonly Attachment[] =>
  places.filter(({ balancers }) => balancers.includes(row.uuid))

/** A service as the database holds it; null where it holds none. What somebody changed in it is in `drift`. */
export function seenService(view: View, id: ServiceId): VirtualService | null {
  const { own, topology, northbound, southbound, owner } = view
  const row = own.main(id)
  if (row === null) return null
  const spec = specOf(row)
  const places = attachmentsOf(topology, spec?.attach ?? null)
  const attach = spec === null ? null : stillAttached(spec.attach, places, held(places, row))
  if (spec === null) return unmarked(row, id)
  const watch = own.watch(id)
  const columns: string[] = []
  let wanted: ServiceRows | null = null
  // A row never changes, and without checks nothing else has a part in it.
  if (!asWritten.has(row) || watch !== null) {
    wanted = wantedRows(view, spec, row)
    columns.push(...differingColumns(view, row, wanted.main))
    if (columns.length === 0 && checkMode(spec) === 'none') asWritten.add(row)
    if (!sameWatch(view, watch, wanted.watch)) columns.push('the row that watches')
  }
  if (own.surplus(id).length > 0) columns.push('a second row')
  const variable = variableFor(spec, owner, chassisNames(southbound))
  const variables = northbound.rows('Chassis_Template_Var').values()
  if (variable !== null && !hasVariable(variables, variable, owner)) columns.push('Chassis_Template_Var')
  for (const name of routersWithout(view, spec)) columns.push(`lb_force_snat_ip of ${name}`)
  const sameAttach = JSON.stringify(attach) === JSON.stringify(spec.attach)
  if (columns.length === 0) return sameAttach ? spec : { ...spec, attach }
  return {
    ...spec,
    attach,
    destinations:
      wanted !== null && columns.includes('vips')
        ? relisted(view, spec, row, wanted.main)
        : spec.destinations,
    drift: columns.join(', '),
  }
}

/** Rows that are as their marks say, of services without checks. */
const asWritten = new WeakSet<BalancerRow>()

function sameWatch(view: View, row: BalancerRow | null, wanted: CheckedRow | null): boolean {
  if (row === null || wanted === null) return row === wanted
  return differingColumns(view, row, wanted).length === 0
}

/** Routers of a service that have not the lb_force_snat_ip that it wants. */
function routersWithout({ topology }: View, { attach, ovn }: VirtualService): readonly string[] {
  const force = ovn?.force_snat
  if (force === undefined || attach === null) return []
  return topology.reachOf(attach).flatMap(({ datapath: { kind, row } }) => {
    if (kind !== 'router') return []
    const has = new Set((row.options.get(forceSnatOption) ?? '').split(' '))
    return force.split(' ').every((value) => has.has(value)) ? [] : [row.name]
  })
}

function differingColumns({ northbound }: View, row: BalancerRow, wanted: CheckedRow): string[] {
  const checks = checksOf(northbound, row)
  const text = (list: typeof checks): string =>
    JSON.stringify(list.map(({ vip, options }) => [vip, Object.entries(options).sort()]).sort())
  return [
    ...columnsThatDiffer(row, wanted.row),
    ...(text(checks) === text(wanted.checks) ? [] : ['health_check']),
  ]
}

/** Without the places that somebody took it from. One that is gone itself is none of these: nothing can be put back there. */
function stillAttached(
  attach: Attach | null,
  places: readonly Attachment[],
  kept: readonly Attachment[],
): Attach | null {
  if (attach === null) return null
  const isIn = (list: readonly Attachment[], table: Attachment['table'], name: string): boolean =>
    list.some((place) => place.table === table && place.given === name)
  const at = (table: Attachment['table'], names: readonly string[]): readonly string[] =>
    names.filter((name) => isIn(kept, table, name) || !isIn(places, table, name))
  return {
    switches: at('Logical_Switch', attach.switches),
    routers: at('Logical_Router', attach.routers),
    groups: at('Load_Balancer_Group', attach.groups),
  }
}

/** Backends as somebody listed them; where only their order is another, as they were. */
function relisted(
  { owner }: View,
  spec: VirtualService,
  row: BalancerRow,
  wanted: CheckedRow,
): VirtualService['destinations'] {
  const key = vipKey(spec, owner)
  const listed = countsOf(row.vips.get(key) ?? '')
  const expected = countsOf(wanted.row.vips[key] ?? '')
  const kept = spec.destinations.filter(({ weight }) => weight === 0)
  const known = new Map(spec.destinations.map((one) => [`${one.address} ${one.port}`, one]))
  const found = [...listed.values()].map((one) => {
    const was = known.get(`${one.address} ${one.port}`)
    if (was === undefined) return one
    return expected.get(one.id)?.weight === one.weight ? was : { ...was, weight: one.weight }
  })
  const ids = new Set(found.map(({ id }) => id))
  return [...found, ...kept.filter(({ id }) => !ids.has(id))]
}

/** A row of Torb's whose marks somebody spoilt. */
function unmarked(row: BalancerRow, id: ServiceId): VirtualService {
  return {
    id,
    address: '',
    port: 0,
    protocol: 'tcp',
    fwmark: 0,
    family: 4,
    scheduler: 'rr',
    flags: 0,
    persistence: null,
    proxyProtocol: false,
    attach: null,
    ovn: null,
    destinations: [],
    drift: `the marks of row ${row.uuid} in external_ids`,
  }
}
