import { flagBit } from '../../model/names.ts'
import type { VirtualService } from '../plane.ts'
import { endpointKey } from '../endpoint.ts'
import { endpointText } from '../../model/address.ts'
import type { CheckRow, HealthRows, WatchRow } from './health.ts'
import { mark, marksOf, without } from './marks.ts'
import { affinityTimeout, defaultSlots, optionsOf, ovnOf, ownOptions } from './options.ts'
import { selectionFields, spreadOf } from './selection.ts'
import { layOut, type Layout } from './slots.ts'
import type { NorthboundRow } from './tables.ts'
import { variableOf } from './templates.ts'
import { parseBackends, parseVip, vipOf, vipText } from './vips.ts'

/** What Torb writes of a Load_Balancer row, as the columns have it. */
export interface LoadBalancerRow {
  readonly name: string
  readonly vips: Readonly<Record<string, string>>
  readonly protocol: string | null
  readonly selection_fields: readonly string[]
  readonly options: Readonly<Record<string, string>>
  readonly ip_port_mappings: Readonly<Record<string, string>>
  readonly external_ids: Readonly<Record<string, string>>
}

/** A row and the Load_Balancer_Health_Check rows that hang on it. */
export interface CheckedRow {
  readonly row: LoadBalancerRow
  readonly checks: readonly CheckRow[]
}

/** What a service is in the database, but for where it is attached. */
export interface ServiceRows {
  readonly main: CheckedRow
  readonly watch: CheckedRow | null
}

export interface RowFacts {
  readonly owner: string
  /** Length of the list of backends at most, where the service does not say. */
  readonly slots?: number
  /** The list of backends as it is. */
  readonly previous?: readonly string[]
  readonly health?: HealthRows
}

const unchecked: HealthRows = { checks: [], ipPortMappings: {}, listed: [], ctFlush: false, watch: null }

/** The rows of a service that is not `wrong`. */
export function rowsOf(spec: VirtualService, facts: RowFacts): ServiceRows {
  const { owner, slots, previous = [], health = unchecked } = facts
  const { list } = layoutOf(spec, slots, previous)
  const row: LoadBalancerRow = {
    name: spec.id,
    vips: { [vipKey(spec, owner)]: [...list, ...health.listed.map(vipText)].join(',') },
    protocol: spec.port === 'any' ? null : spec.protocol,
    selection_fields: selectionFields(spec),
    options: { ...optionsOf(spec), ...(health.ctFlush ? { ct_flush: 'true' } : {}) },
    ip_port_mappings: health.ipPortMappings,
    external_ids: marksOf(spec, owner),
  }
  return { main: { row, checks: health.checks }, watch: health.watch && watchRow(spec, owner, health.watch) }
}

function watchRow(spec: VirtualService, owner: string, watch: WatchRow): CheckedRow {
  const { name, vips, ipPortMappings, checks } = watch
  return {
    row: {
      name,
      vips,
      protocol: spec.protocol,
      selection_fields: [],
      options: {},
      ip_port_mappings: ipPortMappings,
      external_ids: { [mark.owner]: owner, [mark.service]: spec.id, [mark.watch]: 'true' },
    },
    checks,
  }
}

/** The key of `vips`. */
export function vipKey({ id, address, port, ovn }: VirtualService, owner: string): string {
  if (ovn?.template === undefined) return vipOf({ address, port })
  return `^${variableOf(owner, id)}${port === 'any' ? '' : `:${port}`}`
}

/** The shares of a service and how far off they are. */
export function layoutOf(
  spec: VirtualService,
  slots = defaultSlots,
  previous: readonly string[] = [],
): Layout {
  const weights = spec.destinations.map((destination) => [vipText(destination), destination.weight] as const)
  return layOut(spreadOf(spec), weights, spec.ovn?.slots ?? slots, previous)
}

/** Slots at most (ovn.slots), and percentage points from which on more of them are advised. */
const mostSlots = 256
const tolerable = 1

/** What more slots would be good for. */
export function layoutAdvice(spec: VirtualService, slots = defaultSlots): readonly string[] {
  const { error } = layoutOf(spec, slots)
  const { error: least } = layoutOf({ ...spec, ovn: { ...spec.ovn, slots: mostSlots } })
  if (error <= tolerable || least > Math.max(tolerable, error - tolerable)) return []
  return [
    `shares of ${spec.id} are up to ${error.toFixed(1)} percentage points off its weights with ${spec.ovn?.slots ?? slots} slots: give it more, such as "ovn": {"slots": ${mostSlots}}`,
  ]
}

/** The entries of a value of `vips` as texts. */
export const entriesOf = (value: string | undefined): readonly string[] =>
  (value ?? '').split(',').filter((entry) => entry !== '')

/** Columns in which a row is not as it should be; what is not Torb's to set does not count. */
export function columnsThatDiffer(
  row: NorthboundRow<'Load_Balancer'>,
  wanted: LoadBalancerRow,
): readonly (keyof LoadBalancerRow)[] {
  const pick = (column: ReadonlyMap<string, string>, keys: readonly string[]): Record<string, string> =>
    Object.fromEntries(keys.flatMap((key) => (column.has(key) ? [[key, column.get(key) ?? '']] : [])))
  const { external_ids } = wanted
  const same: Readonly<Record<keyof LoadBalancerRow, boolean>> = {
    name: row.name === wanted.name,
    vips: sameMap(Object.fromEntries(row.vips), wanted.vips),
    protocol: row.protocol === wanted.protocol,
    selection_fields: sameSet((row.selection_fields ?? []).map(String), wanted.selection_fields),
    options: sameMap(pick(row.options, ownOptions), optionsFor(row, wanted)),
    ip_port_mappings: sameMap(Object.fromEntries(row.ip_port_mappings ?? []), wanted.ip_port_mappings),
    external_ids: sameMap(pick(row.external_ids, Object.keys(external_ids)), external_ids),
  }
  return (Object.keys(same) as (keyof LoadBalancerRow)[]).filter((column) => !same[column])
}

/** The values that turn these columns of a row into what is wanted; what is not Torb's in them stays. */
export function columnValues(
  row: NorthboundRow<'Load_Balancer'>,
  wanted: LoadBalancerRow,
  columns: readonly (keyof LoadBalancerRow)[],
): Partial<LoadBalancerRow> {
  const own: ReadonlySet<string> = new Set(ownOptions)
  const others = Object.fromEntries([...row.options].filter(([key]) => !own.has(key)))
  const whole: LoadBalancerRow = {
    ...wanted,
    options: { ...others, ...optionsFor(row, wanted) },
    external_ids: { ...Object.fromEntries(row.external_ids), ...wanted.external_ids },
  }
  return Object.fromEntries(columns.map((column) => [column, whole[column]]))
}

/** ct_flush is never taken away: that would reset all connections (ovn-controller's lb_data_removed_five_tuples_add). */
const optionsFor = (
  row: NorthboundRow<'Load_Balancer'>,
  { options }: LoadBalancerRow,
): Readonly<Record<string, string>> =>
  row.options.get('ct_flush') === 'true' ? { ...options, ct_flush: 'true' } : options

/**
 * What a row says, as a service: one for each VIP that OVN can read; templates are left out.
 *
 * @param attach where it is attached
 */
export function servicesOf(
  row: NorthboundRow<'Load_Balancer'>,
  attach: VirtualService['attach'],
): readonly VirtualService[] {
  return [...row.vips].flatMap(([key, value]) => {
    const vip = parseVip(key)
    return vip === null ? [] : [serviceOf(row, vip, value, attach)]
  })
}

function serviceOf(
  row: NorthboundRow<'Load_Balancer'>,
  { address, port }: NonNullable<ReturnType<typeof parseVip>>,
  value: string,
  attach: VirtualService['attach'],
): VirtualService {
  const family = address.includes(':') ? 6 : 4
  const weights = countsOf(value)
  const fields = new Set((row.selection_fields ?? []).map(String))
  const source = fields.has('ip_src') || fields.has('ipv6_src')
  const destination = fields.has('ip_dst') || fields.has('ipv6_dst')
  const ports = fields.has('tp_src') || fields.has('tp_dst')
  const affinity = affinityTimeout(row.options)
  const plain = [...weights.values()].every(({ weight }) => weight === 1) ? 'rr' : 'wrr'
  const scheduler = source && !destination ? 'sh' : destination && !source && !ports ? 'dh' : plain
  const timeout = affinity > 0 ? affinity : source && destination && !ports ? hashedFor : 0
  const place = {
    address,
    port: port === 0 ? ('any' as const) : port,
    protocol: (['udp', 'sctp'] as const).find((name) => port !== 0 && name === row.protocol) ?? 'tcp',
    fwmark: 0,
  } as const
  return {
    ...place,
    id: row.name === '' ? endpointKey(place) : row.name,
    family,
    scheduler,
    flags: scheduler === 'sh' && ports ? flagBit.port : 0,
    persistence: timeout === 0 ? null : { timeout, prefix: family === 4 ? 32 : 128 },
    proxyProtocol: false,
    attach,
    ovn: ovnOf(row.options),
    destinations: [...weights.values()],
  }
}

/** Seconds; a hash keeps clients for ever, and this is what persistence has where nothing is said. */
const hashedFor = 300

/** Backends of a value of `vips`, each with as much weight as it is listed. */
export function countsOf(value: string): ReadonlyMap<string, VirtualService['destinations'][number]> {
  const found = new Map<string, VirtualService['destinations'][number]>()
  for (const { address, port } of parseBackends(value)) {
    const id = endpointText(address, port)
    const weight = (found.get(id)?.weight ?? 0) + 1
    found.set(id, {
      id,
      address,
      port,
      weight,
      maxWeight: weight,
      forwarding: 'nat',
      ...without,
      check: null,
    })
  }
  return found
}

function sameMap(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key])
}

const sameSet = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((value) => b.includes(value))
