import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { createDatabase, Database, verifyDatabase } from './database.ts'
import { isFull } from './faults.ts'
import { layoutOf, makeDirectory, syncPath, type Layout } from './layout.ts'
import { lockDirectory } from './lock.ts'
import { StoreRefused } from './store.ts'

export interface Opened {
  readonly database: Database
  /** Gives the directory free for others. */
  readonly unlock: () => void
}

/**
 * Takes a directory for this process and opens its database, new where there is none.
 *
 * @throws StoreRefused; nothing of a database that is there was changed then
 */
export function openDirectory(dir: string): Opened {
  try {
    return open(dir, layoutOf(dir))
  } catch (error) {
    if (error instanceof StoreRefused) throw error
    const text = error instanceof Error ? error.message : String(error)
    const cure = isFull(error, dir)
      ? 'the disk is full, make room'
      : 'choose a directory that this user may write with --data'
    throw new StoreRefused('unusable', `the store in ${dir} cannot be opened (${text}): ${cure}`, {
      cause: error,
    })
  }
}

function open(dir: string, layout: Layout): Opened {
  const made = makeDirectory(dir)
  if (made !== undefined) syncPath(dirname(made))
  const unlock = lockDirectory(dir, layout)
  try {
    if (existsSync(layout.database)) {
      verifyDatabase(
        layout.database,
        `put a backup in its place with "torb restore", or move ${dir} away to start empty`,
      )
    } else {
      refuseRemains(layout)
      createDatabase(layout)
    }
    const database = new Database(layout)
    try {
      database.sign()
    } catch (error) {
      if (!isFull(error, dir)) throw error
    }
    return { database, unlock }
  } catch (error) {
    unlock()
    throw error
  }
}

/** A directory whose database is missing although it had one is not a new directory. */
function refuseRemains(layout: Layout): void {
  if (existsSync(layout.restored)) {
    const text = `${layout.database} is missing because a restore was interrupted: run "torb restore" again`
    throw new StoreRefused('damaged', text)
  }
  if (existsSync(layout.log)) {
    const text = `${layout.database} is missing but its log ${layout.log} is there: put the file back, or use "torb restore"`
    throw new StoreRefused('damaged', text)
  }
}
