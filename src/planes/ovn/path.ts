import { familyOf } from '../../model/address.ts'
import {
  networksOf,
  type BalancerRow,
  type RouterPortRow,
  type RouterRow,
  type SwitchPortRow,
  type SwitchRow,
} from './logicalRows.ts'
import { contains, parseSubnet, type Subnet } from './subnet.ts'
import type { Link, Topology } from './topology.ts'

/** A datapath on the way of a packet. */
export type Hop =
  | {
      readonly kind: 'switch'
      readonly row: SwitchRow
      /** What comes in by a router's port skips load balancing (northd, ls_in_pre_lb). */
      readonly from: 'endpoint' | 'outside' | 'router'
    }
  | { readonly kind: 'router'; readonly row: RouterRow; readonly inPort: RouterPortRow }

/**
 * How a way ends: at a logical port, at a router that has the address itself, in a physical network, or in silence:
 * nobody answers ARP (ND) for `address`, there is no route, or the switch has no router.
 */
export type PathEnd =
  | { readonly kind: 'port'; readonly port: SwitchPortRow }
  | { readonly kind: 'router'; readonly row: RouterRow }
  | { readonly kind: 'outside'; readonly row: SwitchRow }
  | { readonly kind: 'unanswered'; readonly row: SwitchRow; readonly address: string }
  | { readonly kind: 'no-route'; readonly row: RouterRow }
  | { readonly kind: 'no-router'; readonly row: SwitchRow }
  | { readonly kind: 'stopped' }
  | { readonly kind: 'loop' }

export interface Path {
  readonly hops: readonly Hop[]
  readonly end: PathEnd
}

/** More than any sound network has, less than ovn-trace follows. */
const longestPath = 24

/**
 * The way that a packet takes from a switch to an address by the routes and addresses of the logical network.
 *
 * Which of several routers an endpoint uses is not in the database: one that has a route is taken.
 *
 * @param stop ends the way at a hop, such as one that balances
 */
export function pathTo(
  topology: Topology,
  start: { readonly row: SwitchRow; readonly from: 'endpoint' | 'outside' },
  destination: string,
  stop: (hop: Hop) => boolean = () => false,
): Path {
  const hops: Hop[] = []
  let step: Step = { hop: { kind: 'switch', ...start } }
  for (;;) {
    if ('end' in step) return { hops, end: step.end }
    const { hop }: { readonly hop: Hop } = step
    hops.push(hop)
    if (hop.kind === 'switch') {
      step = leaveSwitch(topology, hop.row, destination)
      // Without anybody to send it to, the packet is never made.
      const made = !('end' in step) || !['unanswered', 'no-router'].includes(step.end.kind)
      if (made && stop(hop)) return { hops, end: { kind: 'stopped' } }
      continue
    }
    if (stop(hop)) return { hops, end: { kind: 'stopped' } }
    if (hops.length > longestPath) return { hops, end: { kind: 'loop' } }
    const { over, onward } = leaveRouter(topology, hop.row, destination)
    if (over !== null) hops.push({ kind: 'switch', row: over, from: 'router' })
    step = onward
  }
}

type Step = { readonly hop: Hop } | { readonly end: PathEnd }

/** What an endpoint of a switch does with a packet. */
function leaveSwitch(topology: Topology, row: SwitchRow, destination: string): Step {
  if (topology.subnets(row).some((subnet) => contains(subnet, destination))) {
    return toNeighbour(topology, row, destination, destination)
  }
  const links = topology.links(row)
  const link = links.find(({ router }) => routeOf(topology, router, destination) !== null) ?? links[0]
  if (link !== undefined) return enter(link)
  return { end: { kind: topology.leadsOutside(row) ? 'outside' : 'no-router', row } }
}

/** On a switch: to whoever answers ARP (ND) for the next address. */
function toNeighbour(
  topology: Topology,
  row: SwitchRow,
  next: string,
  destination: string,
  sender?: RouterRow,
): Step {
  const port = topology.holders(next).find((holder) => topology.switchOf(holder)?.uuid === row.uuid)
  // A machine that is to route is beyond what the database knows.
  if (port !== undefined)
    return { end: next === destination ? { kind: 'port', port } : { kind: 'outside', row } }
  const link = answering(topology, row, next, sender)
  if (link !== null) return enter(link)
  return {
    end: topology.leadsOutside(row) ? { kind: 'outside', row } : { kind: 'unanswered', row, address: next },
  }
}

const enter = ({ router, routerPort }: Link): Step => ({
  hop: { kind: 'router', row: router, inPort: routerPort },
})

/** `over`: the switch that the packet crosses on its way to the next router or to its end. */
function leaveRouter(
  topology: Topology,
  row: RouterRow,
  destination: string,
): { readonly over: SwitchRow | null; readonly onward: Step } {
  if (
    topology.routerPorts(row).some((port) => networksOf(port).some(({ address }) => address === destination))
  ) {
    return { over: null, onward: { end: { kind: 'router', row } } }
  }
  const route = routeOf(topology, row, destination)
  const peer = route === null ? null : topology.peerOf(route.port)
  const peerRouter = peer === null ? null : topology.routerOf(peer)
  if (peer !== null && peerRouter !== null) {
    return { over: null, onward: { hop: { kind: 'router', row: peerRouter, inPort: peer } } }
  }
  const over = topology.linksOf(row).find(({ routerPort }) => routerPort.uuid === route?.port.uuid)?.switch
  if (route === null || over === undefined) return { over: null, onward: { end: { kind: 'no-route', row } } }
  if (route.by !== undefined && knowsNeighbours(topology, row)) return { over, onward: enter(route.by) }
  return { over, onward: toNeighbour(topology, over, route.next, destination, row) }
}

export interface Route {
  readonly port: RouterPortRow
  /** Address of the next machine: the destination itself in a connected network. */
  readonly next: string
  /** As a person would write it. */
  readonly text: string
  /** The neighbour whose load balancer gives it (`add_route`). */
  readonly by?: Link
}

/** The route that a router takes: the longest prefix; of equal ones the connected network. null where it has none. */
export function routeOf(topology: Topology, router: RouterRow, destination: string): Route | null {
  const ports = topology.routerPorts(router)
  const offers: { readonly prefix: number; readonly route: Route | null }[] = []
  const offer = (prefix: number, route: Route | null): number => offers.push({ prefix, route })
  for (const port of ports) {
    for (const network of networksOf(port)) {
      if (!contains(network, destination)) continue
      offer(network.prefix, { port, next: destination, text: `network of ${port.name}` })
    }
  }
  const added = addedRoute(topology, router, destination)
  if (added !== null) return added
  for (const { ip_prefix: text, nexthop, policy, output_port: output } of topology.staticRoutesOf(router)) {
    const prefix = parseSubnet(text)
    if (prefix === null || policy === 'src-ip' || !contains(prefix, destination)) continue
    if (nexthop === 'discard') offer(prefix.prefix, null)
    if (familyOf(nexthop) === null) continue
    const port =
      ports.find(({ name }) => name === output) ??
      ports.find((one) => networksOf(one).some((network) => contains(network, nexthop)))
    if (port === undefined) continue
    offer(prefix.prefix, { port, next: nexthop, text: `${text} via ${nexthop}` })
  }
  return offers.toSorted((a, b) => b.prefix - a.prefix)[0]?.route ?? null
}

/** Whether a router asks no ARP for what `add_route` gives it (northd.c, build_routable_flows_for_router_port). */
export const knowsNeighbours = (topology: Topology, router: RouterRow): boolean =>
  topology.kindOf(router) !== 'distributed' && router.options.get('dynamic_neigh_routers') !== 'true'

/**
 * Whether a router's neighbours on a switch get routes to its load balancers of `add_route`: by its gateway port there, and since
 * OVN 24.03 by a gateway router too; of IPv4 only (northd.c; measured with 23.03 and 25.03).
 */
export const addsRoute = (topology: Topology, { router, routerPort }: Link, address: string): boolean =>
  familyOf(address) === 4 &&
  (topology.kindOf(router) === 'gateway'
    ? topology.hasNorthd(24, 3)
    : topology.gatewayPorts(router).some(({ port }) => port.uuid === routerPort.uuid))

function addedRoute(topology: Topology, router: RouterRow, destination: string): Route | null {
  const adding = topology
    .balancersAt(destination)
    .filter(({ options }) => options.get('add_route') === 'true')
  if (adding.length === 0) return null
  for (const { switch: of, routerPort: port } of topology.linksOf(router)) {
    for (const neighbour of topology.links(of)) {
      if (neighbour.router.uuid === router.uuid || !addsRoute(topology, neighbour, destination)) continue
      if (!adding.some(({ uuid }) => topology.evaluates(neighbour.router, uuid))) continue
      return { port, next: destination, text: `add_route of ${neighbour.router.name}`, by: neighbour }
    }
  }
  return null
}

/** The router on a switch that answers ARP (ND) for an address; null where none does. @param asking answers no one itself */
export function answering(
  topology: Topology,
  of: SwitchRow,
  address: string,
  asking?: RouterRow,
): Link | null {
  return (
    topology.links(of).find(({ router, routerPort, switchPort }) => {
      if (router.uuid === asking?.uuid) return false
      if (networksOf(routerPort).some((network) => network.address === address)) return true
      if (proxied(switchPort).some((subnet) => contains(subnet, address))) return true
      if (topology.kindOf(router) !== 'distributed') {
        if (topology.natOf(router).some(({ external_ip: external }) => external === address)) return true
      }
      return topology
        .balancersAt(address)
        .some((row) => topology.evaluates(router, row.uuid) && responds(topology, row, router, address))
    }) ?? null
  )
}

/** Whether a router answers ARP for a load balancer's address (options:neighbor_responder, ovn-nb(5)). */
function responds(topology: Topology, { options }: BalancerRow, router: RouterRow, address: string): boolean {
  const template = options.get('template') === 'true'
  return respondsTo(
    topology,
    options.get('neighbor_responder') ?? (template ? 'none' : 'reachable'),
    router,
    address,
  )
}

/** As `responds`, of a load balancer that need not be there yet. */
export function respondsTo(topology: Topology, mode: string, router: RouterRow, address: string): boolean {
  if (mode === 'none' || mode === 'all') return mode === 'all'
  return topology
    .routerPorts(router)
    .some((port) => networksOf(port).some((network) => contains(network, address)))
}

const proxied = ({ options }: SwitchPortRow): readonly Subnet[] =>
  (options.get('arp_proxy') ?? '').split(/[\s,]+/).flatMap((text) => parseSubnet(text) ?? [])

/** Where a client may be. */
export interface Place {
  readonly row: SwitchRow
  readonly from: 'endpoint' | 'outside'
  /** null outside. */
  readonly port: SwitchPortRow | null
  /** Its network is that of the switch; else this is a guess. */
  readonly known: boolean
}

/** Places of an address: its ports' switches (several where networks overlap), or a switch by which its network comes in. */
export function placesOf(topology: Topology, address: string): readonly Place[] {
  if (familyOf(address) === null) return []
  const places = topology.holders(address).flatMap((port): readonly Place[] => {
    const row = topology.switchOf(port)
    return row === null ? [] : [{ row, from: 'endpoint', port, known: true }]
  })
  if (places.length > 0) return places
  const own = topology.switchesAround(address).filter((row) => topology.leadsOutside(row))
  if (own.length > 0) return own.map((row) => ({ row, from: 'outside', port: null, known: true }))
  const row = anyOutside(topology)
  return row === undefined ? [] : [{ row, from: 'outside', port: null, known: false }]
}

function anyOutside(topology: Topology): SwitchRow | undefined {
  for (const row of topology.switches()) {
    if (topology.leadsOutside(row) && topology.links(row).length > 0) return row
  }
  return undefined
}
