/**
 * Schedulers: nanoseconds and bytes allocated a pick, in steady state, over 16 and 256 destinations.
 *
 *     node bench/schedulers.ts [picks]
 */
import { getHeapStatistics } from 'node:v8'
import { schedulers } from '../src/schedulers/catalogue.ts'
import type { Pick, Table } from '../src/schedulers/scheduler.ts'

const tableOf = (size: number): Table => ({
  size,
  weight: new Int32Array(size).fill(100),
  maxWeight: new Int32Array(size).fill(100),
  active: Int32Array.from({ length: size }, (_, index) => 1 + (index % 7)),
  inactive: new Int32Array(size),
  overloaded: new Uint8Array(size),
  name: Array.from({ length: size }, (_, index) => `10.0.${index >> 8}.${index & 255}:80`),
})

/** Draws with few bits, so that the numbers themselves cost nothing. */
let state = 1
const random = (): number => {
  state = (Math.imul(state, 1103515245) + 12345) & 0x3fffffff
  return state / 0x40000000
}

const picks = Number(process.argv[2] ?? 1_000_000)

const clients: readonly Pick[] = Array.from({ length: 256 }, (_, index) => ({
  source: Uint8Array.of(10, 0, 0, index),
  sourcePort: 1024 + index,
  destination: Uint8Array.of(192, 0, 2, index),
  destinationPort: 80,
  now: 1234567.5,
  random,
}))

for (const [name, make] of Object.entries(schedulers)) {
  const figures: string[] = []
  for (const size of [16, 256]) {
    const table = tableOf(size)
    const scheduler = make(table, { fallback: true, port: false })
    const run = (count: number): number => {
      let sum = 0
      for (let turn = 0; turn < count; turn++) sum += scheduler.pick(table, clients[turn & 255]!)
      return sum
    }
    run(Math.min(picks, 200_000))
    const allocated = getHeapStatistics().total_allocated_bytes
    const before = performance.now()
    run(picks)
    const time = performance.now() - before
    const bytes = (getHeapStatistics().total_allocated_bytes - allocated) / picks
    figures.push(`${size}: ${((time * 1e6) / picks).toFixed(0)} ns, ${bytes.toFixed(2)} bytes`)
  }
  process.stdout.write(`${name.padEnd(6)}${figures.join('   ')}\n`)
}
