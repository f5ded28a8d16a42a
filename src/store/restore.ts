import { existsSync, renameSync, rmSync } from 'node:fs'
import { resolve } from 'node:path'
import { copyDatabase, removeDatabase, verifyDatabase } from './database.ts'
import { isFull } from './faults.ts'
import { layoutOf, makeDirectory, syncPath, type Layout } from './layout.ts'
import { lockDirectory } from './lock.ts'
import { StoreFull } from './store.ts'

/**
 * Puts a backup in the place of a directory's store. The old database is kept beside it under a name with the date.
 *
 * @returns the name of the old database, or null where there was none
 * @throws StoreRefused: the backup is damaged or newer, or the directory is in use (names the pid); StoreFull
 */
export function restoreStore(
  dir: string,
  backupFile: string,
  now: Date = new Date(),
): { kept: string | null } {
  const backup = resolve(backupFile)
  verifyDatabase(backup, 'choose another backup')
  const place = resolve(dir)
  const layout = layoutOf(place)
  makeDirectory(place)
  const unlock = lockDirectory(place, layout)
  try {
    copyInto(backup, place, layout)
    // Until the last rename the directory holds `restored` and no database, which opening refuses: never an empty store.
    const kept = keepOld(place, layout, now)
    renameSync(layout.restored, layout.database)
    syncPath(place)
    return { kept }
  } finally {
    unlock()
  }
}

function copyInto(backup: string, place: string, layout: Layout): void {
  try {
    removeDatabase(layout.restored)
    copyDatabase(backup, layout.restored)
    verifyDatabase(layout.restored, 'run the restore again')
    syncPath(place)
  } catch (error) {
    removeDatabase(layout.restored)
    if (!isFull(error, place)) throw error
    throw new StoreFull(`the disk of ${place} is full, so nothing was restored: make room and try again`, {
      cause: error,
    })
  }
}

/** The log goes along under the name by which SQLite looks for it. */
function keepOld(place: string, layout: Layout, now: Date): string | null {
  const kept = `${layout.database}.before-restore-${now.toISOString().replaceAll(':', '')}`
  const had = existsSync(layout.database)
  if (had) renameSync(layout.database, kept)
  syncPath(place)
  if (existsSync(layout.log)) renameSync(layout.log, `${kept}-wal`)
  rmSync(layout.sharedIndex, { force: true })
  syncPath(place)
  return had ? kept : null
}
