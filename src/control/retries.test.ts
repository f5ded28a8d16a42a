import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { Retries } from './retries.ts'
import { DesiredState } from './state.ts'

beforeEach(() => void vi.useFakeTimers({ now: 0 }))
afterEach(() => void vi.useRealTimers())

it('each service has its own back-off, however long another one waits', () => {
  const desired = new DesiredState()
  const touched: [string, number][] = []
  const [old, fresh] = [desired.put('old', null), desired.put('fresh', null)]
  const retries: Retries = new Retries({
    desired,
    now: Date.now,
    touch: (state) => {
      touched.push([state.id, Date.now() / 1000])
      retries.later(state, 'refused')
    },
  })
  old.attempts = 10
  retries.later(old, 'refused')
  retries.later(fresh, 'refused')
  vi.advanceTimersByTime(50_000)
  expect(touched).toEqual([
    ['fresh', 1],
    ['fresh', 3],
    ['fresh', 7],
    ['old', 15],
    ['fresh', 15],
    ['old', 30],
    ['fresh', 30],
    ['old', 45],
    ['fresh', 45],
  ])
  retries.close()
  vi.advanceTimersByTime(1_000_000)
  expect(touched.length).toBe(9)
})

it('who cannot be asked is asked every few seconds', () => {
  const desired = new DesiredState()
  const touched: number[] = []
  const retries: Retries = new Retries({
    desired,
    now: Date.now,
    touch: (state) => {
      touched.push(Date.now() / 1000)
      retries.later(state, 'unreachable')
    },
  })
  retries.later(desired.put('web', null), 'unreachable')
  vi.advanceTimersByTime(23_000)
  expect(touched).toEqual([1, 3, 7, 12, 17, 22])
  retries.close()
})
