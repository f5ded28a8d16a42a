import type { Ipvs, IpvsDestinationSeen } from '../../kernel/netlink/ipvsEntries.ts'
import { endpointText, familyOf, networkOf } from '../../model/address.ts'
import type { ServiceId } from '../../model/names.ts'
import type { Destination, Explanation, Flow, VirtualService } from '../plane.ts'
import { findConnections, type Connection } from './connections.ts'
import { destinationText, fromEntries, keyText, serviceKey } from './entries.ts'
import { hashed } from './hashing.ts'

/** What the plane knows of its own: by the text of the kernel's key. */
export type Owners = ReadonlyMap<string, { readonly id: ServiceId; readonly known: VirtualService | null }>

interface Held {
  readonly spec: VirtualService
  /** In the kernel's order. */
  readonly destinations: readonly IpvsDestinationSeen[]
}

/** Where the kernel would send a flow, and why. Nothing moves by asking. */
export async function explain(
  ipvs: Ipvs,
  owners: Owners,
  flow: Flow,
  connectionsFile?: string,
): Promise<Explanation> {
  const steps: string[] = []
  const marks = [...owners.keys()].filter((text) => text.startsWith('fwmark')).length
  if (marks > 0) {
    steps.push(
      `${marks} ${marks === 1 ? 'service goes' : 'services go'} by firewall mark and before any address; which mark a packet bears cannot be told from its addresses.`,
    )
  }
  const { id, held } = serviceOf(ipvs, owners, flow, steps)
  if (held === null) return { service: null, backend: null, steps }
  const known = await byTable(held, flow, steps, connectionsFile)
  const chosen = known === undefined ? byScheduler(held, flow, steps) : known
  return { service: id, backend: id === null ? null : (chosen?.id ?? null), steps }
}

/** The exact port goes before any port (ip_vs_service_find). */
function serviceOf(
  ipvs: Ipvs,
  owners: Owners,
  { protocol, destination, destinationPort }: Flow,
  steps: string[],
): { id: ServiceId | null; held: Held | null } {
  const family = familyOf(destination) ?? 4
  for (const port of [destinationPort, 'any'] as const) {
    const key = serviceKey({ protocol, address: destination, port, fwmark: 0 }, family)
    const seen = ipvs.service(key)
    if (seen === undefined) continue
    const owner = owners.get(keyText(key)) ?? null
    const destinations = ipvs.destinations(key)
    const spec = fromEntries(seen, destinations, owner?.known ?? null)
    const place = `${protocol} ${endpointText(destination, port)}`
    steps.push(
      owner === null
        ? `A service that is not Torb's takes ${place}.`
        : `Service ${owner.id} takes ${place}${spec.port === 'any' ? ', any port' : ''}.`,
    )
    return { id: owner?.id ?? null, held: { spec, destinations } }
  }
  steps.push(`No service takes ${protocol} ${endpointText(destination, destinationPort)}.`)
  return { id: null, held: null }
}

/** A connection or a persistence template that the kernel has already. @returns undefined where it has none that decides */
async function byTable(
  { spec }: Held,
  flow: Flow,
  steps: string[],
  file: string | undefined,
): Promise<Destination | null | undefined> {
  const ofService = (connection: Connection): boolean =>
    connection.protocol.toLowerCase() === flow.protocol &&
    connection.virtual === flow.destination &&
    (connection.virtualPort === flow.destinationPort || connection.virtualPort === 0)
  const { persistence } = spec
  const network = persistence === null ? null : networkOf(flow.source, persistence.prefix)
  const table = await findConnections(
    (connection) =>
      ofService(connection) &&
      ((connection.client === flow.source && connection.clientPort === flow.sourcePort) ||
        (connection.clientPort === 0 && connection.client === network)),
    file,
  ).catch((error: unknown) => {
    steps.push(
      `The connections of the kernel cannot be read (${error instanceof Error ? error.message : String(error)}).`,
    )
    return { found: [], complete: true }
  })
  if (!table.complete) steps.push('The kernel has more connections than were searched.')
  const open = table.found.find(({ clientPort }) => clientPort !== 0)
  if (open !== undefined) {
    const text = endpointText(open.backend, open.backendPort)
    steps.push(
      `This connection is in the table (${open.state}, ${open.expires} s left) and stays at ${text}.`,
    )
    return backendAt(spec, open) ?? null
  }
  if (persistence === null || network === null) return undefined
  const template = table.found.find(({ clientPort }) => clientPort === 0)
  const clients = `${network}/${persistence.prefix}`
  if (template === undefined) {
    steps.push(`Persistence knows nothing of ${clients} yet; it will stay where it goes now.`)
    return undefined
  }
  const text = endpointText(template.backend, template.backendPort)
  const backend = backendAt(spec, template)
  if (backend === undefined || backend.weight === 0) {
    steps.push(`Persistence has ${clients} at ${text}, which takes no new connections.`)
    return undefined
  }
  steps.push(`Persistence keeps ${clients} at ${text} for ${template.expires} s.`)
  return backend
}

/** A template of any port names port 0. */
const backendAt = (spec: VirtualService, { backend, backendPort }: Connection): Destination | undefined =>
  spec.destinations.find(
    ({ address, port }) => address === backend && (port === backendPort || backendPort === 0 || port === 0),
  )

function byScheduler({ spec, destinations }: Held, flow: Flow, steps: string[]): Destination | null {
  const members = destinations.flatMap((seen) => {
    const text = destinationText(seen.key)
    const found = spec.destinations.find(({ address, port }) => endpointText(address, port) === text)
    return found === undefined ? [] : [{ destination: found, overloaded: isOverloaded(seen), seen }]
  })
  for (const { destination, overloaded, seen } of members) {
    if (destination.weight === 0)
      steps.push(`${describe(destination)} takes no new connections: its weight is 0.`)
    else if (overloaded) {
      const open = seen.activeConnections + seen.inactiveConnections
      steps.push(
        `${describe(destination)} takes no new connections: it has ${open}, and its upper threshold is ${destination.upperThreshold}.`,
      )
    }
  }
  const usable = members.filter(({ destination, overloaded }) => destination.weight > 0 && !overloaded)
  if (usable.length === 0) {
    steps.push(
      members.length === 0
        ? 'The service has no backends.'
        : 'No backend is left; a client is refused (ICMP port unreachable).',
    )
    return null
  }
  const { scheduler } = spec
  if (scheduler === 'sh' || scheduler === 'dh') {
    const index = hashed(
      { scheduler, flags: spec.flags },
      members.map(({ destination, overloaded }) => ({ weight: destination.weight, overloaded })),
      flow,
    )
    const chosen = members[index]?.destination ?? null
    const what = scheduler === 'sh' ? 'source' : 'destination'
    steps.push(
      chosen === null
        ? `Scheduler ${scheduler} hashes the ${what} to a backend that takes no new connections; a client is refused.`
        : `Scheduler ${scheduler} hashes the ${what} to ${describe(chosen)}.`,
    )
    return chosen
  }
  const [only] = usable
  if (usable.length === 1 && only !== undefined && scheduler !== 'mh') {
    steps.push(`Scheduler ${scheduler} has only ${describe(only.destination)} left.`)
    return only.destination
  }
  const names = usable.map(({ destination }) => destination.id).join(', ')
  steps.push(`Scheduler ${scheduler} takes one of ${names}: ${unknowable(scheduler)}.`)
  return null
}

/** The kernel sets a flag when a connection is added; here the counts stand for it. */
const isOverloaded = ({
  upperThreshold,
  activeConnections,
  inactiveConnections,
}: IpvsDestinationSeen): boolean =>
  upperThreshold > 0 && activeConnections + inactiveConnections >= upperThreshold

function unknowable(scheduler: string): string {
  switch (scheduler) {
    case 'rr':
    case 'wrr':
      return 'the kernel does not tell whose turn it is'
    case 'mh':
      return 'its table has a size chosen when the kernel was built and holds weights of the past, neither of which the kernel tells'
    case 'lblc':
    case 'lblcr':
      return 'the kernel does not tell what it remembers of this destination'
    case 'twos':
      return 'it draws two at random'
    default:
      return 'it depends on how many connections each has at that moment'
  }
}

const describe = ({ id, address, port }: Destination): string =>
  `backend ${id} (${endpointText(address, port)})`
