import { describe, expect, it } from 'vitest'
import { Places } from './places.ts'

describe('places', () => {
  it('places are taken whole or not at all', () => {
    const places = new Places(3)
    expect([places.take(2), places.take(2), places.used, places.take(1), places.take(1)]).toEqual([
      true,
      false,
      2,
      true,
      false,
    ])
    places.give(3)
    expect(places.take(3)).toBe(true)
  })
})
