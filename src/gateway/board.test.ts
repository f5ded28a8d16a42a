import { describe, expect, it } from 'vitest'
import { Board } from './board.ts'

const epoch = 1_800_000_000_000
const board = (): Board => new Board({ upstreams: 4, functions: 2, members: 4 }, epoch)

describe('ejection', () => {
  it('lasts twice as long each time, up to the most, and is not begun twice', () => {
    const all = board()
    let now = epoch + 5000
    const lengths: number[] = []
    for (let time = 0; time < 5; time++) {
      lengths.push(all.eject(1, now, 1000, 6000))
      expect(all.eject(1, now, 1000, 6000)).toBe(0)
      expect(all.isEjected(1, now)).toBe(true)
      now += lengths[time] ?? 0
      // Time is told in tenths of a second.
      expect(all.isEjected(1, now - 200)).toBe(true)
      expect(all.isEjected(1, now + 100)).toBe(false)
      now += 100
    }
    expect(lengths).toEqual([1000, 2000, 4000, 6000, 6000])
    expect([0, 2, 3].some((other) => all.isEjected(other, now))).toBe(false)
  })

  it('may be longer than the board can tell', () => {
    const all = board()
    const years = 11 * 365 * 86_400_000
    expect(all.eject(1, epoch, years, 2 * years)).toBe(years)
    expect(all.isEjected(1, epoch + 86_400_000)).toBe(true)
  })

  it('ends with a success, and begins anew with the shortest', () => {
    const all = board()
    all.failed(0)
    all.eject(0, epoch, 1000, 60_000)
    all.eject(0, epoch + 1100, 1000, 60_000)
    all.succeeded(0)
    expect(all.isEjected(0, epoch + 1200)).toBe(false)
    expect(all.failed(0)).toBe(1)
    expect(all.eject(0, epoch + 1200, 1000, 60_000)).toBe(1000)
  })

  it('counts failures in a row', () => {
    const all = board()
    expect([all.failed(2), all.failed(2), all.failed(2)]).toEqual([1, 2, 3])
    all.succeeded(2)
    expect(all.failed(2)).toBe(1)
  })

  it('is forgotten with the instance of a number', () => {
    const all = board()
    all.failed(3)
    all.eject(3, epoch, 1000, 1000)
    all.acquire(3, 0)
    all.resetUpstream(3)
    expect([all.isEjected(3, epoch), all.active(3), all.failed(3)]).toEqual([false, 0, 1])
  })
})

describe('places', () => {
  it('are given up to the limit, and again when they come back', () => {
    const all = board()
    expect([all.acquire(0, 2), all.acquire(0, 2), all.acquire(0, 2)]).toEqual([true, true, false])
    expect(all.active(0)).toBe(2)
    all.release(0)
    expect([all.acquire(0, 2), all.active(0)]).toEqual([true, 2])
    expect(all.acquire(1, 0)).toBe(true)
  })

  it('in a queue are given up to its length', () => {
    const all = board()
    expect([all.enqueue(1, 1), all.enqueue(1, 1), all.waiting(1)]).toEqual([true, false, 1])
    all.dequeue(1)
    expect([all.waiting(1), all.enqueue(1, 1), all.enqueue(0, 0)]).toEqual([0, true, false])
  })
})

it('gives each turn of a period once, also to boards on the same memory', () => {
  const size = { upstreams: 1, functions: 1, members: 1 }
  const one = new Board(size, epoch)
  const other = new Board(size, epoch, one.memory)
  const turns = Array.from({ length: 6 }, (_, index) => (index % 2 === 0 ? one : other).turn(2, 3))
  expect(turns).toEqual([0, 1, 2, 0, 1, 2])
  one.turn(2, 3)
  other.resetPosition(2)
  expect(one.turn(2, 3)).toBe(0)
})
