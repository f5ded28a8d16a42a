import { rateKey, type BackendRow, type ServiceRow } from './inventory.ts'
import { table, type Cell, type Style } from './table.ts'

const columns = [
  { title: 'SERVICE' },
  { title: 'ADDRESS' },
  { title: 'SCHEDULER' },
  { title: 'STATUS' },
  { title: 'WEIGHT', align: 'right' },
  { title: 'HEALTH', align: 'right' },
  { title: 'ACTIVE', align: 'right' },
  { title: 'CONNS/S', align: 'right' },
  { title: 'REASON' },
] as const

/** Services, each with its backends below it. WEIGHT is the one in force, and the configured one where it differs. */
export function serviceTable(
  services: readonly ServiceRow[],
  rates: ReadonlyMap<string, number> | null,
  colour: boolean,
): string[] {
  const rows = services.flatMap((service) => [
    serviceCells(service, rates),
    ...service.backends.map((backend) => backendCells(service.id, backend, rates)),
  ])
  return rows.length === 0 ? ['no services'] : table(columns, rows, colour)
}

export function statusStyle(status: BackendRow['status']): Style {
  if (status === 'Up') return 'green'
  return status === 'Down' ? 'red' : 'yellow'
}

export function weightText({ weight, effectiveWeight }: BackendRow): string {
  return weight === effectiveWeight ? String(weight) : `${effectiveWeight}/${weight}`
}

function serviceCells(
  { id, address, scheduler, plane, health, trouble, backends }: ServiceRow,
  rates: ReadonlyMap<string, number> | null,
): Cell[] {
  const active = backends.reduce((sum, backend) => sum + backend.active, 0)
  return [
    { text: id, style: 'bold' },
    { text: address, style: 'bold' },
    scheduler,
    plane,
    '',
    health.toFixed(2),
    String(active),
    rateText(rates, rateKey(id)),
    { text: trouble, style: 'red' },
  ]
}

function backendCells(
  service: string,
  backend: BackendRow,
  rates: ReadonlyMap<string, number> | null,
): Cell[] {
  return [
    `  ${backend.id}`,
    `  ${backend.address}`,
    '',
    { text: backend.status, style: statusStyle(backend.status) },
    weightText(backend),
    backend.health.toFixed(2),
    String(backend.active),
    rateText(rates, rateKey(service, backend.id)),
    backend.reason,
  ]
}

function rateText(rates: ReadonlyMap<string, number> | null, key: string): string {
  return rates === null ? '' : (rates.get(key) ?? 0).toFixed(1)
}
