import { execFileSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { descriptorLimit, Places } from './descriptors.ts'

describe('descriptors', () => {
  it.runIf(process.platform === 'linux')('the limit is what the shell says of a child', () => {
    const text = execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).trim()
    expect(descriptorLimit()).toBe(text === 'unlimited' ? 2 ** 20 : Number(text))
  })

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
