import type { Table } from './scheduler.ts'

/** Whether a destination may take a new connection: some weight, and neither over its limit nor tried already. */
export const usable = (table: Table, index: number): boolean =>
  table.weight[index]! > 0 && table.overloaded[index] === 0
