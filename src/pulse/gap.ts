import type { Pace, Schedule } from './check.ts'

export type Timing = Pick<Schedule, 'intervalMs' | 'fastIntervalMs' | 'backoffMs'>

export interface Course {
  readonly timing: Timing
  readonly pace: Pace
  /** Failures since it is Down. */
  readonly failures: number
  /** Set until the first gap at the normal pace. */
  scatter: boolean
}

/** ±10 %: what went down together is not checked together for ever. */
const jitter = 0.1

/** Milliseconds from the end of one check to the start of the next. */
export function gap(course: Course, random: () => number): number {
  const { intervalMs, backoffMs } = course.timing
  const fast = Math.min(course.timing.fastIntervalMs, intervalMs)
  switch (course.pace) {
    case 'normal':
      if (!course.scatter) return intervalMs
      course.scatter = false
      return random() * intervalMs
    case 'recovering':
      return fast
    case 'down':
      if (backoffMs <= fast) return fast
      return Math.min(fast * 2 ** course.failures, backoffMs) * (1 - jitter + 2 * jitter * random())
    default:
      return course.pace satisfies never
  }
}
