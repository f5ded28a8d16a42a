import type { Table } from './scheduler.ts'
import { usable } from './usable.ts'

/** What IPVS takes as load: an active connection weighs as much as 256 inactive ones. */
export const overhead = (table: Table, index: number): number =>
  table.active[index]! * 256 + table.inactive[index]!

/**
 * Whether load a over weight b is more than load c over weight d, exactly, for loads below 2^40 and weights below 2^31.
 *
 * Rounding to a double keeps order, so products that differ as doubles are in the right order. Products that do not are
 * at most 2^18 apart, and that distance is exact in 32-bit arithmetic.
 */
export const moreLoaded = (a: number, b: number, c: number, d: number): boolean => {
  const left = a * d
  const right = c * b
  return left === right ? ((Math.imul(a, d) - Math.imul(c, b)) | 0) > 0 : left > right
}

/** The usable destination with the least load for its weight, the first in list order of equals; -1 where none is. */
export const leastLoaded = (table: Table, load: (table: Table, index: number) => number): number => {
  let least = -1
  let leastLoad = 0
  for (let index = 0; index < table.size; index++) {
    if (!usable(table, index)) continue
    const own = load(table, index)
    if (least < 0 || moreLoaded(leastLoad, table.weight[least]!, own, table.weight[index]!)) {
      least = index
      leastLoad = own
    }
  }
  return least
}
