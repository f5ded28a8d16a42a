import { describe, expect, it } from 'vitest'
import { OwnCounts, Waiting, type Line } from './waiting.ts'

const lineOf = (number: number, ...upstreams: number[]): Line => ({
  number,
  exchanges: new Set(),
  upstreams: new Set(upstreams),
})

describe('those who wait', () => {
  it('are called one after the other, also where each is served at once', () => {
    const count = 100_000
    const served: number[] = []
    const line = lineOf(0, 0)
    const waiting: Waiting = new Waiting(new OwnCounts(), count, (exchange) => {
      served.push(exchange)
      waiting.leave(exchange)
      waiting.released(0, line)
    })
    for (let exchange = 0; exchange < count; exchange++) waiting.join(exchange, line, count, 1)
    waiting.released(0, line)
    expect(served).toEqual(Array.from({ length: count }, (_, exchange) => exchange))
    expect(waiting.isElsewhere).toBe(false)
  })

  it('are called as many as there are places, those of other functions of the instance too', () => {
    const own = lineOf(0, 0)
    const other = lineOf(1, 0, 1)
    let places = 3
    const served: number[] = []
    const waiting: Waiting = new Waiting(new OwnCounts(), 8, (exchange) => {
      if (places === 0) return waiting.stay(exchange)
      places--
      served.push(exchange)
      waiting.leave(exchange)
    })
    for (const exchange of [1, 2]) waiting.join(exchange, own, 8, 1)
    for (const exchange of [3, 4]) waiting.join(exchange, other, 8, 1)
    waiting.released(0, own)
    expect(served).toEqual([1, 2, 3])
    places = 1
    waiting.released(2, own)
    expect(served).toEqual([1, 2, 3])
    waiting.sweep()
    expect(served).toEqual([1, 2, 3, 4])
  })

  it('are called behind one in vain too, where each wants his own', () => {
    const line = { ...lineOf(0, 0), isPicky: true }
    const served: number[] = []
    const waiting: Waiting = new Waiting(new OwnCounts(), 8, (exchange) => {
      if (exchange === 1) return waiting.stay(exchange)
      served.push(exchange)
      waiting.leave(exchange)
      // Whoever is served at once calls in his turn.
      waiting.released(0, line)
    })
    for (const exchange of [1, 2, 3]) waiting.join(exchange, line, 8, 1)
    waiting.released(0, line)
    expect(served).toEqual([2, 3])
    expect([...line.exchanges]).toEqual([1])
  })

  it('are no more than the line may have, until one leaves', () => {
    const line = lineOf(0, 0)
    const waiting = new Waiting(new OwnCounts(), 8, () => {})
    const join = (exchange: number): boolean => waiting.join(exchange, line, 2, 1)
    expect([0, 1, 2].map(join)).toEqual([true, true, false])
    expect(waiting.join(3, lineOf(1, 0), 2, 1)).toBe(true)
    waiting.leave(0)
    expect([join(2), join(0)]).toEqual([true, false])
    expect([...line.exchanges]).toEqual([1, 2])
  })
})
