import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { sqliteCode } from './faults.ts'
import type { Layout } from './layout.ts'
import { StoreRefused } from './store.ts'

const SQLITE_BUSY = 5

/**
 * Takes the directory for this process until the returned function is called or the process dies.
 *
 * Node has no flock; SQLite's lock on a database of its own is an fcntl lock, which the kernel drops with the process.
 *
 * @throws StoreRefused `in-use`, naming the holder's pid
 */
export function lockDirectory(dir: string, layout: Layout): () => void {
  createLock(layout.lock)
  const database = new DatabaseSync(layout.lock, { timeout: 0 })
  try {
    database.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    if (sqliteCode(error) !== SQLITE_BUSY) throw error
    const pid = holderOf(layout)
    const holder = pid === null ? 'another process' : `process ${pid}`
    throw new StoreRefused(
      'in-use',
      `${dir} is in use by ${holder}: stop that one, or choose another directory with --data`,
      {
        cause: error,
      },
    )
  }
  try {
    writeFileSync(layout.holder, `${process.pid}\n`, { mode: 0o600 })
  } catch {
    // The pid only serves the message; a full disk must not keep the store from opening.
  }
  return () => database.close()
}

/** Never opens a file that is there: closing it again would drop the lock that this process may hold on it (fcntl(2)). */
function createLock(file: string): void {
  try {
    closeSync(openSync(file, 'wx', 0o600))
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  }
}

function holderOf(layout: Layout): number | null {
  try {
    const pid = Number(readFileSync(layout.holder, 'utf8'))
    return pid > 0 ? pid : null
  } catch {
    return null
  }
}
