import { describe, expect, it } from 'vitest'
import { feedbackDefaults } from './controller.ts'
import { feedbackOptions } from './options.ts'

describe("the daemon's options of feedback", () => {
  it('are none unless it is wanted', () => {
    expect(feedbackOptions({})).toBeNull()
    expect(feedbackOptions({ feedback: false, feedback_max_step: 5 })).toBeNull()
  })

  it('have the defaults of the page', () => {
    expect(feedbackOptions({ feedback: true })).toEqual({
      intervalMs: 5000,
      controller: feedbackDefaults,
      writes: false,
    })
  })

  it('are per cent and a time', () => {
    const options = { feedback: true, feedback_interval: '1m', feedback_max_step: 5, feedback_floor: 25 }
    expect(feedbackOptions({ ...options, feedback_etcd: true, etcd: ['h:1'] })).toEqual({
      intervalMs: 60_000,
      controller: { ...feedbackDefaults, maxStep: 0.05, floor: 0.25 },
      writes: true,
    })
  })

  it('need an etcd to write to', () => {
    expect(() => feedbackOptions({ feedback: true, feedback_etcd: true })).toThrow('give it with --etcd')
  })
})
