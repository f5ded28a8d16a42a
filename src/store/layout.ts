import { closeSync, fsyncSync, openSync } from 'node:fs'
import { join } from 'node:path'

/** The files of a store's directory. */
export interface Layout {
  readonly database: string
  /** SQLite's write-ahead log beside it. */
  readonly log: string
  readonly sharedIndex: string
  /** An empty database that is only ever locked. */
  readonly lock: string
  readonly holder: string
  /** A new database before it is complete. */
  readonly fresh: string
  /** The database that a restore is about to put in place. */
  readonly restored: string
}

export function layoutOf(dir: string): Layout {
  const database = join(dir, 'store.db')
  return {
    database,
    log: `${database}-wal`,
    sharedIndex: `${database}-shm`,
    lock: join(dir, 'lock'),
    holder: join(dir, 'lock.pid'),
    fresh: `${database}.new`,
    restored: `${database}.restored`,
  }
}

/** Makes a file's content, or a directory's entries, durable. */
export function syncPath(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
