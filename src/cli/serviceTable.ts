import { rateKey, type BackendRow, type Rate, type Rates, type ServiceRow } from './inventory.ts'
import { table, type Cell, type Style } from './table.ts'

// Narrow, so that a page of common addresses fits 80 characters.
const columns = [
  { title: 'SERVICE' },
  { title: 'ADDRESS' },
  { title: 'STATUS' },
  { title: 'WEIGHT', align: 'right' },
  { title: 'HEALTH', align: 'right', gap: 1 },
  { title: 'ACTIVE', align: 'right', gap: 1 },
  { title: 'CONN/S', align: 'right', gap: 1 },
  { title: 'BYTES/S', align: 'right', gap: 1 },
  { title: 'REASON' },
] as const

/** Services, each with its backends below it. WEIGHT is the one in force, and the configured one where it differs. */
export function serviceTable(services: readonly ServiceRow[], rates: Rates, colour: boolean): string[] {
  const rows = services.flatMap((service) => [
    serviceCells(service, rates.get(rateKey(service.id))),
    ...service.backends.map((backend) => backendCells(backend, rates.get(rateKey(service.id, backend.id)))),
  ])
  if (rows.length === 0) return ['no services']
  const isReasoned =
    services.some(({ trouble }) => trouble !== '') ||
    services.some(({ backends }) => backends.some(({ reason }) => reason !== ''))
  return table(isReasoned ? columns : columns.slice(0, -1), rows, colour)
}

export function statusStyle(status: BackendRow['status']): Style {
  if (status === 'Up') return 'green'
  return status === 'Down' ? 'red' : 'yellow'
}

export function weightText({ weight, effectiveWeight }: BackendRow): string {
  return weight === effectiveWeight ? String(weight) : `${effectiveWeight}/${weight}`
}

function serviceCells(service: ServiceRow, rate: Rate | undefined): Cell[] {
  const { id, address, scheduler, plane, health, trouble, backends } = service
  const active = backends.reduce((sum, backend) => sum + backend.active, 0)
  return [
    { text: id, style: 'bold' },
    { text: address, style: 'bold' },
    `${scheduler} ${plane}`,
    '',
    health.toFixed(2),
    shortNumber(active),
    ...rateCells(rate),
    { text: trouble, style: trouble.startsWith('accepted') ? 'yellow' : 'red' },
  ]
}

function backendCells(backend: BackendRow, rate: Rate | undefined): Cell[] {
  return [
    `  ${backend.id}`,
    `  ${backend.address}`,
    { text: backend.status, style: statusStyle(backend.status) },
    weightText(backend),
    backend.health.toFixed(2),
    shortNumber(backend.active),
    ...rateCells(rate),
    backend.reason,
  ]
}

const rateCells = (rate: Rate | undefined): Cell[] =>
  rate === undefined ? ['', ''] : [oneDecimal(rate.connections), shortNumber(rate.bytes)]

const oneDecimal = (value: number): string => (value < 9999.95 ? value.toFixed(1) : shortNumber(value))

/** At most five characters up to 10^18: `99999`, `100k`, `1.2G`. */
export function shortNumber(value: number): string {
  const whole = Math.round(value)
  if (whole < 100_000) return String(whole)
  const power = Math.min(units.length - 1, Math.floor(Math.log10(whole) / 3))
  const scaled = whole / 1000 ** power
  // What rounds up to the next unit is written in it.
  if (scaled >= 999.5 && power < units.length - 1) return `1.0${units[power + 1]}`
  return `${scaled < 9.95 ? scaled.toFixed(1) : Math.round(scaled)}${units[power]}`
}

/** Powers of 1000. */
const units = ['', 'k', 'M', 'G', 'T', 'P']
