import { fnvBasis, hashText } from './hash.ts'
import type { Table } from './scheduler.ts'

/** Slots of a Maglev table, each the index of a destination. */
export type Lookup = Uint8Array | Uint16Array | Uint32Array

/**
 * Prime table sizes: at least 100 slots a destination keep shares within 1 % of each other (NSDI '16, 3.4 and 5.3).
 *
 * Few sizes, because a change of size moves most clients: it happens at 41 and at 656 destinations. 4093 is the kernel's
 * default and one page here, so ten thousand small services cost 40 MB; the paper's 65537 would cost 640 MB.
 */
const tableSize = (destinations: number): number =>
  destinations <= 40 ? 4093 : destinations <= 655 ? 65537 : 655373

/** Any other start of the hash than FNV's makes the second hash of a name. */
const skipBasis = ~fnvBasis

/** Smallest unsigned array that holds indices below `size`. */
const emptyLookup = (slots: number, size: number): Lookup =>
  size <= 1 << 8 ? new Uint8Array(slots) : size <= 1 << 16 ? new Uint16Array(slots) : new Uint32Array(slots)

/**
 * Maglev's population (NSDI '16, section 3.4) over all destinations with a configured weight, in order of their names.
 *
 * Each walks its own permutation of the slots and takes the next free one when it has its turn. Turns come in proportion
 * to weight, one a round on average and at least one. Empty where nobody has weight.
 */
export const buildMaglev = (table: Table): Lookup => {
  const members: number[] = []
  let total = 0
  for (let index = 0; index < table.size; index++) {
    if (table.maxWeight[index]! <= 0) continue
    members.push(index)
    total += table.maxWeight[index]!
  }
  const count = members.length
  if (count === 0) return new Uint8Array(0)
  members.sort((a, b) => (table.name[a]! < table.name[b]! ? -1 : 1))

  const slots = tableSize(count)
  const next = new Int32Array(count)
  const skip = new Int32Array(count)
  const gain = new Float64Array(count)
  const credit = new Float64Array(count)
  for (let member = 0; member < count; member++) {
    const index = members[member]!
    next[member] = hashText(table.name[index]!, fnvBasis) % slots
    skip[member] = (hashText(table.name[index]!, skipBasis) % (slots - 1)) + 1
    gain[member] = table.maxWeight[index]! * count
    credit[member] = Math.max(0, total - gain[member]!)
  }

  const owner = new Int32Array(slots).fill(-1)
  for (let filled = 0; filled < slots;) {
    for (let member = 0; member < count && filled < slots; member++) {
      let due = credit[member]! + gain[member]!
      const stride = skip[member]!
      let slot = next[member]!
      for (; due >= total && filled < slots; due -= total, filled++) {
        while (owner[slot]! >= 0) {
          slot += stride
          if (slot >= slots) slot -= slots
        }
        owner[slot] = members[member]!
      }
      next[member] = slot
      credit[member] = due
    }
  }
  const lookup = emptyLookup(slots, table.size)
  lookup.set(owner)
  return lookup
}
