import { describe, expect, it } from 'vitest'
import { plainService } from '../planes/plain.ts'
import { Confirmations } from './confirmations.ts'
import { EventLog } from './events.ts'
import { lagOf, LagWatch } from './lag.ts'

describe('how far effect lags behind', () => {
  it('is told once when it is more than ordinary, again where others lag, and when it is over', () => {
    let time = 1000
    const now = (): number => time
    const confirmations = new Confirmations(now)
    const events = new EventLog()
    const watch = new LagWatch(new Map([['ovn', confirmations]]), events, now)
    const told = () => events.since(0).map(({ event }) => event)
    const changes = ['a', 'b'].map((key) => ({ key, before: null, after: plainService({ id: key }) }))
    for (const change of changes) {
      confirmations.ask(change)
      confirmations.answer(change, true)
    }
    const tell = (state: 'accepted' | 'applied', ...lagging: string[]): void => {
      for (const change of changes) confirmations.tell({ key: change.key, change, state, lagging })
    }
    tell('accepted', 'hv2')
    watch.look()
    expect(told()).toEqual([])
    time += 5000
    watch.look()
    watch.look()
    tell('accepted', 'hv1', 'hv2')
    watch.look()
    expect(lagOf(confirmations)).toEqual({
      services: 2,
      since: 1000,
      lagging: new Map([
        ['hv1', 2],
        ['hv2', 2],
      ]),
    })
    tell('applied')
    watch.look()
    watch.look()
    watch.close()
    expect(told()).toEqual([
      { at: 6000, type: 'plane-lagging', plane: 'ovn', services: 2, lagging: ['hv2'] },
      { at: 6000, type: 'plane-lagging', plane: 'ovn', services: 2, lagging: ['hv1', 'hv2'] },
      { at: 6000, type: 'plane-caught-up', plane: 'ovn' },
    ])
    expect(lagOf(confirmations)).toEqual({ services: 0, since: 0, lagging: new Map() })
  })
})
