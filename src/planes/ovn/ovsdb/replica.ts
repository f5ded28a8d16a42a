import { ProtocolError } from './framing.ts'
import type { Uuid } from './ovsdb.ts'
import { object, type Columns } from './schema.ts'
import { applyDifference, decodeValue, defaultOf, sameValue, zeroUuid, type Value } from './value.ts'

/** A row whatever its table; the seam gives it its type. */
export interface ReplicaRow {
  readonly uuid: Uuid
  readonly [column: string]: Value
}

export interface ReplicaChange {
  readonly table: string
  readonly uuid: Uuid
  readonly before: ReplicaRow | null
  readonly after: ReplicaRow | null
}

/** How changes are told: by RFC 7047, with whole rows, or by `monitor_cond` and `monitor_cond_since`, with what differs. */
export type UpdateForm = 'update' | 'update2'

/** A copy of some columns of some tables, kept by what monitors tell. A message is applied whole or not at all. */
export class Replica {
  readonly #tables = new Map<string, Map<Uuid, ReplicaRow>>()
  #columns: ReadonlyMap<string, Columns> = new Map()
  /** The last transaction that is in here, for `monitor_cond_since`; zeros: not known. */
  position: Uuid = zeroUuid

  constructor(tables: Iterable<string>) {
    for (const table of tables) this.#tables.set(table, new Map())
  }

  /** The live table. */
  rows(table: string): ReadonlyMap<Uuid, ReplicaRow> {
    const rows = this.#tables.get(table)
    if (rows === undefined) throw new Error(`the replica has no table ${table}: name it when connecting`)
    return rows
  }

  /** Columns by table, which messages are read by. Where they are not those of before, all rows must come anew. */
  set columns(columns: ReadonlyMap<string, Columns>) {
    if (JSON.stringify(listed(columns)) !== JSON.stringify(listed(this.#columns))) this.position = zeroUuid
    this.#columns = columns
  }

  /** Applies a message of changes. @returns what changed @throws ProtocolError, with nothing changed */
  apply(updates: unknown, form: UpdateForm): readonly ReplicaChange[] {
    return this.#commit(this.#read(updates, form, (table, uuid) => this.rows(table).get(uuid) ?? null))
  }

  /** Applies a message of everything there is. @returns what differed @throws ProtocolError, with nothing changed */
  replace(updates: unknown, form: UpdateForm): readonly ReplicaChange[] {
    const fresh = new Map<string, Map<Uuid, ReplicaRow>>()
    for (const { table, uuid, after } of this.#read(updates, form, () => null)) {
      if (after === null) continue
      const rows = fresh.get(table) ?? new Map<Uuid, ReplicaRow>()
      fresh.set(table, rows.set(uuid, after))
    }
    const changes: ReplicaChange[] = []
    for (const [table, old] of this.#tables) {
      const rows = fresh.get(table)
      for (const [uuid, before] of old)
        if (rows?.has(uuid) !== true) changes.push({ table, uuid, before, after: null })
      for (const [uuid, after] of rows ?? []) {
        const before = old.get(uuid) ?? null
        if (before === null || !sameRow(before, after)) changes.push({ table, uuid, before, after })
      }
    }
    return this.#commit(changes)
  }

  #read(
    updates: unknown,
    form: UpdateForm,
    present: (table: string, uuid: Uuid) => ReplicaRow | null,
  ): ReplicaChange[] {
    const changes: ReplicaChange[] = []
    for (const [table, rows] of Object.entries(object(updates, 'an update'))) {
      const columns = this.#columns.get(table)
      if (columns === undefined)
        throw new ProtocolError(`an update is of table ${table}, which nobody asked for`)
      for (const [uuid, update] of Object.entries(object(rows, `the update of ${table}`))) {
        const before = present(table, uuid)
        const after = readRow[form](columns, uuid, before, object(update, `the update of row ${uuid}`))
        if (before !== null || after !== null) changes.push({ table, uuid, before, after })
      }
    }
    return changes
  }

  #commit(changes: readonly ReplicaChange[]): readonly ReplicaChange[] {
    for (const { table, uuid, after } of changes) {
      const rows = this.#tables.get(table)
      if (after === null) rows?.delete(uuid)
      else rows?.set(uuid, after)
    }
    return changes
  }
}

/** @returns the row after an update of it; null: it is gone */
type ReadRow = (
  columns: Columns,
  uuid: Uuid,
  before: ReplicaRow | null,
  update: Record<string, unknown>,
) => ReplicaRow | null

const readRow: Readonly<Record<UpdateForm, ReadRow>> = {
  /** RFC 7047, section 4.1.6: old and new, where new has all columns. */
  update(columns, uuid, _before, update) {
    return update['new'] === undefined ? null : wholeRow(columns, uuid, update['new'])
  },

  /** ovsdb-server(7), 4.1.14. */
  update2(columns, uuid, before, update) {
    if ('delete' in update) return null
    if ('modify' in update) {
      if (before === null) throw new ProtocolError(`row ${uuid} is modified, but was never inserted`)
      return modifiedRow(columns, before, update['modify'])
    }
    return wholeRow(columns, uuid, update['insert'] ?? update['initial'])
  },
}

/** Columns that are left out have their default. */
function wholeRow(columns: Columns, uuid: Uuid, json: unknown): ReplicaRow {
  const values = object(json, `row ${uuid}`)
  const row: Record<string, Value> & { uuid: Uuid } = { uuid }
  for (const [column, type] of columns) {
    const value = values[column]
    row[column] = value === undefined ? defaultOf(type) : decodeValue(type, value)
  }
  return row
}

function modifiedRow(columns: Columns, before: ReplicaRow, json: unknown): ReplicaRow {
  const row: Record<string, Value> & { uuid: Uuid } = { ...before }
  for (const [column, difference] of Object.entries(object(json, `row ${before.uuid}`))) {
    const type = columns.get(column)
    if (type === undefined) throw new ProtocolError(`an update has column ${column}, which nobody asked for`)
    row[column] = applyDifference(type, before[column] ?? defaultOf(type), difference)
  }
  return row
}

function sameRow(a: ReplicaRow, b: ReplicaRow): boolean {
  const columns = Object.keys(a)
  return (
    columns.length === Object.keys(b).length &&
    columns.every((column) => column in b && sameValue(a[column] ?? null, b[column] ?? null))
  )
}

const listed = (tables: ReadonlyMap<string, Columns>): unknown =>
  [...tables].map(([table, columns]) => [table, [...columns]])
