import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'

// Result codes of sqlite3.h that can be a full disk.
const SQLITE_IOERR = 10
const SQLITE_FULL = 13
const SQLITE_CANTOPEN = 14

/** The primary result code (sqlite3.h) of an error of node:sqlite, or null. */
export function sqliteCode(error: unknown): number | null {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return null
  return error.errcode & 0xff
}

/** Whether an error means that the disk of `dir` has no room: ENOSPC or EDQUOT, in SQLite's words or the system's. */
export function isFull(error: unknown, dir: string): boolean {
  const code = sqliteCode(error)
  if (code === SQLITE_FULL) return true
  // SQLite reports a quota, and a shared index that cannot grow, as an I/O error: ask the disk itself.
  if (code === SQLITE_IOERR || code === SQLITE_CANTOPEN) return !hasRoom(dir)
  return isNoSpace(error)
}

function isNoSpace(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT')
}

function hasRoom(dir: string): boolean {
  const probe = join(dir, 'room')
  try {
    const fd = openSync(probe, 'w', 0o600)
    try {
      // As much as SQLite's shared index grows by at a time.
      const block = Buffer.alloc(32_768)
      return writeSync(fd, block) === block.length
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    return !isNoSpace(error)
  } finally {
    rmSync(probe, { force: true })
  }
}
