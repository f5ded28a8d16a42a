import { moreLoaded, overhead } from './load.ts'
import type { MakeScheduler, Table } from './scheduler.ts'
import { usable } from './usable.ts'

/** The destination under a point on the line of all usable weights laid end to end. */
const at = (table: Table, point: number): number => {
  let left = point
  for (let index = 0; index < table.size; index++) {
    if (!usable(table, index)) continue
    left -= table.weight[index]!
    if (left < 0) return index
  }
  return -1
}

/**
 * Power of two choices: two random draws in proportion to weight, the less loaded of them for its weight is taken.
 *
 * A draw is from [0, sum of weights); the kernel's reaches the sum itself, which gives the head of its list one part more.
 */
export const twos: MakeScheduler = () => ({
  pick(table, { random }) {
    let total = 0
    for (let index = 0; index < table.size; index++) if (usable(table, index)) total += table.weight[index]!
    if (total === 0) return -1
    const first = at(table, Math.floor(random() * total))
    const second = at(table, Math.floor(random() * total))
    return moreLoaded(
      overhead(table, first),
      table.weight[first]!,
      overhead(table, second),
      table.weight[second]!,
    )
      ? second
      : first
  },
  changed() {},
})
