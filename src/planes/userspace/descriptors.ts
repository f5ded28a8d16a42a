import { readFileSync } from 'node:fs'

/** What a process may open where its limit cannot be read: the usual soft limit outside Linux. */
const unknownLimit = 256

/** How many file descriptors this process may have open (RLIMIT_NOFILE; proc(5), /proc/pid/limits). */
export function descriptorLimit(): number {
  try {
    const soft = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
    if (soft === 'unlimited') return 2 ** 20
    return soft === undefined ? unknownLimit : Number(soft)
  } catch {
    return unknownLimit
  }
}

/** A number of places; whoever gets none does without. */
export class Places {
  readonly limit: number
  used = 0

  constructor(limit: number) {
    this.limit = limit
  }

  take(count: number): boolean {
    if (this.used + count > this.limit) return false
    this.used += count
    return true
  }

  give(count: number): void {
    this.used -= count
  }
}
