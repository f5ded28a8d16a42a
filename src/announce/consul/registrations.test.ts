import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  retryDelay,
  stepsBetween,
  wantedRegistrations,
  type Place,
  type Registered,
  type Registration,
} from './registrations.ts'

const web = { id: 'web', address: '10.0.0.1', port: 80 }
const wanted = (...services: { id: string; address: string; port: number }[]): Map<string, Registration> =>
  wantedRegistrations(services, null, 'us')
const there = (address: string, port: number, torb: string | null): Registered => ({
  Service: 'web',
  Address: address,
  Port: port,
  Meta: torb === null ? null : { torb },
})

describe('wanted registrations', () => {
  it('are the services by their ids and Torb itself with a check', () => {
    const self = { address: '2001:db8::1', port: 4672 }
    expect([...wantedRegistrations([web], self, 'us').values()]).toEqual([
      {
        ID: 'gorb',
        Name: 'gorb',
        Address: '2001:db8::1',
        Port: 4672,
        Meta: { torb: 'us' },
        Check: { TCP: '[2001:db8::1]:4672', Interval: '10s', Timeout: '5s' },
      },
      { ID: 'web', Name: 'web', Address: '10.0.0.1', Port: 80, Meta: { torb: 'us' } },
    ])
  })

  it('leave Torb out where a service has its name', () => {
    const gorb = { id: 'gorb', address: '10.0.0.9', port: 1 }
    const all = wantedRegistrations([gorb], { address: '10.0.0.1', port: 4672 }, 'us')
    expect([...all.values()].map(({ Address }) => Address)).toEqual(['10.0.0.9'])
  })
})

describe('steps', () => {
  const made = new Map<string, Place>([['web', { ID: 'web', Address: '10.0.0.1', Port: 80 }]])
  const none = new Map<string, Place>()

  it.each<
    [
      string,
      Map<string, Registration>,
      [string, Registered][],
      Map<string, Place>,
      string[],
      string[],
      string[],
    ]
  >([
    ['register what is new', wanted(web), [], none, ['web'], [], []],
    ['are none where all is there', wanted(web), [['web', there('10.0.0.1', 80, 'us')]], none, [], [], []],
    ['follow an address', wanted(web), [['web', there('10.0.0.2', 80, 'us')]], none, ['web'], [], []],
    ['follow a port', wanted(web), [['web', there('10.0.0.1', 81, 'us')]], made, ['web'], [], []],
    ['take out what is no more', wanted(), [['web', there('10.0.0.1', 80, 'us')]], none, [], ['web'], []],
    ['leave others alone', wanted(), [['web', there('10.0.0.1', 80, null)]], none, [], [], []],
    ['leave another Torb alone', wanted(), [['web', there('10.0.0.1', 80, 'them')]], none, [], [], []],
    ['take an id as GORB does', wanted(web), [['web', there('10.0.0.2', 80, null)]], none, ['web'], [], []],
    [
      'do not take it a second time',
      wanted(web),
      [['web', there('10.0.0.2', 80, 'them')]],
      made,
      [],
      [],
      ['web'],
    ],
    [
      'take it for a service that changed',
      wanted({ ...web, port: 81 }),
      [['web', there('10.0.0.2', 80, 'them')]],
      made,
      ['web'],
      [],
      [],
    ],
    ['register anew what was lost', wanted(web), [], made, ['web'], [], []],
  ])('%s', (_name, wish, present, known, register, deregister, taken) => {
    const steps = stepsBetween(wish, new Map(present), known, 'us')
    expect([steps.register.map(({ ID }) => ID), steps.deregister.map(({ ID }) => ID), steps.taken]).toEqual([
      register,
      deregister,
      taken,
    ])
  })

  it('lead to what is wanted and touch nothing else', () => {
    const id = fc.constantFrom('a', 'b', 'c', 'd')
    const port = fc.integer({ min: 1, max: 2 })
    const owner = fc.constantFrom('us', 'them', null)
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.record({ id, address: fc.constant('10.0.0.1'), port }), { selector: (s) => s.id }),
        fc.uniqueArray(fc.record({ id, port, owner }), { selector: (s) => s.id }),
        (services, held) => {
          const present = new Map<string, Registered>(
            held.map((h) => [h.id, { ...there('10.0.0.1', h.port, h.owner), Service: h.id }]),
          )
          const before = new Map(present)
          const wish = wanted(...services)
          const take = (): number => {
            const steps = stepsBetween(wish, present, none, 'us')
            for (const { ID } of steps.deregister) present.delete(ID)
            for (const { ID, Address, Port, Meta } of steps.register)
              present.set(ID, { Service: ID, Address, Port, Meta })
            return steps.deregister.length + steps.register.length
          }
          take()
          for (const [key, { Address, Port, Meta }] of wish)
            expect(present.get(key)).toEqual({ Service: key, Address, Port, Meta })
          for (const [key, value] of before) {
            if (value.Meta?.['torb'] !== 'us' && !wish.has(key)) expect(present.get(key)).toBe(value)
          }
          expect(take()).toBe(0)
        },
      ),
    )
  })
})

it('tries come later and later, up to 5 s, never all at once', () => {
  expect([1, 2, 3, 4, 5, 6, 60, 2000].map((failures) => retryDelay(failures, () => 1))).toEqual([
    250, 500, 1000, 2000, 4000, 5000, 5000, 5000,
  ])
  expect(retryDelay(6, () => 0)).toBe(2500)
})
