import type { fullServiceListShape, WireBackend, WireService } from '../api/wire.ts'
import type { z } from 'zod'
import { endpointText } from '../model/address.ts'
import { failed } from './exit.ts'
import { ApiRefusal, type Rest } from './rest.ts'
import { paint, printable } from './table.ts'

export type WireServiceInFull = z.output<typeof fullServiceListShape>[number]

/** What was counted, bytes of both directions together. */
interface Traffic {
  readonly connections: number
  readonly bytes: number
  /** Averages as the plane measures them; null where it does not. */
  readonly rate: Rate | null
}

/** A second. */
export interface Rate {
  readonly connections: number
  readonly bytes: number
}

/** A service as the commands show it. */
export interface ServiceRow extends Traffic {
  readonly id: string
  readonly address: string
  readonly scheduler: string
  readonly plane: string
  readonly health: number
  /** Where the plane does not hold it as it should: what it says. */
  readonly trouble: string
  /** What whoever set it up should know. */
  readonly advice: readonly string[]
  readonly backends: readonly BackendRow[]
}

export interface BackendRow extends Traffic {
  readonly id: string
  readonly address: string
  readonly status: 'Up' | 'Down' | 'Removed' | 'Draining'
  readonly reason: string
  /** As configured, and in force. */
  readonly weight: number
  readonly effectiveWeight: number
  readonly health: number
  readonly active: number
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
          if (error instanceof ApiRefusal && error.status === 404) return []
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
  advice = [],
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
    advice,
    ...trafficOf(statistics),
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
      ...trafficOf(backend.statistics),
    })),
  }
}

function trafficOf(statistics: WireService['statistics']): Traffic {
  if (statistics === null) return { connections: 0, bytes: 0, rate: null }
  const { connections, bytes_in: bytesIn, bytes_out: bytesOut, rates } = statistics
  return {
    connections,
    bytes: bytesIn + bytesOut,
    rate: rates && { connections: rates.connections, bytes: rates.bytes_in + rates.bytes_out },
  }
}

/** A line for each advice, for people. */
export const adviceLines = (
  services: readonly Pick<ServiceRow, 'id' | 'advice'>[],
  colour: boolean,
): string[] =>
  services.flatMap(({ id, advice }) =>
    advice.map((text) => {
      const line = printable(`! ${id}: ${text}`)
      return colour ? paint('yellow', line) : line
    }),
  )

export async function readRow(rest: Rest, id: string): Promise<ServiceRow> {
  return rowOf(await readService(rest, id))
}

/** Rates by `rateKey`; without those that nobody knows. */
export type Rates = ReadonlyMap<string, Rate>

/** The averages that the planes measure. */
export function averageRates(rows: readonly ServiceRow[]): Rates {
  const rates = new Map<string, Rate>()
  for (const [key, { rate }] of trafficIn(rows)) if (rate !== null) rates.set(key, rate)
  return rates
}

/** What came between two looks; a counter that began anew counts from 0. */
export function ratesBetween(
  before: readonly ServiceRow[],
  after: readonly ServiceRow[],
  seconds: number,
): Rates {
  if (!(seconds > 0)) throw failed('a rate needs two looks at different times')
  const old = trafficIn(before)
  const rate = (count: number, was: number): number => (count - (was > count ? 0 : was)) / seconds
  return new Map(
    [...trafficIn(after)].map(([key, now]) => {
      const was = old.get(key) ?? now
      return [key, { connections: rate(now.connections, was.connections), bytes: rate(now.bytes, was.bytes) }]
    }),
  )
}

/** Ids hold no slash. */
export const rateKey = (service: string, backend?: string): string =>
  backend === undefined ? service : `${service}/${backend}`

function trafficIn(rows: readonly ServiceRow[]): Map<string, Traffic> {
  return new Map<string, Traffic>(
    rows.flatMap((service) => [
      [rateKey(service.id), service] as const,
      ...service.backends.map((backend) => [rateKey(service.id, backend.id), backend] as const),
    ]),
  )
}
