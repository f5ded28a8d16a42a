import { describe, expect, it } from 'vitest'
import type { Change, Confirmation, VirtualService } from '../plane.ts'
import { Confirmations, laggards, type Progress } from './confirmations.ts'

const at = (sb: number, hv: number, chassis: Record<string, number> | null = {}): Progress => ({
  sb,
  hv,
  chassis: chassis && new Map(Object.entries(chassis)),
})

describe('who lags', () => {
  it.each<[string, number, Progress, readonly string[]]>([
    ['nobody', 5, at(5, 5, { hv1: 5 }), []],
    ['northd, whatever chassis say', 5, at(4, 4, { hv1: 4 }), ['northd']],
    ['the chassis that have not followed', 5, at(5, 3, { hv2: 4, hv1: 3, hv3: 5 }), ['hv1', 'hv2']],
    ['who knows', 5, at(5, 3, null), ['the southbound database']],
  ])('%s', (_, number, progress, expected) => expect(laggards(number, progress)).toEqual(expected))
})

type ServiceChange = Change<VirtualService, string>

const change = (key: string): ServiceChange => ({ key, before: null, after: null })

/** What has come until there is nothing more. */
async function told(confirmations: Confirmations): Promise<Confirmation<VirtualService, string>[]> {
  const all: Confirmation<VirtualService, string>[] = []
  const reading = (async () => {
    for await (const one of confirmations) all.push(one)
  })()
  await new Promise(setImmediate)
  confirmations.close()
  await reading
  return all
}

describe('confirmations', () => {
  it('tell who lags, and of effect; the same is told once', async () => {
    const confirmations = new Confirmations()
    const web = change('web')
    confirmations.accepted(web, 3)
    const all = told(confirmations)
    await Promise.resolve()
    confirmations.remind(at(3, 2, { hv1: 2 }))
    confirmations.remind(at(3, 2, { hv1: 2 }))
    confirmations.follow(at(3, 2, { hv1: 2 }))
    await new Promise((resolve) => process.nextTick(resolve))
    confirmations.follow(at(3, 3, { hv1: 3 }))
    expect(await all).toEqual([
      { key: 'web', change: web, state: 'accepted', lagging: ['hv1'] },
      { key: 'web', change: web, state: 'applied', lagging: [] },
    ])
    expect(confirmations.pending).toBe(0)
  })

  it('tell of what an earlier run wrote, without a change of this one', async () => {
    const confirmations = new Confirmations()
    confirmations.earlier('web', 3)
    const all = told(confirmations)
    await Promise.resolve()
    confirmations.remind(at(3, 2, { hv1: 2 }))
    await new Promise((resolve) => process.nextTick(resolve))
    confirmations.follow(at(3, 3, { hv1: 3 }))
    expect(await all).toEqual([
      { key: 'web', change: null, state: 'accepted', lagging: ['hv1'] },
      { key: 'web', change: null, state: 'applied', lagging: [] },
    ])
  })

  it('are kept for two changes of a service at most, and the last stands for those before', async () => {
    const confirmations = new Confirmations()
    const changes = Array.from({ length: 1000 }, (_, n) => change(`s${n % 2}`))
    changes.forEach((one, n) => confirmations.accepted(one, n + 1))
    expect(confirmations.pending).toBe(2)
    confirmations.follow(at(999, 999))
    expect(confirmations.pending).toBe(1)
    confirmations.follow(at(1000, 1000))
    expect((await told(confirmations)).map((one) => one.change)).toEqual([changes[998], changes[999]])
  })

  it('of the first of several changes do not wait for the last', async () => {
    const confirmations = new Confirmations()
    const [first, last] = [change('web'), change('web')]
    confirmations.accepted(first, 1)
    confirmations.accepted(last, 2)
    confirmations.follow(at(1, 1))
    expect(confirmations.pending).toBe(1)
    expect((await told(confirmations)).map((one) => one.change)).toEqual([first])
  })
})
