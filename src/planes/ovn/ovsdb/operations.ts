import { Refusal } from '../../../model/refusal.ts'
import { ProtocolError } from './framing.ts'
import { OvsdbError, type ColumnInput, type Operation, type OperationResult, type Where } from './ovsdb.ts'
import { object, type Columns, type ColumnType, type DatabaseSchema } from './schema.ts'
import { decodeValue, encodeValue } from './value.ts'

/** An operation as RFC 7047, section 5.2, writes it. @throws Refusal for a table or column that the schema lacks */
export function encodeOperation(schema: DatabaseSchema, operation: Operation): object {
  if (operation.op === 'comment' || operation.op === 'assert') return operation
  const { table } = operation
  const columns = schema.tables.get(table)
  if (columns === undefined)
    throw new Refusal('refused', `The schema of ${schema.name} has no table ${table}`)
  const typeOf = (column: string): ColumnType => {
    const type = columns.get(column)
    if (type !== undefined) return type
    throw new Refusal('refused', `The schema of ${schema.name} has no column ${column} in table ${table}`)
  }
  const value = (column: string, input: ColumnInput): unknown => encodeValue(typeOf(column), input)
  const row = (inputs: Readonly<Record<string, ColumnInput>>): object =>
    Object.fromEntries(Object.entries(inputs).map(([column, input]) => [column, value(column, input)]))
  const where = (rows: Where): readonly unknown[] =>
    'uuid' in rows
      ? [['_uuid', '==', ['uuid', rows.uuid]]]
      : rows.map(([column, test, input]) => [column, test, value(column, input)])

  switch (operation.op) {
    case 'insert':
      return {
        op: 'insert',
        table,
        row: row(operation.row),
        ...(operation.uuidName === undefined ? {} : { 'uuid-name': operation.uuidName }),
        ...(operation.uuid === undefined ? {} : { uuid: operation.uuid }),
      }
    case 'update':
      return { op: 'update', table, where: where(operation.where), row: row(operation.row) }
    case 'mutate':
      return {
        op: 'mutate',
        table,
        where: where(operation.where),
        mutations: operation.mutations.map(([column, mutator, input]) => [
          column,
          mutator,
          value(column, input),
        ]),
      }
    case 'delete':
      return { op: 'delete', table, where: where(operation.where) }
    case 'wait':
      return {
        op: 'wait',
        table,
        // A guard tells how things are now; with any other limit the server would wait for them.
        timeout: 0,
        where: where(operation.where),
        columns: operation.columns,
        until: operation.until,
        rows: operation.rows.map(row),
      }
    case 'select':
    default:
      return { op: 'select', table, where: where(operation.where), columns: operation.columns }
  }
}

/**
 * The answer of `transact`: an entry an operation, and one more where all went well but the commit.
 *
 * @throws OvsdbError for the first error in it; ProtocolError
 */
export function decodeResults(
  schema: DatabaseSchema,
  operations: readonly Operation[],
  json: unknown,
): readonly OperationResult[] {
  if (!Array.isArray(json)) throw new ProtocolError('the answer of a transaction is no array')
  const entries = json as readonly unknown[]
  for (const [i, entry] of entries.entries()) {
    const error = entry === null ? undefined : object(entry, 'a result')['error']
    if (error !== undefined && error !== null) throw errorOf(entry, i)
  }
  if (entries.length < operations.length || entries.includes(null))
    throw new ProtocolError('the answer of a transaction lacks results')
  return operations.map((operation, i) => decodeResult(schema, operation, object(entries[i], 'a result')))
}

/** An error as JSON-RPC's answers and transactions' results have it: a text, or an object with details. @throws ProtocolError */
export function errorOf(json: unknown, operation: number): OvsdbError {
  if (typeof json === 'string') return new OvsdbError(json, '', operation)
  const { error, details } = object(json, 'an error')
  if (typeof error !== 'string') throw new ProtocolError('an error has no name')
  return new OvsdbError(error, typeof details === 'string' ? details : '', operation)
}

function decodeResult(
  schema: DatabaseSchema,
  operation: Operation,
  { count, uuid, rows }: Record<string, unknown>,
): OperationResult {
  switch (operation.op) {
    case 'insert':
      return { uuid: decodeValue({ key: 'uuid', value: null, min: 1, max: 1 }, uuid) as string }
    case 'update':
    case 'mutate':
    case 'delete':
      if (typeof count !== 'number') throw new ProtocolError(`the result of ${operation.op} has no count`)
      return { count }
    case 'select': {
      if (!Array.isArray(rows)) throw new ProtocolError('the result of a select has no rows')
      const columns = schema.tables.get(operation.table) ?? new Map()
      return { rows: rows.map((row) => decodeSelected(columns, object(row, 'a row'))) }
    }
    case 'wait':
    case 'comment':
    case 'assert':
    default:
      return {}
  }
}

function decodeSelected(columns: Columns, row: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(row).map(([column, json]) => {
      const type = columns.get(column)
      return [column, type === undefined ? json : decodeValue(type, json)]
    }),
  )
}
