import type { WireFunctionList } from '../api/wireFunction.ts'
import type { TorbEvent } from '../control/events.ts'
import { renderFunctions, sourcesLine } from './functionsView.ts'
import { rateKey, type BackendRow, type Rates, type ServiceRow } from './inventory.ts'
import { serviceTable } from './serviceTable.ts'
import { paint, printable } from './table.ts'

export const sortKeys = { n: 'name', c: 'conns', b: 'bytes', a: 'active', h: 'health', w: 'weight' } as const
export type SortOrder = (typeof sortKeys)[keyof typeof sortKeys]

export interface TopState {
  readonly where: string
  readonly services: readonly ServiceRow[]
  readonly rates: Rates
  readonly functions: WireFunctionList
  readonly order: SortOrder
  /** The last events, oldest first. */
  readonly events: readonly TorbEvent[]
}

const eventLines = 5

/** The live page as lines for so many rows: the tables are cut rather than the events, and of sources one line stays. */
export function renderTop(state: TopState, rows: number, colour: boolean): string[] {
  const { services, functions, rates, order, where } = state
  const backends = services.flatMap((service) => service.backends)
  const up = backends.filter(({ status }) => status === 'Up').length
  const name = colour ? paint('bold', 'torb top') : 'torb top'
  const count = services.length === 1 ? '1 service' : `${services.length} services`
  const head = `${name}  ${where}  ${count}, ${up} of ${backends.length} backends Up`
  const keys = `by ${order}   keys: ${Object.entries(sortKeys)
    .map(([key, sort]) => `${key} ${sort}`)
    .join(', ')}, q ends`
  const events = state.events.slice(-eventLines).map(eventLine)
  const room = Math.max(3, rows - 4 - events.length)
  const hasFunctions = functions.gateway !== null || functions.functions.length > 0
  const lines = [
    ...(services.length === 0 && hasFunctions
      ? []
      : serviceTable(sorted(services, rates, order), rates, colour)),
    ...(services.length > 0 && hasFunctions ? [''] : []),
    ...(hasFunctions ? renderFunctions(functions, colour) : []),
  ]
  const unread = functions.total - functions.functions.length
  const more = `${lines.length - room + 1} more lines${unread === 0 ? '' : ` and ${unread} more functions`}`
  const isCut = lines.length > room
  const cut = isCut ? [...lines.slice(0, room - 1), `… ${more}`] : lines
  // The table of sources is the last one.
  const above = isCut && functions.sources.length > 0 ? sourcesLine(functions.sources, colour) : ''
  return [head, keys, above, ...cut, ...(events.length === 0 ? [] : ['', ...events])]
}

/** By name upwards; by rate, connections or weight downwards; by health the worst first. Services, and backends within. */
export function sorted(services: readonly ServiceRow[], rates: Rates, order: SortOrder): ServiceRow[] {
  const sum = (service: ServiceRow, of: (backend: BackendRow) => number): number =>
    service.backends.reduce((total, backend) => total + of(backend), 0)
  const rateOf = (what: 'connections' | 'bytes', service: string, backend?: string): number =>
    rates.get(rateKey(service, backend))?.[what] ?? 0
  const rank: Readonly<
    Record<SortOrder, [(service: ServiceRow) => number, (id: string, backend: BackendRow) => number]>
  > = {
    name: [() => 0, () => 0],
    conns: [
      (service) => -rateOf('connections', service.id),
      (id, backend) => -rateOf('connections', id, backend.id),
    ],
    bytes: [(service) => -rateOf('bytes', service.id), (id, backend) => -rateOf('bytes', id, backend.id)],
    active: [(service) => -sum(service, ({ active }) => active), (_, backend) => -backend.active],
    health: [({ health }) => health, (_, backend) => backend.health],
    weight: [
      (service) => -sum(service, ({ effectiveWeight }) => effectiveWeight),
      (_, backend) => -backend.effectiveWeight,
    ],
  }
  const [ofService, ofBackend] = rank[order]
  return services
    .map((service) => ({
      ...service,
      backends: service.backends.toSorted(
        (a, b) => ofBackend(service.id, a) - ofBackend(service.id, b) || byName(a, b),
      ),
    }))
    .toSorted((a, b) => ofService(a) - ofService(b) || byName(a, b))
}

function byName(a: { readonly id: string }, b: { readonly id: string }): number {
  return a.id.localeCompare(b.id, 'en', { numeric: true })
}

/** `12:00:01 backend-down service=0 backend=1 reason=connection refused` */
export function eventLine({ at, type, ...fields }: TorbEvent): string {
  const time = new Date(at).toISOString().slice(11, 19)
  const rest = Object.entries(fields).map(([name, value]) => `${name}=${String(value)}`)
  return printable([time, type, ...rest].join(' '))
}
