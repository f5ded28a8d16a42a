import { expect, it } from 'vitest'
import { connectBounds } from '../plane.ts'
import { Tally } from './tally.ts'

it('counts connect times up to and including a bound; slower ones only in count', () => {
  const tally = new Tally()
  expect(tally.counters().connect).toBe(undefined)
  for (const time of [1, 100, 100.5, 1_000_000, 1_000_001]) tally.connectedIn(time)
  const buckets = connectBounds.map((bound) =>
    bound === 100 ? 2 : bound === 250 || bound === 1_000_000 ? 1 : 0,
  )
  expect(tally.counters().connect).toEqual({ count: 5, sum: 2_000_202.5, buckets })
})
