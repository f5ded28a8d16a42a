import { ProtocolError } from './framing.ts'
import type { ColumnKind, TableSpec, TableSpecs } from './ovsdb.ts'

export type BaseType = 'string' | 'integer' | 'real' | 'boolean' | 'uuid'

/** RFC 7047, section 3.2, without the constraints, which the server checks. */
export interface ColumnType {
  readonly key: BaseType
  /** Of a map; null: a set, which a scalar is too (min and max 1). */
  readonly value: BaseType | null
  readonly min: number
  readonly max: number
}

export type Columns = ReadonlyMap<string, ColumnType>

export interface DatabaseSchema {
  readonly name: string
  readonly version: string
  readonly tables: ReadonlyMap<string, Columns>
}

const baseTypes: ReadonlySet<unknown> = new Set<BaseType>(['string', 'integer', 'real', 'boolean', 'uuid'])

/** Every table has these (section 3.2). */
const ownColumns = ['_uuid', '_version'] as const

/** The answer of `get_schema`. @throws ProtocolError */
export function parseSchema(json: unknown): DatabaseSchema {
  const { name, version, tables } = object(json, 'the schema')
  if (typeof name !== 'string') throw new ProtocolError('the schema has no name')
  return {
    name,
    version: typeof version === 'string' ? version : '',
    tables: new Map(
      Object.entries(object(tables, 'tables')).map(([table, json]) => [
        table,
        parseColumns(object(json, table)['columns'], table),
      ]),
    ),
  }
}

function parseColumns(json: unknown, table: string): Columns {
  const columns = new Map<string, ColumnType>()
  for (const name of ownColumns) columns.set(name, { key: 'uuid', value: null, min: 1, max: 1 })
  for (const [name, column] of Object.entries(object(json, `the columns of ${table}`)))
    columns.set(name, parseType(object(column, `${table}.${name}`)['type'], `${table}.${name}`))
  return columns
}

function parseType(json: unknown, where: string): ColumnType {
  if (typeof json === 'string') return { key: parseBase(json, where), value: null, min: 1, max: 1 }
  const { key, value, min = 1, max = 1 } = object(json, `the type of ${where}`)
  if (typeof min !== 'number' || (typeof max !== 'number' && max !== 'unlimited'))
    throw new ProtocolError(`the type of ${where} has no limits of its size`)
  return {
    key: parseBase(key, where),
    value: value === undefined ? null : parseBase(value, where),
    min,
    max: max === 'unlimited' ? Infinity : max,
  }
}

function parseBase(json: unknown, where: string): BaseType {
  const name = typeof json === 'string' ? json : object(json, `the type of ${where}`)['type']
  if (!baseTypes.has(name)) throw new ProtocolError(`the type of ${where} is unknown`)
  return name as BaseType
}

/** A JSON object. @throws ProtocolError that names what else is there */
export function object(json: unknown, what: string): Record<string, unknown> {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw new ProtocolError(`${what} is no JSON object`)
  return json as Record<string, unknown>
}

/** How a column of this type looks to its readers. */
export function kindOf({ key, value, min, max }: ColumnType): ColumnKind | 'real' {
  if (value !== null) return 'map'
  if (max > 1) return 'set'
  return min === 0 ? 'optional' : key
}

/**
 * The columns that `specs` asks for and the schema has.
 *
 * @returns a text that names what the schema lacks of the required ones
 */
export function chooseColumns(
  schema: DatabaseSchema,
  specs: TableSpecs,
): ReadonlyMap<string, Columns> | string {
  const chosen = new Map<string, Columns>()
  for (const [table, spec] of Object.entries(specs)) {
    const columns = schema.tables.get(table)
    if (columns === undefined) return `lacks table ${table}`
    const ofTable = chooseOfTable(columns, table, spec)
    if (typeof ofTable === 'string') return ofTable
    chosen.set(table, ofTable)
  }
  return chosen
}

function chooseOfTable(columns: Columns, table: string, spec: TableSpec): Columns | string {
  const chosen = new Map<string, ColumnType>()
  for (const [name, kind] of Object.entries(spec.required)) {
    const type = columns.get(name)
    if (type === undefined) return `lacks column ${name} of table ${table}`
    const had = kindOf(type)
    if (had !== kind) return `has column ${name} of table ${table} as ${had} instead of ${kind}`
    chosen.set(name, type)
  }
  for (const [name, kind] of Object.entries(spec.wanted ?? {})) {
    const type = columns.get(name)
    // One of another kind is as good as none.
    if (type !== undefined && kindOf(type) === kind) chosen.set(name, type)
  }
  return chosen
}
