import type { MakeScheduler, Table } from './scheduler.ts'
import { usable } from './usable.ts'

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b))

/**
 * Weighted round robin by passes: every pass takes, in list order, the destinations whose weight reaches the threshold,
 * which falls by the weights' greatest common divisor from pass to pass. Weights 4, 3, 2 give A A B A B C A B C.
 */
export const wrr: MakeScheduler = (table) => {
  let last = -1
  let threshold = 0
  let step = 1
  let highest = 0

  const measure = (table: Table): void => {
    let divisor = 0
    let most = 0
    for (let index = 0; index < table.size; index++) {
      const weight = table.weight[index]!
      if (weight <= 0) continue
      divisor = gcd(weight, divisor)
      if (weight > most) most = weight
    }
    step = divisor === 0 ? 1 : divisor
    // One above a multiple of the step, so that the last pass asks for 1 and finds a weight lowered meanwhile.
    highest = most === 0 ? 0 : most - (step - 1)
  }

  measure(table)
  threshold = highest

  return {
    pick(table) {
      for (let index = last + 1; index < table.size; index++) {
        if (table.weight[index]! < threshold || !usable(table, index)) continue
        last = index
        return index
      }
      const next = threshold > step ? threshold - step : highest
      let heaviest = -1
      let heaviestWeight = 0
      for (let index = 0; index < table.size; index++) {
        if (!usable(table, index)) continue
        const weight = table.weight[index]!
        if (weight >= next) {
          last = index
          threshold = next
          return index
        }
        if (weight > heaviestWeight) {
          heaviest = index
          heaviestWeight = weight
        }
      }
      if (heaviest < 0) return -1
      // The passes in between would take nobody: the heavier ones are all overloaded.
      last = heaviest
      threshold = Math.max(1, heaviestWeight - (step - 1))
      return heaviest
    },
    /** Back to the head of the list; the threshold stays where the new weights have it (ip_vs_wrr.c). */
    changed(table) {
      measure(table)
      last = -1
      if (threshold > highest || threshold === 0) threshold = highest
      else threshold = step > 1 ? threshold - (threshold % step) + 1 : threshold
    },
  }
}
