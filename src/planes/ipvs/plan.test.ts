import { describe, expect, it } from 'vitest'
import type { VirtualService } from '../plane.ts'
import { planOf, repeated } from './plan.ts'
import { destination, virtualService } from './rig.ts'

const names = (before: VirtualService | null, after: VirtualService | null): string[] => {
  const { appear, settle, removals } = planOf(before, after)
  return [...(appear === null ? [] : [appear]), ...settle, ...removals].map(({ command }) => command.do)
}

const web = virtualService({ destinations: [destination(1), destination(2)] })
const [one = destination(1), two = destination(2)] = web.destinations

describe('planOf', () => {
  it.each<[string, VirtualService | null, VirtualService | null, string[]]>([
    ['a new service', null, web, ['add-service', 'add-destination', 'add-destination']],
    ['a service that goes', web, null, ['delete-service']],
    ['nothing at all', web, structuredClone(web), []],
    ['one weight', web, { ...web, destinations: [{ ...one, weight: 5 }, two] }, ['set-destination']],
    [
      'one threshold',
      web,
      { ...web, destinations: [{ ...one, upperThreshold: 5 }, two] },
      ['set-destination'],
    ],
    [
      'another forwarding',
      web,
      { ...web, destinations: [{ ...one, forwarding: 'dr' }, two] },
      ['set-destination'],
    ],
    ['another scheduler', web, { ...web, scheduler: 'wrr' }, ['set-service']],
    ['persistence', web, { ...web, persistence: { timeout: 9, prefix: 32 } }, ['set-service']],
    ['flags', web, { ...web, flags: 0x10 }, ['set-service']],
    ['the flag that is the kernel’s own', web, { ...web, flags: 0x02 }, []],
    ['only another id', web, { ...web, destinations: [{ ...one, id: 'other' }, two] }, []],
    ['only the configured weight', web, { ...web, destinations: [{ ...one, maxWeight: 50 }, two] }, []],
    ['another order', web, { ...web, destinations: [two, one] }, []],
    [
      'two ids that swap places',
      web,
      {
        ...web,
        destinations: [
          { ...one, id: 'b2' },
          { ...two, id: 'b1' },
        ],
      },
      [],
    ],
    [
      'a backend at another place',
      web,
      { ...web, destinations: [one, { ...two, port: 81 }] },
      ['add-destination', 'delete-destination'],
    ],
    [
      'another endpoint',
      web,
      { ...web, port: 81 },
      ['add-service', 'add-destination', 'add-destination', 'delete-service'],
    ],
    [
      'a mark whose family changes',
      virtualService({ fwmark: 7, address: '', port: 0 }),
      virtualService({ fwmark: 7, address: '', port: 0, family: 6 }),
      ['add-service', 'delete-service'],
    ],
  ])('%s', (_, before, after, expected) => {
    expect(names(before, after)).toEqual(expected)
  })

  it('is nothing from a state to itself, whatever the state', () => {
    expect(names(null, null)).toEqual([])
  })
})

describe('repeated', () => {
  it('finds the place that two backends share', () => {
    expect(repeated(web)).toBe(null)
    expect(repeated({ ...web, destinations: [one, { ...one, id: 'b9' }] })).toBe('10.8.0.1:80')
  })
})
