import { metrics } from '../pulse/health.ts'
import { differenceOfDestinations, type Destination, type VirtualService } from '../planes/plane.ts'
import type { Source, TorbEvent } from './events.ts'
import type { ServiceRecord } from './records.ts'
import type { ServiceState } from './state.ts'

/** The events of a write: what it created, changed, deleted, set draining. */
export function writeEvents(
  before: ServiceRecord | null,
  after: ServiceRecord | null,
  source: Source,
  at: number,
): TorbEvent[] {
  const service = after?.id ?? before?.id
  if (service === undefined) return []
  const events: TorbEvent[] = []
  if (after === null) return [{ at, type: 'service-deleted', service, source }]
  if (before === null) events.push({ at, type: 'service-created', service, source })
  else if (before.options !== after.options) events.push({ at, type: 'service-changed', service, source })
  const old = new Map(before?.backends.map((backend) => [backend.id, backend]))
  for (const backend of after.backends) {
    const was = old.get(backend.id)
    old.delete(backend.id)
    if (was === undefined) events.push({ at, type: 'backend-created', service, backend: backend.id, source })
    else if (was.options !== backend.options || was.override !== backend.override) {
      events.push({ at, type: 'backend-changed', service, backend: backend.id, source })
    }
  }
  for (const backend of old.keys()) events.push({ at, type: 'backend-deleted', service, backend, source })
  return events
}

/** The events of weights that health moved. */
export function weightEvents(
  state: ServiceState,
  before: VirtualService,
  after: VirtualService,
  at: number,
): TorbEvent[] {
  const old = new Map(before.destinations.map((destination) => [destination.id, destination.weight]))
  const events: TorbEvent[] = []
  for (const { id, weight: to } of after.destinations) {
    const from = old.get(id)
    const health = state.backends.get(id)?.health
    if (from === undefined || health === undefined || from === to) continue
    const down = metrics(health).status !== 0
    const reason = down
      ? to > 0
        ? 'fallback'
        : from > 0
          ? 'down'
          : 'fallback-ended'
      : health.restoring
        ? 'recovering'
        : 'recovered'
    events.push({ at, type: 'weight-changed', service: state.id, backend: id, from, to, reason })
  }
  return events
}

/** What somebody did to a service behind Torb, in a few words. */
export function driftText(given: VirtualService, seen: VirtualService | undefined): string {
  if (seen === undefined) return 'the service is gone'
  const { added, removed, changed } = differenceOfDestinations(given.destinations, seen.destinations)
  const parts = [
    ...removed.map(({ id }) => `backend ${id} is gone`),
    ...added.map(({ id, weight }) => `${id} with weight ${weight} was added`),
    ...changed.map(
      ([before, after]) => `backend ${before.id}: ${fieldsText(before, after, destinationFields)}`,
    ),
  ]
  const frame = fieldsText(given, seen, serviceFields)
  const { drift = '' } = seen
  return [drift, frame, ...parts].filter(Boolean).join('; ') || 'the order of the backends changed'
}

const destinationFields = [
  'weight',
  'forwarding',
  'tunnel',
  'upperThreshold',
  'lowerThreshold',
  'check',
] as const satisfies readonly (keyof Destination)[]
const serviceFields = [
  'scheduler',
  'flags',
  'persistence',
  'attach',
  'ovn',
] as const satisfies readonly (keyof VirtualService)[]

function fieldsText<T>(before: T, after: T, fields: readonly (keyof T)[]): string {
  return fields
    .map((field) => [String(field), JSON.stringify(before[field]), JSON.stringify(after[field])] as const)
    .filter(([, was, is]) => was !== is)
    .map(([field, was, is]) => `${field} ${was.replaceAll('"', '')} became ${is.replaceAll('"', '')}`)
    .join(', ')
}
