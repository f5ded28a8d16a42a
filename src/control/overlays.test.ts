import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { FunctionSpec } from '../model/function.ts'
import { Overlays } from './overlays.ts'

const spec: FunctionSpec = { ips: ['a'], weights: [1] }
const overlay = (until: number) => ({ weights: [7], until })

describe('overlays', () => {
  it('hold for the very spec that they were laid over, until they are taken away', () => {
    const overlays = new Overlays(
      () => 0,
      () => {},
    )
    expect(overlays.over('f', spec)).toBeNull()
    overlays.lay('f', spec, overlay(1000))
    expect(overlays.over('f', spec)).toEqual(overlay(1000))
    expect(overlays.over('g', spec)).toBeNull()
    overlays.lay('f', spec, null)
    expect(overlays.over('f', spec)).toBeNull()
    overlays.lay('f', spec, overlay(1000))
    expect(overlays.over('f', { ...spec })).toBeNull()
    // Whatever was written to the function has ended it.
    expect(overlays.over('f', spec)).toBeNull()
    overlays.close()
  })

  it('end at their time, each of them, unless they are laid anew', async () => {
    let now = 0
    const ended: string[] = []
    const overlays = new Overlays(
      () => now,
      (name) => ended.push(name),
    )
    overlays.lay('late', spec, overlay(60_000))
    overlays.lay('anew', spec, overlay(5))
    overlays.lay('early', spec, overlay(5))
    overlays.lay('anew', spec, overlay(50_000))
    now = 5
    while (ended.length === 0) await sleep(1)
    expect(ended).toEqual(['early'])
    expect(overlays.over('early', spec)).toBeNull()
    expect(overlays.over('anew', spec)).toEqual(overlay(50_000))
    overlays.lay('sooner', spec, overlay(6))
    now = 6
    while (ended.length < 2) await sleep(1)
    expect(ended).toEqual(['early', 'sooner'])
    expect(overlays.over('late', spec)).toEqual(overlay(60_000))
    overlays.close()
  })
})
