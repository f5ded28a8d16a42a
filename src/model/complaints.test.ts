import { expect, it } from 'vitest'
import { complaints } from './complaints.ts'

it('says the first of ten seconds, and how many were not said before', () => {
  let time = 0
  const due = complaints(() => time)
  const at = (now: number): number | null => {
    time = now
    return due()
  }
  expect([0, 1, 9999, 10_000, 10_001, 30_000, 40_000].map(at)).toEqual([0, null, null, 2, null, 1, 0])
})
