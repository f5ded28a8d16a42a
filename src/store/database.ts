import { existsSync, openSync, closeSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { crc32 } from 'node:zlib'
import manifest from '../../package.json' with { type: 'json' }
import { isFull, sqliteCode } from './faults.ts'
import { syncPath, type Layout } from './layout.ts'
import { StoreRefused, type Row } from './store.ts'
import { damagedAt } from './wal.ts'

/** Grows when an older Torb could not read what this one writes. */
export const format = 1
/** "Torb" in ASCII, in SQLite's field for the owner of a file. */
const applicationId = 0x546f7262
const pageSize = 4096

const tables = {
  meta: 'CREATE TABLE meta(name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID',
  // SQLite has no checksum on its pages: `sum` is what finds a flipped byte in a value.
  entry:
    'CREATE TABLE entry(bucket TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, sum INTEGER NOT NULL, ' +
    'PRIMARY KEY(bucket, key)) STRICT, WITHOUT ROWID',
}

/** CRC-32 of a row, so that none is read back other than it was written. */
const rowSum = (bucket: string, key: string, value: string): number => crc32(`${bucket}\0${key}\0${value}`)

/** A new empty database, in place only when it is complete. */
export function createDatabase(layout: Layout): void {
  removeDatabase(layout.fresh)
  closeSync(openSync(layout.fresh, 'wx', 0o600))
  const database = new DatabaseSync(layout.fresh)
  try {
    database.exec(`PRAGMA page_size=${pageSize}; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL`)
    database.exec(`BEGIN; ${tables.meta}; ${tables.entry}; PRAGMA application_id=${applicationId}`)
    const put = database.prepare('INSERT INTO meta VALUES (?, ?)')
    put.run('format', String(format))
    put.run('written_by', manifest.version)
    database.exec('COMMIT')
  } finally {
    database.close()
  }
  syncPath(layout.fresh)
  renameSync(layout.fresh, layout.database)
  syncPath(dirname(layout.database))
}

export function removeDatabase(file: string): void {
  for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(`${file}${suffix}`, { force: true })
}

/**
 * Reads the whole database and its log, without changing a byte of them, and refuses what is not as it was written.
 *
 * @param cure what the operator can do about a damaged file
 * @throws StoreRefused `damaged`, `newer` or `unusable`
 */
export function verifyDatabase(file: string, cure: string): void {
  const damaged = (cause: string, options?: ErrorOptions): StoreRefused =>
    new StoreRefused('damaged', `${file} is damaged (${cause}); nothing of it was changed: ${cure}`, options)
  try {
    if (statSync(file).size === 0) throw damaged('it is empty')
    const log = `${file}-wal`
    const at = existsSync(log) ? damagedAt(readFileSync(log), pageSize) : null
    if (at !== null) throw damaged(`its log ${log} does not verify at byte ${at}`)
    // A connection that only reads does not move the log into the database when it closes.
    const database = new DatabaseSync(file, { readOnly: true })
    try {
      const fault = faultOf(database, file)
      if (fault instanceof StoreRefused) throw fault
      if (fault !== null) throw damaged(fault)
    } finally {
      database.close()
    }
  } catch (error) {
    if (error instanceof StoreRefused) throw error
    const text = error instanceof Error ? error.message : String(error)
    if (isFull(error, dirname(file))) {
      throw new StoreRefused('unusable', `${file} cannot be opened (${text}): the disk is full, make room`, {
        cause: error,
      })
    }
    if (sqliteCode(error) === null || isDenied(error)) {
      throw new StoreRefused(
        'unusable',
        `${file} cannot be read (${text}): check that this user may read and write it`,
        {
          cause: error,
        },
      )
    }
    throw damaged(text, { cause: error })
  }
}

const SQLITE_PERM = 3
const SQLITE_READONLY = 8
const SQLITE_IOERR = 10
const SQLITE_CANTOPEN = 14

function isDenied(error: unknown): boolean {
  return [SQLITE_PERM, SQLITE_READONLY, SQLITE_CANTOPEN].includes(sqliteCode(error) ?? 0)
}

/** What is wrong with an open database, or null. */
function faultOf(database: DatabaseSync, file: string): StoreRefused | string | null {
  if (database.prepare('PRAGMA application_id').get()?.['application_id'] !== applicationId)
    return 'it is not a store of Torb'
  const meta = new Map(
    database
      .prepare('SELECT name, value FROM meta')
      .all()
      .map((row) => [String(row['name']), String(row['value'])]),
  )
  const found = Number(meta.get('format'))
  if (found > format) {
    const writer = meta.get('written_by') ?? '(unknown)'
    const text = `${file} was written by Torb ${writer} in format ${found}, this is Torb ${manifest.version} with format ${format}`
    return new StoreRefused('newer', `${text}: upgrade Torb to ${writer} or later`)
  }
  if (found !== format) return `its format is "${meta.get('format') ?? ''}"`
  const schema = database.prepare('SELECT name, sql FROM sqlite_schema ORDER BY name').all()
  if (schema.length !== 2 || schema[0]?.['sql'] !== tables.entry || schema[1]?.['sql'] !== tables.meta)
    return 'its tables are others'
  const check = String(database.prepare('PRAGMA quick_check(1)').get()?.['quick_check'])
  if (check !== 'ok') return check.replaceAll('\n', ' ')
  const rows = database.prepare('SELECT bucket, key, value, sum FROM entry')
  rows.setReturnArrays(true)
  for (const row of rows.iterate()) {
    const [bucket, key, value, sum] = row as unknown as [string, string, string, number]
    if (rowSum(bucket, key, value) !== sum)
      return `row ${JSON.stringify(key)} of ${bucket} is not as it was written`
  }
  return null
}

/**
 * Copies a database, in use or not, into a new file: one consistent state, its log included, durable.
 *
 * @param into must not exist
 */
export function copyDatabase(file: string, into: string): void {
  closeSync(openSync(into, 'wx', 0o600))
  const database = new DatabaseSync(file, { readOnly: true, timeout: 5000 })
  try {
    database.prepare('VACUUM INTO ?').run(into)
  } finally {
    database.close()
  }
  syncPath(into)
}

/** The open database of the process that holds the lock. */
export class Database {
  readonly #database: DatabaseSync
  readonly #put
  readonly #delete
  readonly #select
  readonly #dir: string
  #failure: Error | null = null

  constructor(layout: Layout) {
    this.#dir = dirname(layout.database)
    this.#database = new DatabaseSync(layout.database, { timeout: 5000 })
    // The log is moved into the database each 1000 pages (4 MB); after one large transaction it shrinks again.
    this.#database.exec(
      'PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=1000; PRAGMA journal_size_limit=8388608',
    )
    this.#put = this.#database.prepare('INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?)')
    this.#delete = this.#database.prepare('DELETE FROM entry WHERE bucket = ? AND key = ?')
    this.#select = this.#database.prepare('SELECT key, value FROM entry WHERE bucket = ? ORDER BY key')
    this.#select.setReturnArrays(true)
  }

  /** Notes this version as the last to write; not worth a refusal on a full disk. */
  sign(): void {
    this.#database
      .prepare("UPDATE meta SET value = ?1 WHERE name = 'written_by' AND value <> ?1")
      .run(manifest.version)
  }

  rows(bucket: string): Iterable<readonly [key: string, value: string]> {
    return this.#select.iterate(bucket) as unknown as Iterable<readonly [string, string]>
  }

  /** All rows in one durable transaction, or none. */
  commit(rows: Iterable<Row>): void {
    if (this.#failure !== null) throw this.#failure
    this.#database.exec('BEGIN IMMEDIATE')
    try {
      for (const { bucket, key, value } of rows) {
        if (value === null) this.#delete.run(bucket, key)
        else this.#put.run(bucket, key, value, rowSum(bucket, key, value))
      }
      this.#database.exec('COMMIT')
    } catch (error) {
      // On some errors SQLite has rolled back by itself.
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      // After a failed fsync nobody knows what is on the disk, and the next fsync may claim success.
      if (sqliteCode(error) === SQLITE_IOERR && !isFull(error, this.#dir)) this.#failure = error as Error
      throw error
    }
  }

  close(): void {
    this.#database.close()
  }
}
