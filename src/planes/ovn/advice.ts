import type { VirtualService } from '../plane.ts'
import { portAddresses, type RouterRow, type SwitchRow } from './logicalRows.ts'
import { clientsOf, connected, neighboursOf, switchesNear, type Clients } from './neighbourhood.ts'
import { answering, pathTo, respondsTo, routeOf } from './path.ts'
import { contains, parseSubnet } from './subnet.ts'
import type { Topology } from './topology.ts'

/** What a rule of attachment looks at. */
interface Scene {
  readonly spec: VirtualService
  readonly attach: NonNullable<VirtualService['attach']>
  readonly topology: Topology
  /** Switches and routers that evaluate the load balancer, groups' members included. */
  readonly switches: readonly SwitchRow[]
  readonly routers: readonly RouterRow[]
  /** Switches where backends are. */
  readonly serverSwitches: readonly SwitchRow[]
  readonly backendAddresses: ReadonlySet<string>
}

type Rule = (scene: Scene) => readonly string[]

/** So many switches are looked at in search of clients, and so many are named. */
const searched = 64
const listed = 3

/**
 * What is wrong, or not to be had, with where a service is attached: one sentence each, with the cure. None for what works.
 *
 * The rules are those of ovn-northd's flows, each seen on a real OVN (23.03).
 */
export function adviceFor(spec: VirtualService, topology: Topology): readonly string[] {
  const { version } = topology
  const held = given.get(spec)
  if (held?.topology === topology && held.version === version) return held.advice
  const advice = work(spec, topology)
  given.set(spec, { topology, version, advice })
  return advice
}

/** What was said of a service, for as long as the network is the same. */
const given = new WeakMap<
  VirtualService,
  { readonly topology: Topology; readonly version: number; readonly advice: readonly string[] }
>()

function work(spec: VirtualService, topology: Topology): readonly string[] {
  const attach = spec.attach ?? { switches: [], routers: [], groups: [] }
  const reached = topology.reachOf(attach).map(({ datapath }) => datapath)
  const backendAddresses = new Set(spec.destinations.map(({ address }) => address))
  const scene: Scene = {
    spec,
    attach,
    topology,
    switches: reached.flatMap((one) => (one.kind === 'switch' ? one.row : [])),
    routers: reached.flatMap((one) => (one.kind === 'router' ? one.row : [])),
    serverSwitches: switchesNear(topology, reached, backendAddresses),
    backendAddresses,
  }
  return rules.flatMap((rule) => rule(scene))
}

const nowhere: Rule = ({ spec, attach }) =>
  [...attach.switches, ...attach.routers, ...attach.groups].length > 0
    ? []
    : [
        `service ${spec.id} is attached nowhere and has no effect: name its clients' switches or a router on their way, such as "attach": {"switches": ["NAME"]}`,
      ]

const missing: Rule = ({ spec, attach, topology }) => [
  ...attach.switches
    .filter((name) => topology.switchesNamed(name).length === 0)
    .map(
      (name) =>
        `there is no switch ${name}, so service ${spec.id} has no effect there: create it, or take it out of "attach"`,
    ),
  ...attach.routers
    .filter((name) => topology.routersNamed(name).length === 0)
    .map(
      (name) =>
        `there is no router ${name}, so service ${spec.id} has no effect there: create it, or take it out of "attach"`,
    ),
  ...attach.groups
    .filter((name) => topology.groupNamed(name) === null)
    .map(
      (name) =>
        `there is no group ${name}, so service ${spec.id} has no effect by it: create it, or take it out of "attach"`,
    ),
]

const emptyGroup: Rule = ({ spec, attach, topology }) =>
  attach.groups.flatMap((name) => {
    const group = topology.groupNamed(name)
    if (group === null || topology.reachOfGroup(group).length > 0) return []
    return [
      `no switch and no router refers to group ${name}, so service ${spec.id} has no effect by it: add it to one ("ovn-nbctl add Logical_Switch NAME load_balancer_group ${group.uuid}")`,
    ]
  })

/** Packets that come in by a router's port skip load balancing (northd, ls_in_pre_lb). */
const serversSwitchOnly: Rule = (scene) => {
  const { spec, topology, switches, routers, serverSwitches } = scene
  const ofServers = new Set(serverSwitches.map(({ uuid }) => uuid))
  if (switches.length === 0 || routers.length > 0 || !switches.every(({ uuid }) => ofServers.has(uuid)))
    return []
  const own = new Set(switches.map(({ uuid }) => uuid))
  const left = clientsOn(scene, connected(topology, switches)).filter(({ row }) => !own.has(row.uuid))
  if (left.length === 0) return []
  return [
    `service ${spec.id} is attached only to ${named('switch', switches)}, where its backends are, so clients on ${named('switch', rowsOf(left))} get no answer: what comes in by a router's port is not balanced there; attach it to their ${left.length === 1 ? 'switch' : 'switches'}, or to a gateway router on their way`,
  ]
}

const noRouter: Rule = ({ spec, topology, switches }) =>
  switches
    .slice(0, searched)
    .filter((row) => topology.links(row).length === 0 && !topology.leadsOutside(row))
    .filter((row) => topology.endpoints(row).next().done !== true)
    .slice(0, listed)
    .map(
      (row) =>
        `switch ${row.name} has no router, so its clients have nobody to send packets for ${spec.address} to: connect it to one, whose port is their gateway`,
    )

/** Nobody on a switch answers for a load balancer's address unless a router has it too. */
const unanswered: Rule = ({ spec, attach, topology, switches, routers }) => {
  const evaluating = new Set(switches.map(({ uuid }) => uuid))
  const around = topology.switchesAround(spec.address).filter(({ uuid }) => evaluating.has(uuid))
  return around.flatMap((row) => {
    if (topology.holders(spec.address).some((port) => topology.switchOf(port)?.uuid === row.uuid)) return []
    const links = topology.links(row)
    if (links.length === 0 && !topology.leadsOutside(row)) return []
    const mode = spec.ovn?.neighbor_responder ?? (spec.ovn?.template === undefined ? 'reachable' : 'none')
    const routed = links.some(
      ({ router }) =>
        routers.some(({ uuid }) => uuid === router.uuid) && respondsTo(topology, mode, router, spec.address),
    )
    if (routed || answering(topology, row, spec.address) !== null) return []
    const router = links.find((link) => topology.kindOf(link.router) !== 'distributed')?.router
    const attachable = router !== undefined && !attach.routers.includes(router.name)
    const cures = [
      'take an address outside of their network',
      ...(attachable ? [`attach the service to router ${router.name} too`] : []),
      ...(attachable || spec.family === 6
        ? []
        : [`set options:arp_proxy=${spec.address} on a port of ${row.name} towards a router`]),
    ]
    return [
      `${spec.address} lies in the network of switch ${row.name} and nobody there answers ${spec.family === 4 ? 'ARP' : 'ND'} for it, so its clients get no answer: ${cures.join(', or ')}`,
    ]
  })
}

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
    const [address] = topology.routerPorts(router).flatMap((port) => portNetworkAddresses(port))
    const adds = kind === 'gateway-port' ? 'set "ovn": {"add_route": true}, or ' : ''
    return [
      `${spec.address} is in no network of router ${router.name}, and ${named('router', neighbours)} ${neighbours.length === 1 ? 'has' : 'have'} no route to it, so nobody gets there: ${adds}add a route ("ovn-nbctl lr-route-add ${neighbours[0]?.name} ${spec.address} ${address ?? 'ADDRESS'}")`,
    ]
  })

const backendsWithoutPort: Rule = ({ spec, topology }) =>
  spec.destinations.flatMap(({ id, address }) => {
    const ports = topology.holders(address)
    if (ports.length > 0) {
      if (ports.some(({ enabled }) => enabled !== false)) return []
      return [
        `logical port ${ports[0]?.name} of backend ${id} is disabled: enable it ("ovn-nbctl lsp-set-enabled ${ports[0]?.name} enabled")`,
      ]
    }
    if (topology.routerPortsWith(address).length > 0 || mayBeOutside(topology, address)) return []
    return [
      `no logical port has ${address}, the address of backend ${id}: correct it, or give it to the backend's port ("ovn-nbctl lsp-set-addresses PORT 'MAC ${address}'")`,
    ]
  })

const hairpinOnRouters: Rule = ({ spec, switches, routers }) =>
  spec.ovn?.hairpin_snat_ip === undefined || switches.length > 0 || routers.length === 0
    ? []
    : [
        `hairpin_snat_ip is for switches, and service ${spec.id} is on routers only: leave it out, and set "ovn": {"force_snat": "router_ip"} where backends are clients too`,
      ]

const rules: readonly Rule[] = [
  nowhere,
  missing,
  emptyGroup,
  serversSwitchOnly,
  noRouter,
  unanswered,
  plainRouter,
  pastGateway,
  pastGatewayPort,
  severalGateways,
  gatewayPortsApart,
  forceSnatElsewhere,
  unrouted,
  backendsWithoutPort,
  hairpinOnRouters,
]

/** Switches with clients of a kind, of those given; no more than are worth naming. */
function clientsOn(
  { topology, backendAddresses, spec }: Scene,
  rows: Iterable<SwitchRow>,
  are: (clients: Clients) => boolean = () => true,
): readonly Clients[] {
  const found: Clients[] = []
  let looked = 0
  for (const row of rows) {
    const clients = clientsOf(topology, row, backendAddresses, spec.family)
    if (clients === null) continue
    if (are(clients)) found.push(clients)
    if (found.length > listed || ++looked >= searched) break
  }
  return found
}

/** Whether a router's route to the service goes to its neighbour. */
function leadsTo(topology: Topology, from: RouterRow, to: RouterRow, spec: VirtualService): boolean {
  const route = routeOf(topology, from, spec.address)
  if (route !== null) {
    const peer = topology.peerOf(route.port)
    return (
      (peer !== null && topology.routerOf(peer)?.uuid === to.uuid) ||
      topology.routerPortsWith(route.next).some((port) => topology.routerOf(port)?.uuid === to.uuid)
    )
  }
  return spec.ovn?.add_route === true && topology.kindOf(to) === 'gateway-port'
}

const portNetworkAddresses = (port: { readonly networks: readonly unknown[] }): readonly string[] =>
  port.networks.map((network) => String(network).replace(/\/.*/, ''))

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

/** Whether an address that no port has may be that of a host beyond the logical network, or of a port of any address. */
function mayBeOutside(topology: Topology, address: string): boolean {
  const own = topology.switchesAround(address)
  if (own.length === 0) return [...topology.switches()].some((row) => topology.leadsOutside(row))
  return own.some(
    (row) =>
      topology.leadsOutside(row) || [...topology.endpoints(row)].some((port) => portAddresses(port).unknown),
  )
}

const rowsOf = (clients: readonly Clients[]): readonly SwitchRow[] => clients.map(({ row }) => row)

/** `switch dmz`, `switches dmz and inside`, `switches a, b, c and others`. */
function named(kind: 'switch' | 'router', rows: readonly { readonly name: string }[]): string {
  const names = rows.map(({ name }) => name)
  const plural = kind === 'switch' ? 'switches' : 'routers'
  if (names.length <= 1) return `${kind} ${names.join('')}`
  const last = names.length > listed ? 'others' : names.at(-1)
  return `${plural} ${names.slice(0, Math.min(listed, names.length - (names.length > listed ? 0 : 1))).join(', ')} and ${last}`
}
