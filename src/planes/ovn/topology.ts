import { familyOf } from '../../model/address.ts'
import type { VirtualService } from '../plane.ts'
import type { RowChange, Uuid } from './ovsdb/ovsdb.ts'
import { attachedTo, changesNetwork, indexedTables, LogicalIndexes } from './logicalIndexes.ts'
import {
  isEndpoint,
  networksOf,
  ownSubnets,
  routerPortName,
  texts,
  type BalancerRow,
  type GroupRow,
  type NatRow,
  type RouteRow,
  type RouterPortRow,
  type RouterRow,
  type SwitchPortRow,
  type SwitchRow,
} from './logicalRows.ts'
import { networkText, type Subnet } from './subnet.ts'
import type { Northbound, NorthboundRow, NorthboundTable, northboundTables } from './tables.ts'

/**
 * gateway: on one chassis (options:chassis). gateway-port: distributed, what leaves by a gateway port passes one chassis.
 * distributed: on every chassis, with no such port.
 */
export type RouterKind = 'gateway' | 'gateway-port' | 'distributed'

export type Datapath =
  | { readonly kind: 'switch'; readonly row: SwitchRow }
  | { readonly kind: 'router'; readonly row: RouterRow }

/** A datapath that evaluates a load balancer. */
export interface Reached {
  readonly datapath: Datapath
  /** Group by which; null where the datapath names the load balancer itself. */
  readonly group: string | null
}

/** Where a switch and a router meet. */
export interface Link {
  readonly switch: SwitchRow
  readonly switchPort: SwitchPortRow
  readonly router: RouterRow
  readonly routerPort: RouterPortRow
}

export interface GatewayPort {
  readonly port: RouterPortRow
  /** By name, most wanted first. */
  readonly chassis: readonly string[]
}

/**
 * The logical network of a northbound database: an indexed view of the replica, kept up by its changes.
 *
 * Ports and load balancers are found by key, whatever their number; the replica's rows are the answers.
 */
export class Topology {
  readonly #database: Pick<Northbound, 'rows'>
  readonly #by = new LogicalIndexes()
  /** Ports of a switch that are no endpoints. */
  readonly #special = new Map<Uuid, readonly SwitchPortRow[]>()
  /** What was worked out since the network changed last. */
  #known = nothingKnown()
  #version = 0

  /** Reads what the replica holds; its later changes are for `apply`. */
  constructor(database: Pick<Northbound, 'rows'>) {
    this.#database = database
    for (const table of indexedTables) {
      for (const row of database.rows(table).values()) this.#by.replace(table, null, row)
    }
  }

  /** Takes over what a subscription of the same replica reports. */
  apply(changes: readonly RowChange<typeof northboundTables>[]): void {
    for (const change of changes) {
      const { table, uuid, before, after } = change
      if (table === 'Logical_Switch') this.#special.delete(uuid)
      if (table === 'Logical_Switch_Port') {
        for (const of of this.#by.switchOfPort.get(uuid)) this.#special.delete(of)
      }
      this.#by.replace(table, before, after)
    }
    if (!changes.some(changesNetwork)) return
    this.#known = nothingKnown()
    this.#version++
  }

  /** Another number after each change of the network; what load balancers it has is no part of that. */
  get version(): number {
    return this.#version
  }

  /** By name or uuid, as ovn-nbctl takes them; names need not be unique. */
  switchesNamed(name: string): readonly SwitchRow[] {
    return this.#found('Logical_Switch', [...this.#by.switchNames.get(name), name])
  }

  routersNamed(name: string): readonly RouterRow[] {
    return this.#found('Logical_Router', [...this.#by.routerNames.get(name), name])
  }

  groupNamed(name: string): GroupRow | null {
    return this.#found('Load_Balancer_Group', [...this.#by.groupNames.get(name), name])[0] ?? null
  }

  portNamed(name: string): SwitchPortRow | null {
    return this.#found('Logical_Switch_Port', this.#by.portNames.get(name))[0] ?? null
  }

  /** All switches. */
  switches(): Iterable<SwitchRow> {
    return this.#rows('Logical_Switch').values()
  }

  routers(): Iterable<RouterRow> {
    return this.#rows('Logical_Router').values()
  }

  switchOf(port: SwitchPortRow): SwitchRow | null {
    return this.#found('Logical_Switch', this.#by.switchOfPort.get(port.uuid))[0] ?? null
  }

  routerOf(port: RouterPortRow): RouterRow | null {
    return this.#found('Logical_Router', this.#by.routerOfPort.get(port.uuid))[0] ?? null
  }

  /** Switch ports that have this address; more than one where networks overlap. */
  holders(address: string): readonly SwitchPortRow[] {
    return this.#found('Logical_Switch_Port', this.#by.holders.get(address))
  }

  /** Router ports that have this address. */
  routerPortsWith(address: string): readonly RouterPortRow[] {
    return this.#found('Logical_Router_Port', this.#by.routerPortAddresses.get(address))
  }

  routerPortNamed(name: string): RouterPortRow | null {
    return this.#found('Logical_Router_Port', this.#by.routerPortNames.get(name))[0] ?? null
  }

  routerPorts(router: RouterRow): readonly RouterPortRow[] {
    return this.#found('Logical_Router_Port', texts(router.ports))
  }

  /** Ports of a switch that are endpoints: virtual machines, containers. */
  *endpoints(of: SwitchRow): Generator<SwitchPortRow> {
    const ports = this.#rows('Logical_Switch_Port')
    for (const uuid of texts(of.ports)) {
      const port = ports.get(uuid)
      if (port !== undefined && isEndpoint(port)) yield port
    }
  }

  /** Where a switch has routers; rows as they were when the network changed last. */
  links(of: SwitchRow): readonly Link[] {
    return remembered(this.#known.links, of, () =>
      this.#specialPorts(of).flatMap((switchPort) => {
        const name = routerPortName(switchPort)
        const routerPort = name === null ? null : this.routerPortNamed(name)
        const router = routerPort === null ? null : this.routerOf(routerPort)
        return routerPort === null || router === null ? [] : [{ switch: of, switchPort, router, routerPort }]
      }),
    )
  }

  /** Where a router has switches; rows as they were when the network changed last. */
  linksOf(router: RouterRow): readonly Link[] {
    return remembered(this.#known.links, router, () =>
      this.routerPorts(router).flatMap((routerPort) =>
        this.#found('Logical_Switch_Port', this.#by.towards.get(routerPort.name)).flatMap((switchPort) => {
          const of = this.switchOf(switchPort)
          return of === null ? [] : [{ switch: of, switchPort, router, routerPort }]
        }),
      ),
    )
  }

  /** The router port that a router port is joined to without a switch between. */
  peerOf(port: RouterPortRow): RouterPortRow | null {
    return typeof port.peer === 'string' ? this.routerPortNamed(port.peer) : null
  }

  /** True where a switch leads out of the logical network: to a physical one, by gateway or VTEP. */
  leadsOutside(of: SwitchRow): boolean {
    return this.outsidePort(of) !== null
  }

  /** The port by which a switch leads there; null where it does not. */
  outsidePort(of: SwitchRow): SwitchPortRow | null {
    return this.#specialPorts(of).find(({ type }) => ['localnet', 'l2gateway', 'vtep'].includes(type)) ?? null
  }

  /** Networks of a switch: those of its routers' ports and that of its own address management. */
  subnets(of: SwitchRow): readonly Subnet[] {
    return remembered(this.#known.subnets, of, () => {
      const all = [...this.links(of).flatMap(({ routerPort }) => networksOf(routerPort)), ...ownSubnets(of)]
      return [...new Map(all.toReversed().map((one) => [networkText(one), one])).values()].toReversed()
    })
  }

  /** Switches in whose networks an address lies. */
  switchesAround(address: string): readonly SwitchRow[] {
    const bits = familyOf(address) === 4 ? 32 : 128
    const found = new Map<Uuid, SwitchRow>()
    for (let prefix = bits; prefix >= 0; prefix--) {
      const network = networkText({ address, prefix })
      const ports = this.#found('Logical_Router_Port', this.#by.routerPortNetworks.get(network))
      const routed = ports.flatMap(({ name }) =>
        this.#found('Logical_Switch_Port', this.#by.towards.get(name)).flatMap(
          (port) => this.switchOf(port) ?? [],
        ),
      )
      const own = this.#found('Logical_Switch', this.#by.switchNetworks.get(network))
      for (const row of [...routed, ...own]) found.set(row.uuid, row)
    }
    return [...found.values()]
  }

  kindOf(router: RouterRow): RouterKind {
    if (router.options.has('chassis')) return 'gateway'
    return this.gatewayPorts(router).length > 0 ? 'gateway-port' : 'distributed'
  }

  /** Gateway ports of a distributed router with their chassis, most wanted first. */
  gatewayPorts(router: RouterRow): readonly GatewayPort[] {
    if (router.options.has('chassis')) return []
    return remembered(this.#known.gatewayPorts, router, () =>
      this.routerPorts(router).flatMap((port) => {
        const chassis = this.#gatewayChassis(port)
        return chassis.length === 0 ? [] : [{ port, chassis }]
      }),
    )
  }

  natOf(router: RouterRow): readonly NatRow[] {
    return this.#found('NAT', texts(router.nat))
  }

  staticRoutesOf(router: RouterRow): readonly RouteRow[] {
    return this.#found('Logical_Router_Static_Route', texts(router.static_routes))
  }

  /** Switches and routers that evaluate a load balancer. */
  reach(balancer: Uuid): readonly Reached[] {
    const direct = this.#reachedBy(balancer, null)
    const grouped = this.#found('Load_Balancer_Group', this.#by.groupsOf.get(balancer)).flatMap(
      ({ uuid, name = '' }) => this.#reachedBy(uuid, name),
    )
    return distinct(this.#withSwitchesOfRouters([...direct, ...grouped]))
  }

  /** Switches and routers that would evaluate a load balancer that is attached to these, by name. */
  reachOf(attach: NonNullable<VirtualService['attach']>): readonly Reached[] {
    const direct = [
      ...attach.switches
        .flatMap((name) => this.switchesNamed(name))
        .map((row) => ({ kind: 'switch', row }) as const),
      ...attach.routers
        .flatMap((name) => this.routersNamed(name))
        .map((row) => ({ kind: 'router', row }) as const),
    ].map((datapath) => ({ datapath, group: null }))
    const grouped = attach.groups.flatMap((name) => {
      const group = this.groupNamed(name)
      return group === null ? [] : this.reachOfGroup(group)
    })
    return distinct(this.#withSwitchesOfRouters([...direct, ...grouped]))
  }

  /** Whether a switch or router evaluates a load balancer. */
  evaluates({ uuid }: SwitchRow | RouterRow, balancer: Uuid): boolean {
    const onSwitch = this.#rows('Logical_Switch').get(uuid)
    const row = onSwitch ?? this.#rows('Logical_Router').get(uuid)
    const named = row === undefined ? [] : attachedTo(row)
    if (named.includes(balancer)) return true
    for (const group of this.#by.groupsOf.get(balancer)) if (named.includes(group)) return true
    const [global] = this.#rows('NB_Global').values()
    if (onSwitch === undefined || !spreads(global)) return false
    return this.links(onSwitch).some(({ router }) => this.evaluates(router, balancer))
  }

  /** Switches and routers that name a group. */
  reachOfGroup(group: GroupRow): readonly Reached[] {
    return this.#withSwitchesOfRouters(this.#reachedBy(group.uuid, group.name ?? ''))
  }

  /** Load balancers with a virtual service at this address, of any port; templates by their text. */
  balancersAt(address: string): readonly BalancerRow[] {
    return this.#found('Load_Balancer', this.#by.balancersByVip.get(address))
  }

  balancer(uuid: Uuid): BalancerRow | null {
    return this.#rows('Load_Balancer').get(uuid) ?? null
  }

  /** Whether a port, router, NAT rule, virtual service or check has an address. */
  isTaken(address: string): boolean {
    const { holders, routerPortAddresses, balancersByVip, externals, checkSources } = this.#by
    return [holders, routerPortAddresses, balancersByVip, externals, checkSources].some(
      (index) => index.get(address).size > 0,
    )
  }

  #gatewayChassis(port: RouterPortRow): readonly string[] {
    const groups = typeof port.ha_chassis_group === 'string' ? [port.ha_chassis_group] : []
    const members = groups.flatMap((uuid) => this.#rows('HA_Chassis_Group').get(uuid)?.ha_chassis ?? [])
    const chassis = [
      ...this.#found('HA_Chassis', texts(members)),
      ...this.#found('Gateway_Chassis', texts(port.gateway_chassis)),
    ]
    return chassis.toSorted((a, b) => b.priority - a.priority).map(({ chassis_name: name }) => name)
  }

  #reachedBy(uuid: Uuid, group: string | null): Reached[] {
    return [
      ...this.#found('Logical_Switch', this.#by.switchesWith.get(uuid)).map((row) => ({
        datapath: { kind: 'switch', row } as const,
        group,
      })),
      ...this.#found('Logical_Router', this.#by.routersWith.get(uuid)).map((row) => ({
        datapath: { kind: 'router', row } as const,
        group,
      })),
    ]
  }

  /** Whether ovn-northd is of this version or a later one; false where it does not say (NB_Global options:northd_internal_version). */
  hasNorthd(year: number, month: number): boolean {
    const [global] = this.#rows('NB_Global').values()
    const [, major, minor] =
      /^(\d+)\.(\d+)\./.exec(global?.options.get('northd_internal_version') ?? '') ?? []
    return Number(major) > year || (Number(major) === year && Number(minor) >= month)
  }

  /** With NB_Global options:install_ls_lb_from_router the switches of a router have its load balancers too. */
  #withSwitchesOfRouters(reached: readonly Reached[]): readonly Reached[] {
    const [global] = this.#rows('NB_Global').values()
    if (!spreads(global)) return reached
    return [
      ...reached,
      ...reached.flatMap(({ datapath, group }) =>
        datapath.kind === 'switch'
          ? []
          : this.linksOf(datapath.row).map((link) => ({
              datapath: { kind: 'switch', row: link.switch } as const,
              group,
            })),
      ),
    ]
  }

  #specialPorts(of: SwitchRow): readonly SwitchPortRow[] {
    const known = this.#special.get(of.uuid)
    if (known !== undefined) return known
    const found = this.#found('Logical_Switch_Port', texts(of.ports)).filter((port) => !isEndpoint(port))
    this.#special.set(of.uuid, found)
    return found
  }

  #rows<T extends NorthboundTable>(table: T): ReadonlyMap<Uuid, NorthboundRow<T>> {
    return this.#database.rows(table)
  }

  #found<T extends NorthboundTable>(table: T, uuids: Iterable<Uuid>): NorthboundRow<T>[] {
    const rows = this.#rows(table)
    return [...uuids].flatMap((uuid) => rows.get(uuid) ?? [])
  }
}

interface KnownNetwork {
  readonly links: Map<Uuid, readonly Link[]>
  readonly subnets: Map<Uuid, readonly Subnet[]>
  readonly gatewayPorts: Map<Uuid, readonly GatewayPort[]>
}

const nothingKnown = (): KnownNetwork => ({ links: new Map(), subnets: new Map(), gatewayPorts: new Map() })

function remembered<T>(known: Map<Uuid, T>, { uuid }: { readonly uuid: Uuid }, find: () => T): T {
  const held = known.get(uuid)
  if (held !== undefined) return held
  const found = find()
  known.set(uuid, found)
  return found
}

/** The first of those with the same datapath. */
const distinct = (reached: readonly Reached[]): readonly Reached[] =>
  [...new Map(reached.toReversed().map((one) => [one.datapath.row.uuid, one])).values()].toReversed()

/** Whether a NB_Global gives the load balancers of routers to their switches; it is in no manual (northd/northd.c). */
const spreads = (row: NorthboundRow<'NB_Global'> | undefined): boolean =>
  row?.options.get('install_ls_lb_from_router') === 'true'
