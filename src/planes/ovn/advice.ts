import type { VirtualService } from '../plane.ts'
import { clientsOn, listed, named, rowsOf, searched, type Rule, type Scene } from './adviceScene.ts'
import { nowhere } from './attachments.ts'
import { portAddresses } from './logicalRows.ts'
import { connected, switchesNear } from './neighbourhood.ts'
import { answering, respondsTo } from './path.ts'
import { routerRules } from './routerAdvice.ts'
import type { Topology } from './topology.ts'

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
  const attach = spec.attach ?? nowhere
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

const unattached: Rule = ({ spec, attach }) =>
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
  unattached,
  missing,
  emptyGroup,
  serversSwitchOnly,
  noRouter,
  unanswered,
  ...routerRules,
  backendsWithoutPort,
  hairpinOnRouters,
]

/** Whether an address that no port has may be that of a host beyond the logical network, or of a port of any address. */
function mayBeOutside(topology: Topology, address: string): boolean {
  const own = topology.switchesAround(address)
  if (own.length === 0) return [...topology.switches()].some((row) => topology.leadsOutside(row))
  return own.some(
    (row) =>
      topology.leadsOutside(row) || [...topology.endpoints(row)].some((port) => portAddresses(port).unknown),
  )
}
