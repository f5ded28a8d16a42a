/**
 * Maglev: time to build a table of 65537 slots over 100 backends, its spread, and what a removal moves.
 *
 *     node bench/maglev.ts [rounds]
 */
import { buildMaglev, type Lookup } from '../src/schedulers/maglev.ts'
import type { Table } from '../src/schedulers/scheduler.ts'

const table = (names: string[], weight: (index: number) => number): Table => {
  const weights = Int32Array.from(names, (_, index) => weight(index))
  return {
    size: names.length,
    weight: weights,
    maxWeight: weights,
    active: new Int32Array(names.length),
    inactive: new Int32Array(names.length),
    overloaded: new Uint8Array(names.length),
    name: names,
  }
}

const counts = (lookup: Lookup, size: number): number[] => {
  const found = Array.from({ length: size }, () => 0)
  for (const index of lookup) found[index]!++
  return found
}

const names = Array.from({ length: 100 }, (_, index) => `10.0.${index >> 6}.${index & 63}:80`)
const rounds = Number(process.argv[2] ?? 10)

for (const [kind, weight] of [
  ['equal weights', () => 100],
  ['weights 1 to 100', (index: number) => index + 1],
  ['one of 65535 and 99 of 1', (index: number) => (index === 0 ? 65535 : 1)],
] as const) {
  const full = table(names, weight)
  const times: number[] = []
  for (let round = 0; round < rounds; round++) {
    const before = performance.now()
    buildMaglev(full)
    times.push(performance.now() - before)
  }
  const sorted = times.toSorted((a, b) => a - b)
  process.stdout.write(
    `${kind}: build first ${times[0]!.toFixed(2)} ms, median ${sorted[rounds >> 1]!.toFixed(2)} ms, ` +
      `worst ${sorted.at(-1)!.toFixed(2)} ms of ${rounds}\n`,
  )
}

const lookup = buildMaglev(table(names, () => 100))
const shares = counts(lookup, names.length)
const most = Math.max(...shares)
const least = Math.min(...shares)
process.stdout.write(
  `spread: ${lookup.length} slots, ${least} to ${most} a backend, max/min ${(most / least).toFixed(4)}\n`,
)

let worst = 0
let sum = 0
for (let removed = 0; removed < names.length; removed++) {
  const rest = names.filter((_, index) => index !== removed)
  const after = buildMaglev(table(rest, () => 100))
  let moved = 0
  for (let slot = 0; slot < lookup.length; slot++) {
    const owner = lookup[slot]!
    if (owner !== removed && names[owner] !== rest[after[slot]!]) moved++
  }
  worst = Math.max(worst, moved / (lookup.length - shares[removed]!))
  sum += moved / (lookup.length - shares[removed]!)
}
process.stdout.write(
  `removal of one of ${names.length}: of the other backends' slots ${((100 * sum) / names.length).toFixed(2)} % move ` +
    `on average, ${(100 * worst).toFixed(2)} % at worst\n`,
)
