import { describe, expect, it } from 'vitest'
import { backoffMs, longestMs } from './backoff.ts'

describe('the back-off', () => {
  it('doubles up to its limit, its upper half by chance', () => {
    expect([0, 1, 2, 3].map((round) => backoffMs(round, 1))).toEqual([100, 200, 400, 800])
    expect([0, 1, 2, 3].map((round) => backoffMs(round, 0))).toEqual([50, 100, 200, 400])
    expect(backoffMs(2000, 1)).toBe(longestMs)
  })
})
