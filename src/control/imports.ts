import type { PlaneName, ServiceId } from '../model/names.ts'
import { exists } from '../model/refusal.ts'
import { readService } from '../model/service.ts'
import { endpointKey } from '../planes/endpoint.ts'
import type { Plane, VirtualService } from '../planes/plane.ts'
import { adopted } from './adoption.ts'
import { entryBody } from './entryBody.ts'
import type { Log } from './events.ts'
import type { Reconciler } from './reconciler.ts'
import type { ServiceRecord } from './records.ts'
import type { DesiredState } from './state.ts'

export interface ImportOptions {
  readonly desired: DesiredState
  readonly reconciler: Reconciler
  readonly name: PlaneName
  readonly plane: Plane
  readonly log: Log
}

/**
 * Makes services of what a virtual network has: ordinary writes, each of which takes the equal entry over. What bears this
 * Torb's mark and is unknown to its store comes first, under its own names.
 *
 * Entries of a kernel have no name to become services by, and go on as they are until somebody asks for the same.
 */
export async function importForeign(options: ImportOptions): Promise<void> {
  const { desired, reconciler, name, plane, log } = options
  if (!plane.can.attach || plane.foreign === undefined) return
  const taken = new Set(desired.services.keys())
  const entries: (readonly [ServiceId, VirtualService])[] = []
  try {
    for await (const [id, entry] of plane.observe('all'))
      if (!desired.services.has(id)) entries.push([id, entry])
    for (const [id] of entries) taken.add(id)
    for (const entry of await plane.foreign()) {
      const id = freeName(entry, taken)
      taken.add(id)
      entries.push([id, entry])
    }
  } catch (error) {
    log.warn({ plane: name }, `nothing could be taken over: ${text(error)}`)
  }
  const writes = entries.map(async ([id, entry]) => {
    try {
      const record = recordOf(id, entry, name)
      await reconciler.write(id, (current) => (current === null ? record : fail()), 'rest')
    } catch (error) {
      const named = [...new Set([entry.id, endpointKey(entry)])].join(', ')
      log.warn({ plane: name, service: entry.id }, `${named} is not taken over: ${text(error)}`)
    }
  })
  await Promise.all(writes)
}

const idLength = 255

/** The name of the entry as the id of a service, which is one segment of a path: `web`, else `web-2`, … */
export function freeName(entry: VirtualService, taken: ReadonlySet<ServiceId>): ServiceId {
  const plain = entry.id.replaceAll(/[/\p{Cc}]/gu, '-')
  const base = plain === '' ? endpointKey(entry) : plain
  for (let number = 1; ; number++) {
    const end = number === 1 ? '' : `-${number}`
    const id = base.slice(0, idLength - end.length) + end
    if (!taken.has(id)) return id
  }
}

function recordOf(id: ServiceId, entry: VirtualService, plane: PlaneName): ServiceRecord {
  const { address, destinations } = entry
  const options = readService({ ...entryBody(entry), plane }, true)
  return { id, owner: 'rest', options, address, backends: destinations.map(adopted) }
}

function fail(): never {
  throw exists()
}

const text = (error: unknown): string => (error instanceof Error ? error.message : String(error))
