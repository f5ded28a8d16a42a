import { foldAddress, hash32 } from './hash.ts'
import type { MakeScheduler, Table } from './scheduler.ts'
import { usable } from './usable.ts'

const bits = 8
const slotCount = 1 << bits

/** Destinations take slots in turn; weights do not count here (ip_vs_dh.c). */
const fill = (slots: Uint8Array, table: Table): void => {
  for (let slot = 0; slot < slotCount && table.size > 0; slot++) slots[slot] = slot % table.size
}

/** Destination hashing over 256 slots; an unusable slot refuses. It has no flags, in the kernel neither. */
export const dh: MakeScheduler = (table) => {
  const slots = new Uint8Array(slotCount)
  fill(slots, table)
  return {
    pick(table, { destination }) {
      if (table.size === 0) return -1
      const index = slots[hash32(foldAddress(destination), bits)]!
      return usable(table, index) ? index : -1
    },
    changed(table, kind) {
      if (kind === 'set') fill(slots, table)
    },
  }
}
