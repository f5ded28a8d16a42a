import type { Attachment } from './attachments.ts'
import type { CheckRow } from './health.ts'
import type { ColumnInput, NamedUuid, Operation, Uuid } from './ovsdb/ovsdb.ts'
import { columnsThatDiffer, columnValues, type CheckedRow, type LoadBalancerRow } from './rows.ts'
import type { Northbound, NorthboundRow } from './tables.ts'

type BalancerRow = NorthboundRow<'Load_Balancer'>

/** Gives a name to each row that a transaction inserts. */
export type Naming = () => string

/** Columns of LoadBalancerRow that older servers lack; a row that needs one was refused before. */
type Database = Pick<Northbound, 'rows' | 'has'>

/** A row as the database holds it fails the transaction where somebody else has changed these columns meanwhile. */
export function unchanged<Row extends { readonly uuid: Uuid }>(
  table: string,
  row: Row,
  columns: readonly (keyof Row & string)[],
): Operation {
  const values = Object.fromEntries(columns.map((column) => [column, row[column] as ColumnInput]))
  return { op: 'wait', table, where: { uuid: row.uuid }, columns, until: '==', rows: [values] }
}

/** Makes a row. @returns the operations, and by what name the transaction refers to it */
export function insertion(
  database: Database,
  { row, checks }: CheckedRow,
  naming: Naming,
): { readonly operations: readonly Operation[]; readonly named: NamedUuid } {
  const uuidName = naming()
  const hung = checkInsertions(checks, naming)
  return {
    named: { named: uuidName },
    operations: [
      ...hung.operations,
      {
        op: 'insert',
        table: 'Load_Balancer',
        uuidName,
        row: {
          ...present(database, row),
          ...(hung.named.length === 0 ? {} : { health_check: hung.named }),
        },
      },
    ],
  }
}

/** Turns a row into what is wanted, by what differs only. */
export function update(
  database: Database,
  row: BalancerRow,
  wanted: CheckedRow,
  naming: Naming,
): readonly Operation[] {
  const columns = columnsThatDiffer(row, wanted.row)
  const checks = checkUpdate(database, row, wanted.checks, naming)
  if (columns.length === 0 && checks.column === null) return checks.operations
  return [
    unchanged('Load_Balancer', row, checks.column === null ? columns : [...columns, 'health_check']),
    ...checks.operations,
    {
      op: 'update',
      table: 'Load_Balancer',
      where: { uuid: row.uuid },
      row: {
        ...columnValues(row, wanted.row, columns),
        ...(checks.column === null ? {} : { health_check: checks.column }),
      },
    },
  ]
}

export const deletion = ({ uuid }: { readonly uuid: Uuid }): Operation => ({
  op: 'delete',
  table: 'Load_Balancer',
  where: { uuid },
})

/** Names a load balancer in a switch, router or group, or takes it out; as a mutation, since others do the same. */
export function attachment(
  { table, uuid, name }: Attachment,
  mutator: 'insert' | 'delete',
  balancer: Uuid | NamedUuid,
): readonly Operation[] {
  return [
    { op: 'wait', table, where: { uuid }, columns: ['name'], until: '==', rows: [{ name }] },
    { op: 'mutate', table, where: { uuid }, mutations: [['load_balancer', mutator, [balancer]]] },
  ]
}

/** Checks that hang on a row, in the order of its column. */
export function checksOf(database: Pick<Northbound, 'rows'>, row: BalancerRow): readonly CheckRow[] {
  return heldChecks(database, row).map(({ vip = '', options = new Map() }) => ({
    vip,
    options: Object.fromEntries(options),
  }))
}

function heldChecks(
  database: Pick<Northbound, 'rows'>,
  { health_check: uuids = [] }: BalancerRow,
): readonly NorthboundRow<'Load_Balancer_Health_Check'>[] {
  const rows = database.rows('Load_Balancer_Health_Check')
  return uuids.flatMap((uuid) => rows.get(String(uuid)) ?? [])
}

/** @returns column: the new value of health_check; null where it stays */
function checkUpdate(
  database: Database,
  row: BalancerRow,
  wanted: readonly CheckRow[],
  naming: Naming,
): { readonly operations: readonly Operation[]; readonly column: readonly (Uuid | NamedUuid)[] | null } {
  const held = heldChecks(database, row)
  const kept = wanted.map((check) => held.find(({ vip }) => vip === check.vip) ?? null)
  const hung = checkInsertions(
    wanted.filter((_, index) => kept[index] === null),
    naming,
  )
  const updates = wanted.flatMap(({ options }, index): Operation | [] => {
    const at = kept[index]
    if (at === null || at === undefined) return []
    const differs =
      at.options?.size !== Object.keys(options).length ||
      Object.entries(options).some(([key, value]) => at.options?.get(key) !== value)
    if (!differs) return []
    return { op: 'update', table: 'Load_Balancer_Health_Check', where: { uuid: at.uuid }, row: { options } }
  })
  const stays = hung.named.length === 0 && held.length === kept.length
  const uuids = kept.flatMap((at) => at?.uuid ?? [])
  return { operations: [...hung.operations, ...updates], column: stays ? null : [...uuids, ...hung.named] }
}

function checkInsertions(
  checks: readonly CheckRow[],
  naming: Naming,
): { readonly operations: readonly Operation[]; readonly named: readonly NamedUuid[] } {
  const named = checks.map(() => ({ named: naming() }))
  return {
    named,
    operations: checks.map(({ vip, options }, index) => ({
      op: 'insert',
      table: 'Load_Balancer_Health_Check',
      uuidName: named[index]?.named ?? '',
      row: { vip, options },
    })),
  }
}

/** What is empty is left to the default: an older server may lack the column. */
function present(database: Database, row: LoadBalancerRow): Readonly<Record<string, ColumnInput>> {
  return Object.fromEntries(
    Object.entries(row as unknown as Record<string, ColumnInput>).filter(
      ([column, value]) =>
        value !== null &&
        (Object.keys(value).length > 0 || typeof value === 'string') &&
        database.has('Load_Balancer', column),
    ),
  )
}
