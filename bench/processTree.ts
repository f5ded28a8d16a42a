import { readFileSync, readdirSync } from 'node:fs'

/** Fields of /proc/PID/stat by their numbers in proc(5); null where the process is gone. */
function statOf(pid: number): ((number: number) => number) | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name in parentheses may hold blanks; what follows begins with field 3.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (number) => Number(fields[number - 3])
  } catch {
    return null
  }
}

/** A process and all its descendants. */
function processTree(root: number): number[] {
  const parents = new Map<number, number>()
  for (const name of readdirSync('/proc')) {
    const field = /^\d+$/.test(name) ? statOf(Number(name)) : null
    if (field !== null) parents.set(Number(name), field(4))
  }
  const tree = new Set([root])
  for (let known = 0; known < tree.size;) {
    known = tree.size
    for (const [pid, parent] of parents) if (tree.has(parent)) tree.add(pid)
  }
  return [...tree]
}

/** CPU seconds, user and system, of a process tree: threads (io_uring's too) and ended children included. */
export function treeCpuSeconds(root: number): number {
  let ticks = 0
  for (const pid of processTree(root)) {
    const field = statOf(pid)
    // utime, stime, cutime, cstime in USER_HZ, which is 100 to user space.
    if (field !== null) ticks += field(14) + field(15) + field(16) + field(17)
  }
  return ticks / 100
}

/** Resident memory of a process tree, by page tables and not by the kernel's rounded counters. */
export function treeResidentBytes(root: number): number {
  let kilobytes = 0
  for (const pid of processTree(root)) {
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
    kilobytes += Number(/^Rss:\s+(\d+) kB/m.exec(rollup)?.[1])
  }
  return kilobytes * 1024
}
