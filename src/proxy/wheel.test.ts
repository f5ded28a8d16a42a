import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Timed, Wheel } from './wheel.ts'

class Entry extends Timed {
  due: number
  endedAt: number | null = null
  readonly wheel: Wheel
  constructor(wheel: Wheel, due: number) {
    super()
    this.wheel = wheel
    this.due = due
  }
  override dueAt(): number {
    return this.due
  }
  override expire(): void {
    this.endedAt = this.wheel.now
  }
}

function started(slots = 16): { wheel: Wheel; time: { now: number } } {
  const time = { now: 5 }
  return { time, wheel: new Wheel({ clock: () => time.now, tickMs: 10, slots }) }
}

describe('Wheel', () => {
  it('ends each entry once, not before it is due and at most two ticks after', () => {
    const delays = fc.array(fc.integer({ min: 0, max: 2000 }), { maxLength: 30 })
    fc.assert(
      fc.property(delays, fc.integer({ min: 2, max: 64 }), (delays, slots) => {
        const { wheel, time } = started(slots)
        const entries = delays.map((delay) => new Entry(wheel, time.now + delay))
        for (const entry of entries) wheel.add(entry)
        for (; time.now < 2100; time.now += 10) wheel.tick()
        wheel.stop()
        expect(wheel.size).toBe(0)
        for (const { due, endedAt } of entries) {
          expect(endedAt).toBeGreaterThanOrEqual(due)
          expect(endedAt).toBeLessThanOrEqual(due + 20)
        }
      }),
    )
  })

  it('asks again where activity moved the due time', () => {
    const { wheel, time } = started()
    const entry = new Entry(wheel, 50)
    wheel.add(entry)
    time.now = 40
    entry.due = 1000
    for (time.now = 40; time.now < 1000; time.now += 10) wheel.tick()
    expect(entry.endedAt).toBe(null)
    time.now = 1020
    wheel.tick()
    expect(entry.endedAt).toBe(1020)
  })

  it('moves an entry that is due sooner, and forgets one that is removed', () => {
    const { wheel, time } = started(512)
    const sooner = new Entry(wheel, 4000)
    const removed = new Entry(wheel, 30)
    wheel.add(sooner)
    wheel.add(removed)
    sooner.due = 30
    wheel.sooner(sooner)
    wheel.remove(removed)
    wheel.remove(removed)
    time.now = 50
    wheel.tick()
    expect(sooner.endedAt).toBe(50)
    expect(removed.endedAt).toBe(null)
    expect(wheel.size).toBe(0)
  })

  it('skips a long sleep of the machine without losing entries', () => {
    const { wheel, time } = started()
    const entries = [20, 155, 700, 100_000].map((due) => new Entry(wheel, due))
    for (const entry of entries) wheel.add(entry)
    time.now = 50_000
    wheel.tick()
    expect(entries.map((entry) => entry.endedAt)).toEqual([50_000, 50_000, 50_000, null])
    expect(wheel.entries()).toEqual([entries[3]])
    wheel.stop()
  })

  it('an entry may end others and add new ones while it ends', () => {
    const { wheel, time } = started()
    const other = new Entry(wheel, 20)
    const next = new Entry(wheel, 40)
    const first = new (class extends Entry {
      override expire(): void {
        super.expire()
        wheel.remove(other)
        wheel.add(next)
      }
    })(wheel, 20)
    wheel.add(other)
    wheel.add(first)
    time.now = 35
    wheel.tick()
    time.now = 60
    wheel.tick()
    expect([first.endedAt, other.endedAt, next.endedAt]).toEqual([35, null, 60])
    expect(wheel.size).toBe(0)
  })
})
