import { familyOf, type Family } from '../../model/address.ts'
import type { VirtualService } from '../plane.ts'
import { clientsOn, named, rowsOf, type Rule } from './adviceScene.ts'
import { networksOf, type RouterRow, type SwitchRow } from './logicalRows.ts'
import { clientsOf, connected, neighboursOf } from './neighbourhood.ts'
import { addsRoute, knowsNeighbours, pathTo, respondsTo, routeOf } from './path.ts'
import { contains, parseSubnet } from './subnet.ts'
import type { Topology } from './topology.ts'

const plainRouter: Rule = ({ spec, topology, switches, routers }) =>
  routers
    .filter((router) => topology.kindOf(router) === 'distributed')
    .filter((router) =>
      topology.linksOf(router).some((link) => !switches.some(({ uuid }) => uuid === link.switch.uuid)),
    )
    .map(
      (router) =>
        `router ${router.name} is distributed and has no gateway port, where OVN balances but never translates the answers back, so clients of service ${spec.id} behind it get none: attach it to the clients' switches, or to a gateway router (options:chassis)`,
    )

/** Answers have to pass the router that balanced; lb_force_snat_ip makes them. */
const pastGateway: Rule = (scene) => {
  const { spec, topology, routers, switches, serverSwitches } = scene
  const gateways = new Set(
    [...topology.routers()].filter(({ options }) => options.has('chassis')).map(({ uuid }) => uuid),
  )
  return routers
    .filter((router) => gateways.has(router.uuid) && !forcesSnat(router, spec))
    .flatMap((router) => {
      const evaluating = new Set([router, ...switches].map(({ uuid }) => uuid))
      const hanging = clientsOn(
        scene,
        connected(topology, serverSwitches, gateways),
        ({ row, from, address }) => {
          if (evaluating.has(row.uuid) || sourceTranslated(topology, router, address)) return false
          const isThere = (hop: { readonly row: { readonly uuid: string } }): boolean =>
            hop.row.uuid === router.uuid
          if (pathTo(topology, { row, from }, spec.address, isThere).end.kind !== 'stopped') return false
          return serverSwitches.some(
            (start) =>
              pathTo(topology, { row: start, from: 'endpoint' }, address, isThere).end.kind !== 'stopped',
          )
        },
      )
      if (hanging.length === 0) return []
      return [
        `gateway router ${router.name} balances for clients on ${named('switch', rowsOf(hanging))} too, but their answers go past it and they get none: set "ovn": {"force_snat": "router_ip"} (backends then see ${router.name} instead of the client), or attach service ${spec.id} to their ${hanging.length === 1 ? 'switch' : 'switches'} as well`,
      ]
    })
}

/** Only what leaves by the gateway port is translated back (northd, lr_out_undnat). */
const pastGatewayPort: Rule = (scene) => {
  const { spec, topology, routers, switches } = scene
  return routers
    .filter((router) => topology.kindOf(router) === 'gateway-port')
    .flatMap((router) => {
      const gatewayPorts = new Set(topology.gatewayPorts(router).map(({ port }) => port.uuid))
      const inside = topology.linksOf(router).filter(({ routerPort }) => !gatewayPorts.has(routerPort.uuid))
      const evaluating = new Set(switches.map(({ uuid }) => uuid))
      const behind = connected(
        topology,
        inside.map((link) => link.switch),
        new Set([router.uuid]),
      )
      const hanging = clientsOn(scene, behind, ({ row, from }) => {
        if (evaluating.has(row.uuid)) return false
        return pathTo(topology, { row, from }, spec.address).hops.some(
          (hop) =>
            hop.kind === 'router' && hop.row.uuid === router.uuid && !gatewayPorts.has(hop.inPort.uuid),
        )
      })
      if (hanging.length === 0) return []
      return [
        `router ${router.name} balances only what passes its gateway port, so clients on ${named('switch', rowsOf(hanging))} get no answer from service ${spec.id}: attach it to their ${hanging.length === 1 ? 'switch' : 'switches'} as well`,
      ]
    })
}

const severalGateways: Rule = ({ spec, topology, routers }) => {
  const bare = routers.filter((router) => topology.kindOf(router) === 'gateway' && !forcesSnat(router, spec))
  if (routers.filter((router) => topology.kindOf(router) === 'gateway').length < 2 || bare.length === 0)
    return []
  return [
    `service ${spec.id} is on several gateway routers, and answers to what ${named('router', bare)} balanced may leave by another one and never be translated back: set "ovn": {"force_snat": "router_ip"}`,
  ]
}

const gatewayPortsApart: Rule = ({ spec, topology, routers }) =>
  routers.flatMap((router) => {
    const ports = topology.gatewayPorts(router)
    if (new Set(ports.map(({ chassis }) => chassis[0])).size < 2) return []
    const places = ports.map(({ port, chassis }) => `${port.name} on ${chassis[0]}`).join(', ')
    return [
      `the gateway ports of router ${router.name} are on different chassis (${places}), and only one of them balances service ${spec.id}: give all the same chassis, or attach it to the clients' switches`,
    ]
  })

const forceSnatElsewhere: Rule = ({ spec, topology, routers }) =>
  routers
    .filter((router) => topology.kindOf(router) !== 'gateway' && forcesSnat(router, spec))
    .map(
      (router) =>
        `force_snat works on gateway routers (options:chassis), and ${router.name} is none: leave it out, since an address there leaves clients without answer`,
    )

const unrouted: Rule = ({ spec, topology, routers, backendAddresses }) =>
  routers.flatMap((router) => {
    const kind = topology.kindOf(router)
    if (kind === 'distributed' || respondsTo(topology, 'reachable', router, spec.address)) return []
    const links = topology.linksOf(router)
    if (links.some((link) => clientsOf(topology, link.switch, backendAddresses, spec.family) !== null))
      return []
    const neighbours = neighboursOf(topology, router)
    if (neighbours.length === 0 || neighbours.some((one) => leadsTo(topology, one, router, spec))) return []
    const next = nextHop(topology, neighbours[0] ?? router, router, spec.family)
    const told = links.filter(
      (link) =>
        addsRoute(topology, { ...link, router }, spec.address) && topology.links(link.switch).length > 1,
    )
    const answers = told.some((link) => neighboursAsk(topology, link.switch, router))
    const adds =
      told.length === 0
        ? ''
        : `set "ovn": {"add_route": true${answers ? ', "neighbor_responder": "all"' : ''}}, or `
    return [
      `${spec.address} is in no network of router ${router.name}, and ${named('router', neighbours)} ${neighbours.length === 1 ? 'has' : 'have'} no route to it, so nobody gets there: ${adds}add a route ("ovn-nbctl lr-route-add ${neighbours[0]?.name} ${spec.address} ${next ?? 'ADDRESS'}")`,
    ]
  })

/** A route of add_route goes before a static one, and plain distributed routers ask for its address by ARP. */
const routedInVain: Rule = ({ spec, topology, routers }) =>
  routers.flatMap((router) => {
    if (respondsTo(topology, spec.ovn?.neighbor_responder ?? 'reachable', router, spec.address)) return []
    const asking = neighboursOf(topology, router).filter(
      (one) =>
        routeOf(topology, one, spec.address)?.by?.router.uuid === router.uuid &&
        !knowsNeighbours(topology, one),
    )
    if (asking.length === 0) return []
    return [
      `add_route makes ${named('router', asking)} ask for ${spec.address} by ARP, and router ${router.name} does not answer: set "ovn": {"add_route": true, "neighbor_responder": "all"}, or leave add_route out`,
    ]
  })

/** What routers do, and do not do, with a load balancer. */
export const routerRules: readonly Rule[] = [
  plainRouter,
  pastGateway,
  pastGatewayPort,
  severalGateways,
  gatewayPortsApart,
  forceSnatElsewhere,
  unrouted,
  routedInVain,
]

/** Whether a router's route to the service goes to its neighbour. */
function leadsTo(topology: Topology, from: RouterRow, to: RouterRow, spec: VirtualService): boolean {
  const route = routeOf(topology, from, spec.address)
  if (route?.by !== undefined) return route.by.router.uuid === to.uuid
  if (route !== null) {
    const peer = topology.peerOf(route.port)
    return (
      (peer !== null && topology.routerOf(peer)?.uuid === to.uuid) ||
      topology.routerPortsWith(route.next).some((port) => topology.routerOf(port)?.uuid === to.uuid)
    )
  }
  return false
}

const neighboursAsk = (topology: Topology, of: SwitchRow, router: RouterRow): boolean =>
  topology.links(of).some((one) => one.router.uuid !== router.uuid && !knowsNeighbours(topology, one.router))

/** The address by which a router reaches its neighbour. */
function nextHop(topology: Topology, from: RouterRow, to: RouterRow, family: Family): string | undefined {
  const beside = new Set(topology.linksOf(from).map((link) => link.switch.uuid))
  const shared = topology.linksOf(to).filter((link) => beside.has(link.switch.uuid))
  const facing = topology.routerPorts(from).flatMap((port) => {
    const peer = topology.peerOf(port)
    return peer !== null && topology.routerOf(peer)?.uuid === to.uuid ? [peer] : []
  })
  const networks = [...shared.map(({ routerPort }) => routerPort), ...facing].flatMap(networksOf)
  return networks.find(({ address }) => familyOf(address) === family)?.address
}

/** Whether what a router balanced leaves with the router's address: by the service's wish, or by its own option. */
export function forcesSnat(router: RouterRow, { ovn }: VirtualService): boolean {
  if (ovn?.skip_snat === true) return false
  return ovn?.force_snat !== undefined || (router.options.get('lb_force_snat_ip') ?? '') !== ''
}

/** Whether a gateway router's own SNAT rules take the client: its answers then come back to the router. */
export const sourceTranslated = (topology: Topology, router: RouterRow, client: string): boolean =>
  topology.natOf(router).some(({ type, logical_ip: logical }) => {
    const network = type === 'snat' ? parseSubnet(logical) : null
    return network !== null && contains(network, client)
  })
