import { familyOf } from '../../model/address.ts'
import type { VirtualService } from '../plane.ts'
import { connected } from './neighbourhood.ts'
import { contains } from './subnet.ts'
import { isEndpoint, type SwitchPortRow, type SwitchRow } from './logicalRows.ts'
import { freeAddresses } from './freeAddresses.ts'
import type { Topology } from './topology.ts'

/** How OVN reaches a backend to check it: an entry of a load balancer's ip_port_mappings. */
export interface Mapping {
  /** Name of the logical switch port. */
  readonly port: string
  /** Address that checks come from. */
  readonly source: string
}

export interface Mapped {
  /** By the backend's canonical address. */
  readonly mappings: ReadonlyMap<string, Mapping>
  /** By the address in question: why a backend has none, or `check_source` is of no use, with the cure; one sentence each. */
  readonly problems: ReadonlyMap<string, string>
}

/** How a mapping is written: `vm1:10.0.0.254`, and of IPv6 `vm1:[fd00::fe]`. */
export const mappingText = ({ port, source }: Mapping): string => `${port}:${bracketed(source)}`

/** How an address is written as a key of ip_port_mappings. */
export const bracketed = (address: string): string => (familyOf(address) === 6 ? `[${address}]` : address)

/** A value of ip_port_mappings read as OVN does: the port ends at the first colon. null where it has no source. */
export function parseMapping(text: string): Mapping | null {
  const [, port, source] = /^([^:]+):\[?([^[\]]+)\]?$/.exec(text) ?? []
  if (port === undefined || source === undefined || familyOf(source) === null) return null
  return { port, source }
}

/**
 * The addresses that checks come from, one for each switch and family, whatever service asks.
 *
 * It stays the same as long as nobody takes it: OVN has one monitor for a backend, however many services use it.
 */
export class CheckSources {
  readonly #topology: Topology
  /** By switch and family. */
  readonly #chosen = new Map<string, string>()

  /** @param present values of ip_port_mappings that an earlier run wrote: their sources are kept */
  constructor(topology: Topology, present: Iterable<string>) {
    this.#topology = topology
    for (const text of present) {
      const mapping = parseMapping(text)
      const port = mapping === null ? null : topology.portNamed(mapping.port)
      const of = port === null ? null : topology.switchOf(port)
      if (mapping !== null && of !== null) this.#chosen.set(keyOf(of, mapping.source), mapping.source)
    }
  }

  /** null where the switch has no network with a free address of the family of `backend`. */
  of(on: SwitchRow, backend: string): string | null {
    const key = keyOf(on, backend)
    const known = this.#chosen.get(key)
    if (known !== undefined && this.suits(on, known)) return known
    const [source] = freeAddresses(this.#topology, on, familyOf(backend) ?? 4)
    if (source === undefined) return null
    this.#chosen.set(key, source)
    return source
  }

  /** True where the address is in a network of the switch, as far as they are known, and nobody has it: OVN answers ARP for it. */
  suits(on: SwitchRow, address: string): boolean {
    const topology = this.#topology
    const networks = topology.subnets(on).filter((subnet) => familyOf(subnet.address) === familyOf(address))
    return (
      (networks.length === 0 || networks.some((subnet) => contains(subnet, address))) &&
      topology.holders(address).length === 0 &&
      topology.routerPortsWith(address).length === 0 &&
      topology.balancersAt(address).length === 0
    )
  }
}

/**
 * Finds the logical port of each backend, and where its checks come from.
 *
 * @param given `ovn.check_source`; chosen where undefined
 */
export function mapBackends(
  topology: Topology,
  { destinations, attach }: Pick<VirtualService, 'destinations' | 'attach'>,
  sources: CheckSources,
  given: string | undefined,
): Mapped {
  const mappings = new Map<string, Mapping>()
  const problems = new Map<string, string>()
  const near =
    attach === null
      ? null
      : () => new Set([...connected(topology, attachedSwitches(topology, attach))].map(({ uuid }) => uuid))
  let useful = given === undefined
  for (const { id, address } of destinations) {
    const found = holderOf(topology, address, near)
    if (typeof found === 'string') {
      problems.set(address, `backend ${id}: ${found}`)
      continue
    }
    const suits =
      given !== undefined && familyOf(given) === familyOf(address) && sources.suits(found.on, given)
    const source = suits ? given : sources.of(found.on, address)
    useful ||= suits
    if (source === null) problems.set(address, `backend ${id}: ${noSource(found.on, address)}`)
    else mappings.set(address, { port: found.port.name, source })
  }
  if (given !== undefined && !useful && mappings.size > 0) {
    problems.set(
      given,
      `check_source ${given} is not a free address in the network of any backend: leave it out, and one is chosen`,
    )
  }
  return { mappings, problems }
}

interface Holder {
  readonly port: SwitchPortRow
  readonly on: SwitchRow
}

/** The port that has the address, or why it is not known which. @param near uuids of the switches that the service can reach */
function holderOf(
  topology: Topology,
  address: string,
  near: (() => ReadonlySet<string>) | null,
): Holder | string {
  const all = topology.holders(address).flatMap((port): Holder | [] => {
    const on = isEndpoint(port) ? topology.switchOf(port) : null
    return on === null ? [] : { port, on }
  })
  const reached = all.length > 1 ? near?.() : undefined
  const holders = reached === undefined ? all : all.filter(({ on }) => reached.has(on.uuid))
  const [first, second] = holders
  if (first === undefined) {
    return `no logical switch port${all.length > 0 ? ' near the service' : ''} has the address ${address}, so OVN cannot check it: give the port the address (ovn-nbctl lsp-set-addresses PORT "MAC ${address}"), or the backend "pulse": {"type": "none"}`
  }
  if (second !== undefined) {
    const names = holders.map(({ port }) => port.name).join(', ')
    return `the logical switch ports ${names} all have the address ${address}: leave it to one of them, or attach the service to the switch that is meant`
  }
  if (first.port.name.includes(':')) {
    return `the name of its logical switch port, ${first.port.name}, has a colon, which OVN's ip_port_mappings cannot hold: rename the port, or give the backend "pulse": {"type": "none"}`
  }
  return first
}

function noSource(on: SwitchRow, address: string): string {
  return `OVN's checks of ${address} need a free IPv${familyOf(address)} address in the network of switch ${on.name}, and none is known: give one as "ovn": {"check_source": ADDRESS}, or say the network by other_config:subnet of the switch`
}

/** Switches that a service is attached to, or whose routers it is attached to. */
export function attachedSwitches(
  topology: Topology,
  { switches, routers, groups }: NonNullable<VirtualService['attach']>,
): readonly SwitchRow[] {
  const grouped = groups.flatMap((name) => {
    const group = topology.groupNamed(name)
    return group === null ? [] : topology.reachOfGroup(group).map(({ datapath }) => datapath)
  })
  const named = [
    ...switches
      .flatMap((name) => topology.switchesNamed(name))
      .map((row) => ({ kind: 'switch', row }) as const),
    ...routers
      .flatMap((name) => topology.routersNamed(name))
      .map((row) => ({ kind: 'router', row }) as const),
  ]
  return [...named, ...grouped].flatMap((datapath) =>
    datapath.kind === 'switch' ? datapath.row : topology.linksOf(datapath.row).map((link) => link.switch),
  )
}

const keyOf = (on: SwitchRow, address: string): string => `${on.uuid} ${familyOf(address)}`
