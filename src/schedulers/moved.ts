import type { Table } from './scheduler.ts'

/** Where each destination of an earlier list is now; -1 for one that is gone. */
export const moved = (before: readonly string[], table: Table): Int32Array => {
  const now = new Map<string, number>()
  for (let index = 0; index < table.size; index++) now.set(table.name[index]!, index)
  return Int32Array.from(before, (name) => now.get(name) ?? -1)
}

/** The names in list order, to be kept until the set changes. */
export const listed = (table: Table): string[] => table.name.slice(0, table.size)
