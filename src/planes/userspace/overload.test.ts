import { describe, expect, it } from 'vitest'
import { overloadedAfterClose, overloadedAfterOpen, overloadedAfterUpdate } from './overload.ts'

describe("IPVS's overload flag", () => {
  it.each([
    { upper: 0, lower: 0, connections: 1000, was: false, open: false, close: false },
    { upper: 4, lower: 0, connections: 3, was: false, open: false, close: false },
    { upper: 4, lower: 0, connections: 4, was: false, open: true, close: false },
    { upper: 4, lower: 0, connections: 3, was: true, open: true, close: true },
    { upper: 4, lower: 0, connections: 2, was: true, open: true, close: false },
    { upper: 100, lower: 0, connections: 75, was: true, open: true, close: true },
    { upper: 100, lower: 0, connections: 74, was: true, open: true, close: false },
    { upper: 4, lower: 2, connections: 2, was: true, open: true, close: true },
    { upper: 4, lower: 2, connections: 1, was: true, open: true, close: false },
    { upper: 0, lower: 0, connections: 5, was: true, open: true, close: false },
  ])(
    'upper $upper, lower $lower, $connections connections, $was',
    ({ upper, lower, connections, was, open, close }) => {
      const thresholds = { upperThreshold: upper, lowerThreshold: lower }
      expect(overloadedAfterOpen(was, thresholds, connections)).toBe(open)
      expect(overloadedAfterClose(was, thresholds, connections)).toBe(close)
    },
  )

  it.each([
    { before: 4, after: 8, stays: false },
    { before: 4, after: 0, stays: false },
    { before: 4, after: 4, stays: true },
    { before: 4, after: 2, stays: true },
  ])('an update of the upper threshold from $before to $after', ({ before, after, stays }) => {
    const of = (upperThreshold: number): { upperThreshold: number; lowerThreshold: number } => ({
      upperThreshold,
      lowerThreshold: 0,
    })
    expect(overloadedAfterUpdate(true, of(before), of(after))).toBe(stays)
    expect(overloadedAfterUpdate(false, of(before), of(after))).toBe(false)
  })
})
