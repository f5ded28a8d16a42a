import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { plainService } from '../planes/plain.ts'
import type { Change, VirtualService } from '../planes/plane.ts'
import { Confirmations } from './confirmations.ts'

const changeOf = (): Change<VirtualService, string> => ({ key: 'web', before: null, after: plainService() })

function rig() {
  let time = 1000
  const confirmations = new Confirmations(() => time)
  const accept = (): Change<VirtualService, string> => {
    const change = changeOf()
    confirmations.ask(change)
    confirmations.answer(change, true)
    return change
  }
  const tell = (change: Change<VirtualService, string> | null, ...lagging: string[]): boolean =>
    confirmations.tell({
      key: 'web',
      change,
      state: lagging.length === 0 ? 'applied' : 'accepted',
      lagging,
    })
  return { confirmations, accept, tell, at: (now: number) => (time = now) }
}

describe('from accepted to applied', () => {
  it('a change is pending until it is confirmed, and who lags is known by name', () => {
    const { confirmations, accept, tell } = rig()
    const change = accept()
    expect(confirmations.pending('web')).toMatchObject({ since: 1000, lagging: [] })
    expect(tell(change, 'hv1', 'hv2')).toBe(true)
    expect(tell(change, 'hv1', 'hv2')).toBe(false)
    expect(confirmations.pending('web')).toMatchObject({ since: 1000, lagging: ['hv1', 'hv2'] })
    expect(tell(change)).toBe(true)
    expect(confirmations.pending('web')).toBeNull()
  })

  it('a later change stands for those before it; the confirmation of an earlier one moves the age only', () => {
    const { confirmations, accept, tell, at } = rig()
    const first = accept()
    at(2000)
    const second = accept()
    expect(confirmations.pending('web')).toMatchObject({ since: 1000 })
    tell(first)
    expect(confirmations.pending('web')).toMatchObject({ since: 2000 })
    tell(second)
    expect(confirmations.pending('web')).toBeNull()
    expect(tell(first)).toBe(false)
  })

  it('may be confirmed before the plane has answered', () => {
    const { confirmations, tell } = rig()
    const change = changeOf()
    confirmations.ask(change)
    tell(change)
    confirmations.answer(change, true)
    expect(confirmations.pending('web')).toBeNull()
  })

  it('what is refused leaves what was pending before', () => {
    const { confirmations, accept, tell } = rig()
    const first = accept()
    const refused = changeOf()
    confirmations.ask(refused)
    confirmations.answer(refused, false)
    expect(confirmations.pending('web')).not.toBeNull()
    tell(first)
    expect(confirmations.pending('web')).toBeNull()
  })

  it('what an earlier run left is pending while the plane says so', () => {
    const { confirmations, tell } = rig()
    expect(tell(null)).toBe(false)
    expect(tell(null, 'hv1')).toBe(true)
    expect(confirmations.pending('web')).toMatchObject({ lagging: ['hv1'] })
    expect(tell(null)).toBe(true)
    expect(confirmations.pending('web')).toBeNull()
  })

  it('whoever waits hears of what was accepted when he asked, or that his time is over', async () => {
    const { confirmations, accept, tell } = rig()
    const end = new AbortController()
    expect(await confirmations.applied('web', end.signal)).toBe(true)
    const first = accept()
    const early = confirmations.applied('web', end.signal)
    accept()
    const late = confirmations.applied('web', end.signal)
    tell(first)
    expect(await early).toBe(true)
    end.abort()
    expect(await late).toBe(false)
    expect(await confirmations.applied('web', end.signal)).toBe(false)
  })

  it('in any order of answers and confirmations, nothing is pending in the end and the last one is waited for', async () => {
    const order = fc.array(fc.boolean(), { minLength: 1, maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(order, async (confirmsAtOnce) => {
        const { confirmations, tell } = rig()
        const changes = confirmsAtOnce.map((atOnce) => {
          const change = changeOf()
          confirmations.ask(change)
          if (atOnce) tell(change)
          confirmations.answer(change, true)
          expect(confirmations.pending('web') === null).toBe(atOnce)
          return change
        })
        const applied = confirmations.applied('web', new AbortController().signal)
        for (const change of changes) tell(change)
        expect(await applied).toBe(true)
        expect(confirmations.pending('web')).toBeNull()
      }),
    )
  })
})
