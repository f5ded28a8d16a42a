/**
 * The seam of the OVSDB client (RFC 7047): a live replica of some tables of one database, and transactions on it.
 *
 * Rows come with their columns read by the server's own schema. A column that the schema makes optional (at most one
 * value) is `null` where it is empty.
 */

/** Text of a UUID, as the database writes it. */
export type Uuid = string

/** A scalar as this client has it: uuids are their text, integers and reals numbers. */
export type Atom = string | number | boolean

/** Kind of a column, as whoever reads it needs it; a server whose schema has another kind is refused by name. */
export type ColumnKind = 'string' | 'integer' | 'boolean' | 'uuid' | 'optional' | 'set' | 'map'

/** What is read of a table. `required` must be in the server's schema; what of `wanted` is not is left out of the rows. */
export interface TableSpec {
  readonly required: Readonly<Record<string, ColumnKind>>
  readonly wanted?: Readonly<Record<string, ColumnKind>>
}

interface ColumnValue {
  string: string
  integer: number
  boolean: boolean
  uuid: Uuid
  optional: string | number | boolean | null
  set: readonly Atom[]
  map: ReadonlyMap<string, string>
}

/** A row of a table as the replica holds it. Rows are never changed: a change makes a new one. */
export type Row<Spec extends TableSpec> = { readonly uuid: Uuid } & {
  readonly [Column in keyof Spec['required']]: ColumnValue[Spec['required'][Column]]
} & {
  readonly [Column in keyof NonNullable<Spec['wanted']>]?: ColumnValue[NonNullable<Spec['wanted']>[Column]]
}

export type TableSpecs = Readonly<Record<string, TableSpec>>

export interface OvsdbTls {
  /** PEM texts. */
  readonly ca: string
  readonly cert: string
  readonly key: string
}

export interface OvsdbOptions<Tables extends TableSpecs> {
  /** Name of the database, such as OVN_Northbound. */
  readonly database: string
  /** unix:PATH, tcp:HOST:PORT or ssl:HOST:PORT; of a cluster all its members. IPv6 hosts in brackets. */
  readonly addresses: readonly string[]
  readonly tables: Tables
  readonly tls?: OvsdbTls
  /** Of a cluster only the leader is used, as whoever writes must. */
  readonly leaderOnly: boolean
  readonly log: { info(fields: object, text: string): void; warn(fields: object, text: string): void }
}

export interface RowChange<Tables extends TableSpecs, Table extends keyof Tables = keyof Tables> {
  readonly table: Table
  readonly uuid: Uuid
  readonly before: Row<Tables[Table]> | null
  readonly after: Row<Tables[Table]> | null
}

/** A column's new value in TypeScript's terms: a set is an array, a map a Map or an object, an empty optional null. */
export type ColumnInput =
  | Atom
  | null
  | readonly (Atom | NamedUuid)[]
  | ReadonlyMap<string, string>
  | Readonly<Record<string, string>>
  | NamedUuid

/** A row that is inserted by the same transaction, by the `uuidName` it was given there. */
export interface NamedUuid {
  readonly named: string
}

/** Which rows: that of a uuid, or all for which each condition holds. */
export type Where =
  | { readonly uuid: Uuid }
  | readonly (readonly [column: string, op: '==' | '!=' | 'includes' | 'excludes', value: ColumnInput])[]

export type Operation =
  | {
      readonly op: 'insert'
      readonly table: string
      readonly row: Readonly<Record<string, ColumnInput>>
      readonly uuidName?: string
      /** The row's uuid, chosen by the client (servers that lack it, OVS before 2.14, refuse). */
      readonly uuid?: Uuid
    }
  | {
      readonly op: 'update'
      readonly table: string
      readonly where: Where
      readonly row: Readonly<Record<string, ColumnInput>>
    }
  | {
      readonly op: 'mutate'
      readonly table: string
      readonly where: Where
      readonly mutations: readonly (readonly [
        column: string,
        mutator: '+=' | '-=' | 'insert' | 'delete',
        value: ColumnInput,
      ])[]
    }
  | { readonly op: 'delete'; readonly table: string; readonly where: Where }
  | {
      /** Fails the transaction where the rows are not (`==`), or are (`!=`), these: a guard against writers that race. */
      readonly op: 'wait'
      readonly table: string
      readonly where: Where
      readonly columns: readonly string[]
      readonly until: '==' | '!='
      readonly rows: readonly Readonly<Record<string, ColumnInput>>[]
    }
  | {
      readonly op: 'select'
      readonly table: string
      readonly where: Where
      readonly columns: readonly string[]
    }
  | { readonly op: 'comment'; readonly comment: string }
  | LockAssertion

/** Fails the transaction with `not owner` where this connection does not hold the lock. */
export interface LockAssertion {
  readonly op: 'assert'
  readonly lock: string
}

export interface OperationResult {
  /** Rows that an update, mutate or delete met. */
  readonly count?: number
  /** Of an insert. */
  readonly uuid?: Uuid
  /** Of a select. */
  readonly rows?: readonly Readonly<Record<string, unknown>>[]
}

/** The database's answer was an error; nothing of the transaction was done. */
export class OvsdbError extends Error {
  /** As RFC 7047 names it: `timed out` (a wait), `constraint violation`, `referential integrity violation`, `not owner`. */
  readonly code: string
  /** Place of the operation that failed; as many as there are where the commit failed. */
  readonly operation: number

  constructor(code: string, details: string, operation: number, options?: ErrorOptions) {
    super(details === '' ? code : `${code}: ${details}`, options)
    this.name = 'OvsdbError'
    this.code = code
    this.operation = operation
  }
}

export interface OvsdbState {
  readonly connected: boolean
  /** The member in use, or the last one tried. */
  readonly address: string
  /** Milliseconds since the epoch of the last change of `connected`. */
  readonly since: number
  /** Why it is not connected, with the cure; '' where it is. */
  readonly problem: string
  /** Of the schema in use. */
  readonly version: string
}

export interface Ovsdb<Tables extends TableSpecs> {
  /** The replica as it is now; while not connected as it was last. */
  rows<Table extends keyof Tables & string>(table: Table): ReadonlyMap<Uuid, Row<Tables[Table]>>
  /** True where the server's schema has this column. */
  has(table: string, column: string): boolean
  /**
   * One transaction. When it resolves the replica has what it did.
   *
   * @throws OvsdbError where the database refused; Refusal `unreachable` where there is no connection, or it broke before the
   *   answer: then it is not known whether it was done, unless the replica shows it after the next connection
   */
  transact(operations: readonly Operation[]): Promise<readonly OperationResult[]>
  /** Calls back after each update with all of its changes; after a reconnection with what differs. @returns the end of it */
  subscribe(listener: (changes: readonly RowChange<Tables>[]) => void): () => void
  /** Calls back when the connection comes or goes. @returns the end of it */
  watchState(listener: (state: OvsdbState) => void): () => void
  readonly state: OvsdbState
  /** Asks for a lock of the database and holds it as long as it can, over reconnections too. Several calls for a name are one. */
  lock(name: string): OvsdbLock
  close(): Promise<void>
}

export interface OvsdbLock {
  readonly held: boolean
  /** Whether the server has said on this connection if it is held. */
  readonly known: boolean
  watch(listener: (held: boolean) => void): () => void
  /** For the head of a transaction: it fails with `not owner` where the lock is not held. */
  readonly assertion: LockAssertion
}
