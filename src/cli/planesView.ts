import type { z } from 'zod'
import type { planesShape } from '../api/routes/plane.ts'
import { endpointText } from '../model/address.ts'
import { table, type Cell, type Column } from './table.ts'

export type Planes = z.output<typeof planesShape>
type Plane = Planes['planes'][number]
type Backend = Plane['foreign'][number]['backends'][number]

const planeColumns = [
  { title: 'PLANE' },
  { title: 'SERVICES', align: 'right' },
  { title: 'FAILING', align: 'right' },
  { title: 'FOREIGN', align: 'right' },
  { title: 'AUDITED' },
  { title: 'PROBLEM' },
] as const
const lagColumns = [
  { title: 'PLANE' },
  { title: 'NOT IN EFFECT', align: 'right' },
  { title: 'SINCE' },
  { title: 'LAGGING' },
] as const
const factColumns = [{ title: 'PLANE' }, { title: 'FACT' }, { title: 'VALUE' }] as const
const foreignColumns = [
  { title: 'PLANE' },
  { title: 'FOREIGN' },
  { title: 'SCHEDULER' },
  { title: 'BACKENDS' },
] as const
const announcerColumns = [
  { title: 'ANNOUNCER' },
  { title: 'STATE' },
  { title: 'PENDING', align: 'right' },
  { title: 'SINCE' },
  { title: 'URL' },
  { title: 'MESSAGE' },
] as const

/** One table a subject; those without rows are left out. */
export function renderPlanes({ planes, announcers }: Planes, colour: boolean): string[] {
  const facts = planes.flatMap(({ name, facts }) =>
    Object.entries(facts).map(([fact, value]) => [name, fact, factText(value)]),
  )
  const lags = planes.flatMap(lagCells)
  const foreign = planes.flatMap(({ name, foreign }) =>
    foreign.map(({ id, options, backends }) => [
      name,
      foreignText(id, options),
      options.method,
      backends.map(backendText).join(', '),
    ]),
  )
  const below = (columns: readonly Column[], rows: readonly Cell[][]): string[] =>
    rows.length === 0 ? [] : ['', ...table(columns, rows, colour)]
  return [
    ...table(planeColumns, planes.map(planeCells), colour),
    ...below(lagColumns, lags),
    ...below(factColumns, facts),
    ...below(foreignColumns, foreign),
    ...below(announcerColumns, announcers.map(announcerCells)),
  ]
}

function planeCells(plane: Plane): Cell[] {
  const { name, services, failing, drifted = 0, foreign, audited_at: audited } = plane
  const problem = [plane.problem, ...(drifted === 0 ? [] : [`${drifted} drifted`])].filter(Boolean).join('; ')
  return [
    { text: name, style: 'bold' },
    String(services),
    { text: String(failing), style: failing === 0 ? 'plain' : 'red' },
    plane.problem === '' ? String(foreign.length) : '?',
    audited === null ? '-' : timeText(audited),
    { text: problem, style: 'red' },
  ]
}

/** Nothing where the plane does not tell, or nothing lags. */
function lagCells({ name, lag }: Plane): Cell[][] {
  if (lag === undefined || lag.services === 0) return []
  const lagging = Object.entries(lag.lagging).map(([who, services]) => `${who} ${services}`)
  return [[name, String(lag.services), lag.since === null ? '-' : timeText(lag.since), lagging.join(', ')]]
}

function announcerCells({ name, state, pending, since, url, message }: Planes['announcers'][number]): Cell[] {
  const style = state === 'in step' ? 'green' : state === 'behind' ? 'yellow' : 'red'
  return [
    { text: name, style: 'bold' },
    { text: state, style },
    String(pending),
    timeText(since),
    url,
    message,
  ]
}

/** `2026-11-21 14:59:07` */
export const timeText = (time: string): string => time.slice(0, 19).replace('T', ' ')

/** No number that counts gets as far: milliseconds since the epoch, from 2001 on. */
const earliestTime = 1e12

/** `tcp 900, tcpfin 120`; of a list of such the next after a semicolon. What is empty is left out. */
function factText(value: unknown): string {
  if (typeof value === 'number' && value >= earliestTime) return timeText(new Date(value).toISOString())
  if (typeof value !== 'object' || value === null) return String(value)
  if (Array.isArray(value)) {
    const separator = value.every((item) => typeof item === 'object') ? '; ' : ', '
    return value.length === 0 ? '-' : value.map(factText).join(separator)
  }
  return Object.entries(value)
    .filter(([, item]) => item !== '')
    .map(([name, item]) => `${name} ${factText(item)}`)
    .join(', ')
}

/** Its name and where it is; an entry without a name has the latter as its id. */
function foreignText(id: string, options: Plane['foreign'][number]['options']): string {
  const { host = '', port = 0, protocol = 'tcp', fwmark } = options
  const place = fwmark === undefined ? `${protocol} ${endpointText(host, port)}` : `fwmark ${fwmark}`
  return id === place ? id : `${id} (${place})`
}

function backendText({ options }: Backend): string {
  const { host, port, method, weight } = options
  return `${port === 0 ? host : endpointText(host, port)} ${method} ${weight}`
}
