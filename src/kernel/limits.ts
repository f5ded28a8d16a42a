import { readFileSync } from 'node:fs'

/** What is assumed where the limit cannot be read, as on macOS: its usual soft limit. */
const unknownLimit = 256

/** How many files this process may have open: the soft RLIMIT_NOFILE out of /proc/self/limits (proc(5)). */
export function openFileLimit(limits: string = readLimits()): number {
  const soft = /^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1]
  if (soft === undefined) return unknownLimit
  return soft === 'unlimited' ? 2 ** 20 : Number(soft)
}

function readLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'utf8')
  } catch {
    return ''
  }
}
