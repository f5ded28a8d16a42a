import { endpointText, familyOf, type Family } from '../../model/address.ts'
import { flagBit } from '../../model/names.ts'
import type { VirtualService } from '../plane.ts'
import { defaultSlots } from './options.ts'
import { learned, selectionFields, type SelectionField } from './selection.ts'
import { addressProblem } from './vips.ts'

/** affinity_timeout is 16 bits wide in OVN's flows. */
const longestAffinity = 65_535

/**
 * Why this service would make an entry that OVN takes silently and does not follow, with the cure; null where it would not.
 *
 * @param slots entries of the list of backends where the service says nothing
 */
export function wrong(spec: VirtualService, slots = defaultSlots): string | null {
  return wrongAddresses(spec) ?? wrongList(spec, slots) ?? wrongPersistence(spec) ?? wrongOptions(spec)
}

function wrongAddresses({ id, address, port, family, destinations }: VirtualService): string | null {
  const problem = addressProblem(address, family)
  if (problem !== null)
    return `service ${id} cannot be at ${address}: ${problem}; give host a unicast address`
  const seen = new Set<string>()
  for (const destination of destinations) {
    const place = endpointText(destination.address, destination.port)
    const why = addressProblem(destination.address, family)
    if (why !== null)
      return `backend ${destination.id} cannot be at ${place}: ${why}; OVN needs one of the service's family`
    if (port === 'any' && destination.port !== 0)
      return `backend ${destination.id} has port ${destination.port}, and a service of any port keeps the port of the connection; leave it out`
    if (port !== 'any' && destination.port === 0)
      return `backend ${destination.id} has no port, and OVN needs one where the service has one; give it`
    if (seen.has(place))
      return `two backends are at ${place}; remove one of them and give the other its weight`
    seen.add(place)
  }
  return null
}

function wrongList({ destinations, ovn }: VirtualService, slots: number): string | null {
  const budget = ovn?.slots ?? slots
  if (destinations.length <= budget) return null
  return `${destinations.length} backends do not fit the ${budget} slots of the service; set "ovn": {"slots": N}, at most 256, or take fewer backends`
}

function wrongPersistence(spec: VirtualService): string | null {
  const { persistence, family, flags, scheduler, port, ovn } = spec
  if (ovn?.affinity !== undefined && persistence === null)
    return `"affinity": "${ovn.affinity}" says how clients are kept, and the service keeps none; give persistence too`
  const byPort = (flags & flagBit.port) !== 0 && (scheduler === 'sh' || scheduler === 'mh')
  if (byPort && port === 'any')
    return `OVN cannot hash ports where the service has none; leave out the flag ${scheduler}-port`
  if (persistence === null) return null
  const whole = family === 4 ? 32 : 128
  if (persistence.prefix !== whole)
    return `OVN keeps single clients and no networks of them (persistence.netmask /${persistence.prefix}); leave netmask out`
  if (byPort && !learned(spec))
    return `the flag ${scheduler}-port spreads the connections of a client, which persistence keeps together; leave one of them out, or take "ovn": {"affinity": "learned"}`
  if (learned(spec) && persistence.timeout > longestAffinity)
    return `OVN keeps learned clients for ${longestAffinity} s at most; lower persistence.timeout, or leave out "affinity": "learned"`
  return null
}

function wrongOptions({ family, attach, ovn, destinations, address }: VirtualService): string | null {
  if (ovn === null) return null
  const {
    hairpin_snat_ip: hairpin,
    force_snat: force,
    skip_snat: skip,
    template,
    neighbor_responder: responder,
    check_source: source,
  } = ovn
  if (source !== undefined) {
    const why = addressProblem(source, family)
    if (why !== null)
      return `check_source cannot be "${source}": ${why}; give a free address of the backends' network, or leave it out`
  }
  if (hairpin !== undefined) {
    const why = sources(hairpin, family)
    if (why !== null) return `hairpin_snat_ip cannot be "${hairpin}": ${why}`
  }
  if (force !== undefined) {
    const why = force === 'router_ip' ? null : sources(force, family)
    if (why !== null) return `force_snat cannot be "${force}": ${why}, or router_ip`
    if (skip === true) return 'force_snat and skip_snat are opposites; leave one of them out'
    if ((attach?.routers ?? []).length === 0 && (attach?.groups ?? []).length === 0)
      return 'force_snat is a setting of routers, and the service is attached to none; give attach.routers'
  }
  if (template === undefined) return null
  for (const [chassis, at] of Object.entries(template)) {
    const why = addressProblem(at, family)
    if (why !== null)
      return `template cannot have ${at} for chassis ${chassis}: ${why}; give an address of the family of ${address}`
  }
  if (responder === 'reachable')
    return 'neighbor_responder "reachable" is not for templates; choose all or none'
  if (ovn.add_route === true)
    return 'OVN makes no routes to virtual addresses of a template; leave out add_route'
  if (destinations.some(({ check }) => check !== null))
    return 'OVN checks no backends of templates; give them "pulse": {"type": "none"}, or leave out template'
  return null
}

/** One IPv4 address, one IPv6 address, or both with a blank between; that of the service's family among them. */
function sources(text: string, family: Family): string | null {
  const given = text.split(' ')
  const families = given.map(familyOf)
  if (given.length > 2 || new Set(families).size !== given.length || !families.includes(family))
    return `it has to be an IPv${family} address, and may have one of the other family after a blank`
  for (const [index, address] of given.entries()) {
    const why = addressProblem(address, families[index] ?? family)
    if (why !== null) return why
  }
  return null
}

/** Why the server cannot choose as the service asks; null where it can. @param lacking fields that its schema has not */
export function lacks(spec: VirtualService, lacking: ReadonlySet<SelectionField>): string | null {
  const field = selectionFields(spec).find((name) => lacking.has(name))
  if (field === undefined) return null
  const cure = 'choose wrr and "ovn": {"affinity": "learned"}, or update OVN'
  return `this OVN cannot choose a backend by ${field} (Load_Balancer:selection_fields), which ${spec.persistence === null ? `method ${spec.scheduler}` : 'persistence'} needs with IPv6; ${cure}`
}
