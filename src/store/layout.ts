import { closeSync, existsSync, fsyncSync, mkdirSync, openSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

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

/**
 * Makes a directory and those above it, for this user alone. mkdirSync({recursive}) never returns where the kernel
 * answers ENOENT although the directory above is there, as in /proc.
 *
 * @returns the first that was made; undefined: all were there
 */
export function makeDirectory(dir: string): string | undefined {
  const missing: string[] = []
  for (let place = resolve(dir); !existsSync(place); place = dirname(place)) missing.unshift(place)
  for (const place of missing) {
    try {
      mkdirSync(place, { mode: 0o700 })
    } catch (error) {
      // Somebody else was faster.
      if (!existsSync(place)) throw error
    }
  }
  return missing[0]
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
