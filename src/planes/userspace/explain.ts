import { endpointText, networkOf } from '../../model/address.ts'
import { carrierOf } from '../../model/names.ts'
import type { Ends } from '../../proxy/transport.ts'
import type { Destination, Explanation, Flow } from '../plane.ts'
import type { Member } from './roster.ts'
import type { Service } from './service.ts'

/** Where a flow would go. Nothing moves by asking. */
export function explain(services: Iterable<Service>, flow: Flow): Explanation {
  const steps: string[] = []
  const endpoint = `${flow.protocol} ${endpointText(flow.destination, flow.destinationPort)}`
  const service = serviceOf(services, flow)
  if (service === null) {
    steps.push(`No service listens on ${endpoint}.`)
    return { service: null, backend: null, steps }
  }
  const { spec } = service
  steps.push(`Service ${spec.id} listens on ${spec.protocol} ${endpointText(spec.address, spec.port)}.`)
  if (spec.protocol === 'http') {
    steps.push('Each request is scheduled for itself, on whatever connection it comes.')
  }
  const member = byAffinity(service, flow, steps) ?? byScheduler(service, flow, steps)
  return { service: spec.id, backend: member?.destination.id ?? null, steps }
}

/** The exact address wins over the wildcard, as in the kernel's socket look-up. */
function serviceOf(services: Iterable<Service>, flow: Flow): Service | null {
  const wildcard = flow.destination.includes(':') ? '::' : '0.0.0.0'
  let found: Service | null = null
  for (const service of services) {
    const { protocol, port, address } = service.spec
    if (carrierOf(protocol) !== carrierOf(flow.protocol) || port !== flow.destinationPort) continue
    if (address === flow.destination) return service
    if (address === wildcard) found = service
  }
  return found
}

function byAffinity(service: Service, flow: Flow, steps: string[]): Member | null {
  const { persistence } = service.spec
  if (persistence === null) return null
  const network = `${networkOf(flow.source, persistence.prefix)}/${persistence.prefix}`
  const member = service.affinity?.find(flow.source)?.member
  if (member === undefined) {
    steps.push(`Affinity knows nothing of ${network} yet; it will stay where it goes now.`)
    return null
  }
  const text = describe(member.destination)
  if (!service.roster.usable(member)) {
    steps.push(`Affinity has ${network} at ${text}, which takes no new connections.`)
    return null
  }
  steps.push(`Affinity keeps ${network} at ${text}.`)
  return member
}

function byScheduler(service: Service, flow: Flow, steps: string[]): Member | null {
  const { roster, spec } = service
  const usable = roster.members.filter((member) => roster.usable(member))
  for (const member of roster.members) {
    if (!usable.includes(member))
      steps.push(`${describe(member.destination)} takes no new connections: ${whyNot(member)}.`)
  }
  if (usable.length === 0) {
    steps.push(
      spec.destinations.length === 0
        ? 'The service has no backends.'
        : 'No backend is left; a client is refused.',
    )
    return null
  }
  const ends: Ends = {
    remoteAddress: flow.source,
    remotePort: flow.sourcePort,
    localAddress: flow.destination,
    localPort: flow.destinationPort,
  }
  const member = service.foretell(ends)
  if (member === undefined) {
    const names = usable.map(({ destination }) => destination.id).join(', ')
    steps.push(
      `Scheduler ${spec.scheduler} remembers what it chooses, so that asking would change it; it takes one of: ${names}.`,
    )
    return null
  }
  if (member === null) {
    steps.push(`Scheduler ${spec.scheduler} has nobody for ${flow.source}; a client is refused.`)
    return null
  }
  const { active, inactive } = member.tally
  steps.push(
    `Scheduler ${spec.scheduler} chooses ${describe(member.destination)} of ${usable.length}: ` +
      `weight ${member.destination.weight}, ${
        spec.protocol === 'http'
          ? `${active} requests under way`
          : `${active} active and ${inactive} inactive connections`
      }.`,
  )
  return member
}

const describe = ({ id, address, port }: Destination): string =>
  `backend ${id} (${endpointText(address, port)})`

function whyNot({ destination, tally, overloaded }: Member): string {
  if (destination.weight === 0) return 'its weight is 0'
  const open = tally.active + tally.inactive
  return overloaded
    ? `it reached its upper threshold of ${destination.upperThreshold} and has ${open} connections`
    : `it has ${open} of at most ${destination.maxConnections} connections`
}
