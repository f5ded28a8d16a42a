import type { fullServiceListShape, WireBackend, WireService } from '../api/wire.ts'
import type { z } from 'zod'
import { endpointText } from '../model/address.ts'
import { CommandError, failed } from './exit.ts'
import type { Rest } from './rest.ts'

export type WireServiceInFull = z.output<typeof fullServiceListShape>[number]

/** A service as the commands show it. */
export interface ServiceRow {
  readonly id: string
  readonly address: string
  readonly scheduler: string
  readonly plane: string
  readonly health: number
  /** Where the plane does not hold it as it should: what it says. */
  readonly trouble: string
  readonly connections: number
  readonly backends: readonly BackendRow[]
}

export interface BackendRow {
  readonly id: string
  readonly address: string
  readonly status: 'Up' | 'Down' | 'Removed' | 'Draining'
  readonly reason: string
  /** As configured, and in force. */
  readonly weight: number
  readonly effectiveWeight: number
  readonly health: number
  readonly active: number
  readonly connections: number
}

export async function readInventory(rest: Rest): Promise<WireServiceInFull[]> {
  return (await rest.request('GET', '/service?full')) as WireServiceInFull[]
}

/** One service with its backends. @throws CommandError where there is none of that id */
export async function readService(rest: Rest, id: string): Promise<WireServiceInFull> {
  const path = `/service/${encodeURIComponent(id)}`
  const service = (await rest.request('GET', path)) as WireService
  const backends = await Promise.all(
    service.backends.map(async (name) => {
      const backend = rest.request('GET', `${path}/${encodeURIComponent(name)}`) as Promise<WireBackend>
      // One that was removed meanwhile is no longer part of it.
      return await backend.then(
        (found) => [{ id: name, ...found }],
        (error: unknown) => {
          if (error instanceof CommandError && /status 404/.test(error.message)) return []
          throw error
        },
      )
    }),
  )
  return { id, ...service, backends: backends.flat() }
}

const statuses = ['Up', 'Down', 'Removed'] as const

export function rowOf({
  id,
  options,
  health,
  plane,
  address,
  reconcile,
  statistics,
  backends,
}: WireServiceInFull): ServiceRow {
  const mark = options['fwmark']
  return {
    id,
    address:
      mark === undefined
        ? `${options.protocol} ${endpointText(address, options.port)}`
        : `fwmark ${JSON.stringify(mark)}`,
    scheduler: options.method,
    plane,
    health,
    trouble: reconcile.state === 'applied' ? '' : `${reconcile.state}: ${reconcile.message}`,
    connections: statistics?.connections ?? 0,
    backends: backends.map((backend) => ({
      id: backend.id,
      address:
        backend.options.port === 0 ? backend.address : endpointText(backend.address, backend.options.port),
      status: backend.draining ? 'Draining' : statuses[backend.metrics.status],
      reason: backend.reason,
      weight: backend.options.max_weight,
      effectiveWeight: backend.options.weight,
      health: backend.metrics.health,
      active: backend.statistics?.active ?? 0,
      connections: backend.statistics?.connections ?? 0,
    })),
  }
}

export async function readRow(rest: Rest, id: string): Promise<ServiceRow> {
  return rowOf(await readService(rest, id))
}

/** Connections a second between two looks, by `service` and `service backend`; a counter that began anew counts from 0. */
export function connectionRates(
  before: readonly ServiceRow[],
  after: readonly ServiceRow[],
  seconds: number,
): Map<string, number> {
  if (!(seconds > 0)) throw failed('a rate needs two looks at different times')
  const old = counts(before)
  return new Map(
    [...counts(after)].map(([key, count]) => {
      const was = old.get(key)
      return [key, was === undefined ? 0 : (count - (was > count ? 0 : was)) / seconds]
    }),
  )
}

/** Ids hold no slash. */
export const rateKey = (service: string, backend?: string): string =>
  backend === undefined ? service : `${service}/${backend}`

function counts(rows: readonly ServiceRow[]): Map<string, number> {
  return new Map(
    rows.flatMap(({ id, connections, backends }) => [
      [rateKey(id), connections] as const,
      ...backends.map((backend) => [rateKey(id, backend.id), backend.connections] as const),
    ]),
  )
}
