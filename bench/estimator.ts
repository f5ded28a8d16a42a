/**
 * What the rates of the userspace plane cost, every two seconds: over backends at rest, and over so many with traffic.
 *
 *     node bench/estimator.ts
 */
import { Estimator } from '../src/planes/userspace/estimator.ts'
import { Tally } from '../src/planes/userspace/tally.ts'

const rounds = 21

for (const count of [1000, 10_000]) {
  let now = 0
  const estimator = new Estimator(() => now)
  const tallies = Array.from({ length: count }, () => new Tally())
  for (const tally of tallies) {
    tally.watchedBy(estimator)
    tally.active++
  }
  const times = Array.from({ length: rounds }, () => {
    for (const tally of tallies) {
      tally.received(100)
      tally.returned(1000)
    }
    now += 2000
    const start = performance.now()
    estimator.tick()
    return performance.now() - start
  })
  const median = times.toSorted((a, b) => a - b)[rounds >> 1] ?? 0
  console.log(`${count} backends with traffic: ${median.toFixed(2)} ms an estimate`)
  for (const tally of tallies) tally.active--
  // Long enough that nothing is left of the rates.
  now += 1_000_000
  estimator.tick()
  console.log(`${count} backends at rest: ${estimator.size} looked at`)
}
