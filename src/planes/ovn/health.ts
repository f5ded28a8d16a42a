import type { Destination, DestinationCheck, VirtualService } from '../plane.ts'
import { bracketed, mappingText, type Mapping } from './mappings.ts'
import { vipOf, vipText } from './vips.ts'

/** A row of Load_Balancer_Health_Check (ovn-nb(5)); `options` in whole seconds and counts. */
export interface CheckRow {
  readonly vip: string
  readonly options: Readonly<Record<string, string>>
}

/**
 * A further Load_Balancer row that is attached nowhere. It carries no traffic; OVN makes monitors for it all the same, and so
 * backends that the service's own row leaves unchecked stay watched.
 */
export interface WatchRow {
  readonly name: string
  readonly vips: Readonly<Record<string, string>>
  readonly checks: readonly CheckRow[]
  readonly ipPortMappings: Readonly<Record<string, string>>
}

export interface HealthFacts {
  /** By the backend's address. */
  readonly mappings: ReadonlyMap<string, Mapping>
  /** True where OVN's own monitor says now that it is down. */
  readonly down: (destination: Destination) => boolean
}

/** What checks by OVN make of a service's rows. */
export interface HealthRows {
  readonly checks: readonly CheckRow[]
  readonly ipPortMappings: Readonly<Record<string, string>>
  /**
   * Backends of weight 0 that stay in the list, each once and behind all others: OVN leaves them out, those that are down
   * until they are up again, the others since they have no mapping. So open connections stay, and end at the removal.
   */
  readonly listed: readonly Destination[]
  /** Connections to a backend that leaves the list are reset, on every chassis (options:ct_flush). */
  readonly ctFlush: boolean
  readonly watch: WatchRow | null
}

/**
 * How much OVN has to do with the health of a service.
 *
 * none: nothing. watching: it only tells, since a backend that it does not check would be left out, or since all are down and
 * fb-zero-to-one is in force. excluding: what its monitors say is down gets no traffic, also while no Torb runs.
 */
export type CheckMode = 'none' | 'watching' | 'excluding'

export function checkMode({ destinations }: VirtualService): CheckMode {
  if (destinations.every(({ check }) => check === null)) return 'none'
  return covered(destinations) &&
    destinations.every(({ weight, check }) => weight === 0 || check?.decides === true)
    ? 'excluding'
    : 'watching'
}

/** The parts of a service's rows that come of its backends' checks. */
export function healthRows(spec: VirtualService, { mappings, down }: HealthFacts): HealthRows {
  const { destinations } = spec
  const mode = checkMode(spec)
  if (mode === 'none') return { checks: [], ipPortMappings: {}, listed: [], ctFlush: false, watch: null }
  const checks = [{ vip: vipOf(spec), options: optionsOf(destinations) }]
  const checked = destinations.filter(({ check }) => check !== null)
  const ctFlush = flushes(spec)
  if (mode === 'watching') {
    const watch = watchRow(spec, checks, checked, mappings)
    return { checks: [], ipPortMappings: {}, listed: [], ctFlush, watch }
  }
  const recovering = destinations.filter(
    (one) => one.weight === 0 && one.check?.decides === true && down(one),
  )
  const inTraffic = [...destinations.filter(({ weight }) => weight > 0), ...recovering]
  const mapped = new Set(inTraffic.map(({ address }) => address))
  const idle = destinations.filter((one) => one.weight === 0 && !mapped.has(one.address))
  const unwatched = checked.filter((one) => one.weight === 0 && !recovering.includes(one))
  return {
    checks,
    ipPortMappings: mappingsOf(inTraffic, mappings),
    listed: [...recovering, ...idle],
    ctFlush,
    watch: watchRow(spec, checks, unwatched, mappings),
  }
}

/** Why OVN cannot carry out the checks of a service, with the cure; null where it can, and where there are none. */
export function checkRefusal({ id, port, protocol, ovn, destinations }: VirtualService): string | null {
  const checked = destinations.find(({ check }) => check !== null)
  if (checked?.check === undefined || checked.check === null) return null
  const without = `give its backends "pulse": {"type": "none"}`
  if (protocol !== 'tcp' && protocol !== 'udp')
    return `service ${id}: OVN checks backends of tcp and udp only, not of ${protocol}: ${without}`
  if (port === 'any')
    return `service ${id}: OVN cannot check backends of a service of any port, since it does not know which: ${without}`
  if (ovn?.template !== undefined)
    return `service ${id}: OVN does not check backends of a service with a template: ${without}`
  const other = destinations.find(({ check }) => check !== null && check.type !== protocol)
  if (other === undefined) return null
  return `backend ${other.id}: OVN checks a ${protocol} service by ${protocol}, not by ${other.check?.type}: give "pulse": {"type": "${protocol}"}, or {"type": "none"}`
}

/** What whoever gave these checks should know: one sentence each. */
export function checkAdvice(spec: VirtualService): readonly string[] {
  const { id, destinations } = spec
  const checked = destinations.flatMap(({ check }) => check ?? [])
  const [first] = checked
  if (first === undefined) return []
  const said: string[] = []
  if (checked.some((check) => !sameTimes(check, first))) {
    const { interval, timeout, success_count: rise, failure_count: fall } = optionsOf(destinations)
    said.push(
      `the backends of ${id} have different pulses, and OVN has one for all of them: the least of each holds, interval ${interval}s, timeout ${timeout}s, rise ${rise}, fall ${fall}; give them equal ones`,
    )
  }
  const unchecked = destinations.filter(({ weight, check }) => weight > 0 && check === null)
  if (unchecked.length > 0) {
    const names = unchecked.map((one) => one.id).join(', ')
    said.push(
      `OVN does not check ${names} of ${id}, so it only tells Torb what it sees, and nobody takes a dead backend out while no Torb runs: give all of them pulses of type ${spec.protocol}`,
    )
  }
  const shared = destinations.filter(({ address }, i) =>
    destinations.some((other, j) => j < i && other.address === address),
  )
  if (checkMode(spec) === 'excluding' && shared.length > 0) {
    const addresses = [...new Set(shared.map(({ address }) => address))].join(', ')
    said.push(
      `several backends of ${id} have the address ${addresses}, and OVN's ip_port_mappings know addresses only: one of them cannot drain, its connections end as soon as its weight is 0`,
    )
  }
  return said
}

/**
 * True where options:ct_flush is on: then the update that takes a backend from the list resets its connections. It is where
 * drained backends stay listed, which takes a check of every other one.
 */
export const flushes = ({ destinations }: VirtualService): boolean =>
  destinations.some(({ check }) => check !== null) && covered(destinations)

/** True where OVN may leave backends out: whoever has weight is checked. */
const covered = (destinations: readonly Destination[]): boolean =>
  destinations.every(({ weight, check }) => weight === 0 || check !== null)

/** OVN has one check for a virtual address: the least interval, timeout, rise and fall of all. */
function optionsOf(destinations: readonly Destination[]): Readonly<Record<string, string>> {
  const checks = destinations.flatMap(({ check }) => check ?? [])
  const least = (of: (check: DestinationCheck) => number): string =>
    String(Math.max(1, Math.ceil(Math.min(...checks.map(of)))))
  return {
    interval: least(({ intervalMs }) => intervalMs / 1000),
    timeout: least(({ timeoutMs }) => timeoutMs / 1000),
    success_count: least(({ rise }) => rise),
    failure_count: least(({ fall }) => fall),
  }
}

const sameTimes = (a: DestinationCheck, b: DestinationCheck): boolean =>
  a.intervalMs === b.intervalMs && a.timeoutMs === b.timeoutMs && a.rise === b.rise && a.fall === b.fall

function watchRow(
  spec: VirtualService,
  checks: readonly CheckRow[],
  destinations: readonly Destination[],
  mappings: ReadonlyMap<string, Mapping>,
): WatchRow | null {
  const known = destinations.filter(({ address }) => mappings.has(address))
  if (known.length === 0) return null
  return {
    name: `${spec.id} (watched, no traffic)`,
    vips: { [vipOf(spec)]: known.map(vipText).join(',') },
    checks,
    ipPortMappings: mappingsOf(known, mappings),
  }
}

function mappingsOf(
  destinations: readonly Destination[],
  mappings: ReadonlyMap<string, Mapping>,
): Readonly<Record<string, string>> {
  return Object.fromEntries(
    destinations.flatMap(({ address }) => {
      const mapping = mappings.get(address)
      return mapping === undefined ? [] : [[bracketed(address), mappingText(mapping)] as const]
    }),
  )
}
