import { readBackend, type BackendBody } from '../model/backend.ts'
import type { BackendId, ServiceId } from '../model/names.ts'
import { invalid, Refusal } from '../model/refusal.ts'
import type { ServiceOptions } from '../model/service.ts'
import type { Plane } from '../planes/plane.ts'
import type { Names } from './addresses.ts'
import { createBackend, createService, type Step } from './desired.ts'
import type { Source } from './events.ts'
import { checkReached } from './reached.ts'
import { ownerOf } from './records.ts'

/** A service that a backend is, or is to be, of. */
export interface Home {
  readonly id: ServiceId
  /** undefined: there is none of this id. */
  readonly options: ServiceOptions | undefined
  readonly plane: Plane | undefined
}

/** A new backend, its name resolved and its check seen to be possible. @throws Refusal */
export async function backendCreation(
  names: Names,
  home: Home,
  id: BackendId,
  body: BackendBody,
  source: Source,
): Promise<Step> {
  const read = readBackend(body, home.options?.port === 'any')
  if (body.vsid !== undefined && body.vsid !== home.id)
    throw invalid(`vsid "${body.vsid}" is not this service: leave it out, or make it "${home.id}"`)
  const address = await names.backendAddress(read.host, read.port)
  if (source === 'rest') await checkReached(home.plane, read.pulse, { address, port: read.port })
  return createBackend(id, read, address, ownerOf(source))
}

/**
 * A new service with its first backends: all of it or nothing.
 *
 * @throws Refusal that names the backend, where it is one
 */
export async function serviceCreation(
  names: Names,
  home: Home & { readonly options: ServiceOptions },
  address: string,
  backends: Readonly<Record<BackendId, BackendBody>>,
  source: Source,
): Promise<Step> {
  const begin = createService(home.id, ownerOf(source), home.options, address)
  const steps = await Promise.all(
    Object.entries(backends).map(async ([id, body]) => {
      try {
        const step = await backendCreation(names, home, id, body, source)
        return [id, step] as const
      } catch (error) {
        throw ofBackend(id, error)
      }
    }),
  )
  return (current) => {
    let record = begin(current)
    for (const [id, step] of steps) {
      try {
        record = step(record)
      } catch (error) {
        throw ofBackend(id, error)
      }
    }
    return record
  }
}

function ofBackend(id: BackendId, error: unknown): unknown {
  if (!(error instanceof Refusal)) return error
  return new Refusal(error.code, `backend "${id}": ${error.message}`, { cause: error })
}
