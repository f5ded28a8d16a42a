import { endpointText } from '../../model/address.ts'
import type { BackendId, ServiceId } from '../../model/names.ts'
import type { Explanation, Flow, VirtualService } from '../plane.ts'
import { adviceFor } from './advice.ts'
import { answersText } from './answers.ts'
import { conflictsOf, conflictText } from './conflicts.ts'
import { portAddresses, type BalancerRow, type RouterRow } from './logicalRows.ts'
import { pathTo, placesOf, type Hop, type Path, type PathEnd, type Place } from './path.ts'
import type { Topology } from './topology.ts'
import { traceText, type Microflow, type Traced } from './trace.ts'
import { parseBackends, vipText } from './vips.ts'

/** A service of this Torb. */
export interface Known {
  readonly spec: VirtualService
  /** As the northbound database has it; null where it has none. */
  readonly row: BalancerRow | null
}

export interface Surroundings {
  readonly services: Iterable<Known>
  readonly topology: Topology
  /** Whose rows are not foreign. */
  readonly owner: string
  /** Name of the chassis that a logical port is bound to; null where it is bound to none. */
  readonly chassisOf: (port: string) => string | null
  /** What OVN's own monitor says; null: nothing, or it has none. */
  readonly health: (
    service: ServiceId,
    backend: BackendId,
  ) => { readonly up: boolean; readonly reason: string } | null
  /** null: not to be asked. */
  readonly trace: ((microflow: Microflow) => Promise<Traced>) | null
}

/**
 * What becomes of a connection: who takes it, on which way it comes there, what may be chosen and how answers return.
 *
 * The choice itself is a hash in the datapath, so a backend is only named where one is left.
 */
export async function explainFlow(flow: Flow, surroundings: Surroundings): Promise<Explanation> {
  const { topology, owner } = surroundings
  const steps: string[] = []
  const services = takers(flow, surroundings.services)
  const [first] = services
  if (first === undefined) {
    return { service: null, backend: null, steps: notTaken(flow, topology) }
  }
  const ways = placesOf(topology, flow.source).map((place) => ({
    place,
    path: pathTo(topology, place, flow.destination, (hop) => balancer(hop) !== undefined),
  }))
  // Of networks that overlap that of the service is meant.
  const { place, path } = ways.find((way) => way.path.end.kind === 'stopped') ??
    ways[0] ?? { place: null, path: null }
  const last = path?.end.kind === 'stopped' ? path.hops.at(-1) : undefined
  const known = (last === undefined ? undefined : balancer(last)) ?? first
  const { spec, row } = known
  steps.push(
    `Service ${spec.id} takes ${spec.protocol} ${endpointText(spec.address, spec.port)}${row === null ? ', but has no load balancer in the northbound database' : ` (load balancer ${row.uuid})`}.`,
    placeText(flow, place, surroundings),
  )
  let taker: Choice['taker'] = { backend: null }
  if (place !== null && path !== null) {
    steps.push(...wayText(path, known, topology))
    if (path.end.kind !== 'stopped') steps.push(endText(path.end, flow))
    else if (last !== undefined && losesAnswers(last, topology)) steps.push(lossText(last, topology))
    else if (last !== undefined && standsElsewhere(last, place, flow, known, surroundings))
      steps.push(elsewhereText(last, place, flow, known, surroundings))
    else if (last !== undefined) {
      steps.push(`${balancerText(last, place, surroundings)} balances it.`)
      const chosen = choice(known, surroundings)
      taker = chosen.taker
      steps.push(...chosen.steps)
      if (taker.backend !== null || taker.candidates !== undefined)
        steps.push(...answersText(last, flow, spec, topology))
    }
  }
  if (row !== null)
    steps.push(...conflictsOf(row, owner, topology).map((conflict) => `Conflict: ${conflictText(conflict)}.`))
  steps.push(...adviceFor(spec, topology).map((advice) => `Advice: ${advice}.`))
  if (place !== null && path !== null) steps.push(...(await evidence(flow, place, path, known, surroundings)))
  return { service: spec.id, ...taker, steps }

  function balancer(hop: Hop): Known | undefined {
    return services.find((known) => balances(hop, known, topology))
  }
}

/** Those of the exact port go before those of any (flows of priority 120 and 110). */
function takers(flow: Flow, services: Iterable<Known>): readonly Known[] {
  const all = [...services].filter(({ spec }) =>
    [spec.address, ...Object.values(spec.ovn?.template ?? {})].includes(flow.destination),
  )
  const exact = all.filter(
    ({ spec }) => spec.port === flow.destinationPort && spec.protocol === flow.protocol,
  )
  return [...exact, ...all.filter(({ spec }) => spec.port === 'any')]
}

function notTaken({ protocol, destination, destinationPort }: Flow, topology: Topology): readonly string[] {
  const others = topology.balancersAt(destination).map(({ name, uuid }) => `${name} (${uuid})`)
  return [
    `No service takes ${protocol} ${endpointText(destination, destinationPort)}.`,
    ...others.map((other) => `Load balancer ${other}, which is no service of this Torb, has this address.`),
  ]
}

/** Whether a packet that comes so to a switch or router is balanced there. */
const balances = (hop: Hop, known: Known, topology: Topology): boolean =>
  !(hop.kind === 'switch' && hop.from === 'router') && evaluates(hop, known, topology)

/** Whether answers to what is balanced so are never translated back (northd, lr_out_undnat). */
function losesAnswers(hop: Hop, topology: Topology): boolean {
  if (hop.kind === 'switch') return false
  const kind = topology.kindOf(hop.row)
  return kind === 'distributed' || (kind === 'gateway-port' && !isGatewayPort(hop, topology))
}

const lossText = ({ row }: Hop, topology: Topology): string =>
  topology.kindOf(row as RouterRow) === 'distributed'
    ? `Router ${row.name} has the load balancer, but is distributed without a gateway port, and never translates answers back; the client gets no answer.`
    : `Router ${row.name} has the load balancer, but only translates back what leaves by its gateway port; the client gets no answer.`

const isGatewayPort = ({ row, inPort }: Hop & { kind: 'router' }, topology: Topology): boolean =>
  topology.gatewayPorts(row).some(({ port }) => port.uuid === inPort.uuid)

const evaluates = ({ row: datapath }: Hop, { spec, row }: Known, topology: Topology): boolean =>
  row !== null
    ? topology.evaluates(datapath, row.uuid)
    : spec.attach !== null &&
      topology.reachOf(spec.attach).some((one) => one.datapath.row.uuid === datapath.uuid)

function placeText({ source }: Flow, place: Place | null, { chassisOf }: Surroundings): string {
  if (place === null)
    return `Client ${source} is at no logical port and in no network that leads outside; its way is not known.`
  const { row, port, known } = place
  if (port !== null) {
    const chassis = chassisOf(port.name)
    return `Client ${source} is logical port ${port.name} on switch ${row.name}, ${chassis === null ? 'which is bound to no chassis' : `on chassis ${chassis}`}.`
  }
  const by = known ? 'by' : 'as it seems by'
  return `Client ${source} is at no logical port; it comes in from outside, ${by} switch ${row.name}.`
}

/** The hops, and where the load balancer was passed by on them. */
function wayText({ hops }: Path, known: Known, topology: Topology): readonly string[] {
  const names = hops.map((hop) => `${hop.kind} ${hop.row.name}`)
  const skipped = hops
    .filter((hop) => hop.kind === 'switch' && hop.from === 'router' && evaluates(hop, known, topology))
    .map(
      ({ row }) =>
        `Switch ${row.name} has the load balancer, but what comes in by a router's port is not balanced there.`,
    )
  return [...(names.length > 1 ? [`Packets pass ${names.join(', ')}.`] : []), ...skipped]
}

function endText(end: Exclude<PathEnd, { kind: 'stopped' }>, { destination }: Flow): string {
  switch (end.kind) {
    case 'port':
      return `Port ${end.port.name} has ${destination} itself and gets the packets unbalanced.`
    case 'router':
      return `Router ${end.row.name} has ${destination} itself; nothing balances it.`
    case 'outside':
      return `Packets leave the logical network by switch ${end.row.name}, balanced by nobody; what is beyond is not known here.`
    case 'unanswered':
      return `Nobody on switch ${end.row.name} answers ${end.address.includes(':') ? 'ND' : 'ARP'} for ${end.address}; the client gets no answer.`
    case 'no-route':
      return `Router ${end.row.name} has no route to ${destination}; the client gets no answer.`
    case 'no-router':
      return `Switch ${end.row.name} has no router to send packets for ${destination} to; the client gets no answer.`
    case 'loop':
    default:
      return 'Routers send packets in a circle; the client gets no answer.'
  }
}

/** Name of the chassis that balances; null where it is not known. */
function balancingChassis(hop: Hop, place: Place, { topology, chassisOf }: Surroundings): string | null {
  if (hop.kind === 'switch') return place.port === null ? null : chassisOf(place.port.name)
  const gateway = gatewayOf(hop, topology)
  if (gateway === undefined) return hop.row.options.get('chassis') ?? null
  // The port's instance on the chassis in charge (ovn-northd(8)).
  return chassisOf(`cr-${gateway.port.name}`) ?? gateway.chassis[0] ?? null
}

const gatewayOf = ({ row, inPort }: Hop & { kind: 'router' }, topology: Topology) =>
  topology.gatewayPorts(row).find(({ port }) => port.uuid === inPort.uuid)

function balancerText(hop: Hop, place: Place, surroundings: Surroundings): string {
  const chassis = balancingChassis(hop, place, surroundings)
  if (hop.kind === 'switch')
    return `Switch ${hop.row.name}${chassis === null ? '' : `, on the client's own chassis ${chassis},`}`
  const gateway = gatewayOf(hop, surroundings.topology)
  if (gateway === undefined) return `Gateway router ${hop.row.name}, on chassis ${chassis},`
  return `Router ${hop.row.name}, by its gateway port ${gateway.port.name} on chassis ${chassis},`
}

/** The virtual address on a chassis, which differs by `template`. */
const addressOn = ({ address, ovn }: VirtualService, chassis: string): string =>
  ovn?.template?.[chassis] ?? address

/** Whether the chassis that balances has another address of a template than the one that is asked for. */
function standsElsewhere(
  hop: Hop,
  place: Place,
  { destination }: Flow,
  { spec }: Known,
  surroundings: Surroundings,
): boolean {
  const chassis = balancingChassis(hop, place, surroundings)
  return chassis !== null && addressOn(spec, chassis) !== destination
}

function elsewhereText(
  hop: Hop,
  place: Place,
  { destination }: Flow,
  { spec }: Known,
  surroundings: Surroundings,
): string {
  const chassis = balancingChassis(hop, place, surroundings) ?? ''
  return `On chassis ${chassis}, where ${hop.kind} ${hop.row.name} balances, service ${spec.id} has the address ${addressOn(spec, chassis)} (template); nothing balances ${destination} there.`
}

interface Choice {
  readonly taker: Pick<Explanation, 'backend' | 'candidates'>
  readonly steps: readonly string[]
}

function choice({ spec, row }: Known, { health }: Surroundings): Choice {
  const listed = row === null ? [] : [...row.vips.values()].flatMap(parseBackends).map(vipText)
  const steps: string[] = []
  const left: { readonly id: string; readonly text: string; readonly slots: number }[] = []
  for (const destination of spec.destinations) {
    const { id, weight } = destination
    const text = `backend ${id} (${vipText(destination)})`
    const slots = listed.filter((entry) => entry === vipText(destination)).length
    const verdict = health(spec.id, id)
    const why =
      verdict?.up === false
        ? verdict.reason
        : weight === 0
          ? 'its weight is 0'
          : slots === 0
            ? 'the row does not list it'
            : null
    if (why === null) left.push({ id, text, slots })
    else steps.push(`${text} takes no new connections: ${why}.`.replace(/^b/, 'B'))
  }
  const total = left.reduce((sum, { slots }) => sum + slots, 0)
  if (left.length === 0) return { taker: { backend: null }, steps: [...steps, emptyText(spec)] }
  const [only] = left
  if (left.length === 1 && only !== undefined) {
    return { taker: { backend: only.id }, steps: [...steps, `Only ${only.text} is left.`] }
  }
  const fields = (row?.selection_fields ?? []).join(', ')
  const by = fields === '' ? 'a hash of the connection' : `a hash of ${fields}`
  const shares = left.map(({ text, slots }) => `${text} with ${slots} of ${total} slots`)
  return {
    taker: { backend: null, candidates: left.map(({ id }) => id) },
    steps: [
      ...steps,
      `The datapath chooses by ${by} one of: ${shares.join(', ')}.`,
      ...(row?.options.has('affinity_timeout') === true
        ? [`Who connected within the last ${row.options.get('affinity_timeout')} s stays where it was.`]
        : []),
    ],
  }
}

function emptyText({ destinations, ovn }: VirtualService): string {
  const what = {
    reject: 'is refused',
    drop: 'gets no answer',
    event: 'gets no answer, and an event is raised',
  }[ovn?.when_empty ?? 'reject']
  return `${destinations.length === 0 ? 'The service has no backends' : 'No backend is left'}; a client ${what}.`
}

async function evidence(
  flow: Flow,
  { row, port }: Place,
  { hops, end }: Path,
  { spec }: Known,
  { topology, trace }: Surroundings,
): Promise<readonly string[]> {
  if (trace === null) return []
  // Its `template_vars` are never filled (utilities/ovn-trace.c, 23.03 to 26.03).
  if (spec.ovn?.template !== undefined)
    return ['No evidence by ovn-trace: it does not know what variables of templates stand for.']
  const [, second] = hops
  const [link] = topology.links(row)
  // What is balanced on the client's switch goes to the MAC address of a router all the same.
  const router = second?.kind === 'router' ? second.inPort : link?.routerPort
  const destinationMac = end.kind === 'port' && hops.length === 1 ? portAddresses(end.port).mac : router?.mac
  const inport = port ?? topology.outsidePort(row)
  const sourceMac = port === null ? anyMac : portAddresses(port).mac
  if (inport === null || !destinationMac || !sourceMac || (end.kind === 'unanswered' && hops.length === 1)) {
    return []
  }
  const traced = await trace({ datapath: row.uuid, inport: inport.name, sourceMac, destinationMac, flow })
  return [traced.ok ? traceText(traced.trace) : `No evidence by ovn-trace: ${traced.reason}.`]
}

/** Of a host outside, whose own is not in the database; a local one (IEEE 802). */
const anyMac = '02:00:00:00:00:01'
