import { linkSync, rmSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { copyDatabase } from './database.ts'
import { isFull } from './faults.ts'
import { layoutOf, syncPath } from './layout.ts'
import { StoreFull } from './store.ts'

/**
 * Writes a consistent copy of a directory's store into a new file, whether or not a process is using it.
 *
 * The file appears complete or not at all, and none is overwritten.
 *
 * @throws StoreFull
 */
export function backupStore(dir: string, file: string): void {
  const target = resolve(file)
  const { database: source } = layoutOf(resolve(dir))
  const part = `${target}.${process.pid}.part`
  try {
    copyDatabase(source, part)
    // Unlike a rename, a link does not replace what is there.
    linkSync(part, target)
    syncPath(dirname(target))
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error)
    if (isFull(error, dirname(target))) {
      throw new StoreFull(
        `the disk of ${target} is full, so no backup was written: make room or choose another place`,
        { cause: error },
      )
    }
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') {
      throw new Error(`${target} exists and is not overwritten: choose another name`, { cause: error })
    }
    throw new Error(`no backup of ${source} was written to ${target}: ${text}`, { cause: error })
  } finally {
    rmSync(part, { force: true })
  }
}
