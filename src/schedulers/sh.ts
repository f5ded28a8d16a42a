import { foldAddress, hash32 } from './hash.ts'
import type { MakeScheduler, Table } from './scheduler.ts'
import { usable } from './usable.ts'

const bits = 8
const slotCount = 1 << bits

/** Walks the list over and over, each destination taking as many slots in a row as its weight, at least one. */
const fillAsKernel = (slots: Uint8Array, table: Table): void => {
  let index = 0
  let taken = 0
  for (let slot = 0; slot < slotCount && table.size > 0; slot++) {
    slots[slot] = index
    if (++taken < table.weight[index]!) continue
    index = (index + 1) % table.size
    taken = 0
  }
}

/** Gives each destination its share of the slots, in list order, to the nearest whole slot. */
const fillByShare = (slots: Uint8Array, table: Table, sum: number): void => {
  let slot = 0
  let taken = 0
  for (let index = 0; index < table.size; index++) {
    taken += table.weight[index]!
    for (const end = Math.round((taken / sum) * slotCount); slot < end; slot++) slots[slot] = index
  }
}

/**
 * Up to a sum of 256 the table is the kernel's. Above it the kernel leaves the last destinations without a slot
 * (100 each: the third gets 56, the fourth none); here each gets its share instead.
 */
const fill = (slots: Uint8Array, table: Table): void => {
  let sum = 0
  for (let index = 0; index < table.size; index++) sum += table.weight[index]!
  if (sum > slotCount && table.size <= slotCount) fillByShare(slots, table, sum)
  else fillAsKernel(slots, table)
}

/** Source hashing over 256 slots filled by weight in force; an unusable slot refuses, or is probed past with fallback. */
export const sh: MakeScheduler = (table, options) => {
  const slots = new Uint8Array(slotCount)
  fill(slots, table)
  return {
    pick(table, { source, sourcePort }) {
      if (table.size === 0) return -1
      const home = hash32(foldAddress(source) + (options.port ? sourcePort : 0), bits)
      const index = slots[home]!
      if (usable(table, index)) return index
      if (!options.fallback) return -1
      // The kernel adds the hash twice, so probing starts at slot 2 x home (ip_vs_sh.c).
      for (let step = 0; step < slotCount; step++) {
        const other = slots[(2 * home + step) % slotCount]!
        if (usable(table, other)) return other
      }
      return -1
    },
    changed: (table) => fill(slots, table),
  }
}
