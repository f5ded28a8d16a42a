import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { lblc } from './lblc.ts'
import { lblcr } from './lblcr.ts'
import { Locality } from './locality.ts'
import { become, ipv4, pickOf, plain, tableOf } from './sample.ts'
import { wlc } from './wlc.ts'

const minute = 60 * 1000
const day = 24 * 60 * minute
const address = (number: number) => Uint8Array.of(10, (number >> 16) & 255, (number >> 8) & 255, number & 255)

describe('Locality', () => {
  it('keeps apart what hashes alike: IPv6 addresses with the same fold, IPv4 with the same lower 30 bits', () => {
    const alike = [
      ipv4('10.0.0.1'),
      ipv4('74.0.0.1'),
      Uint8Array.of(10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
      Uint8Array.of(0, 0, 0, 0, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0),
    ]
    const known = new Locality<number>()
    alike.forEach((key, value) => known.set(key, value, 0))
    expect(alike.map((key) => known.use(key, 0))).toEqual([0, 1, 2, 3])
    known.update((value) => (value % 2 === 0 ? undefined : value * 10))
    expect(alike.map((key) => known.use(key, 0))).toEqual([undefined, 10, undefined, 30])
    expect(known.size).toBe(2)
  })

  it('forgets at the half-hourly check what nobody used for a day', () => {
    const known = new Locality<string>()
    const at = (now: number, key: Uint8Array) => known.use(key, now)
    at(0, address(0))
    known.set(address(1), 'used', 0)
    known.set(address(2), 'left', 0)
    expect(at(day - 1, address(1))).toBe('used')
    at(day + 30 * minute, address(3))
    expect(known.size).toBe(1)
    expect(at(day + 31 * minute, address(1))).toBe('used')
  })

  it('collects what was unused for six minutes while it is over 16384 entries, by four thirds of the excess', () => {
    const known = new Locality<number>()
    for (let number = 0; number < 16_384 + 30; number++) known.set(address(number), number, 0)
    known.use(address(0), 0)
    expect(known.size).toBe(16_414)
    known.use(address(5), 6 * minute - 1)
    expect(known.size).toBe(16_414)
    known.use(address(5), 7 * minute)
    expect(known.size).toBe(16_374)
    expect(known.use(address(5), 7 * minute)).toBe(5)
  })

  it('is bounded: beyond 65536 entries nothing new is kept', () => {
    const known = new Locality<number>()
    for (let number = 0; number < 70_000; number++) known.set(address(number), number, 0)
    expect(known.size).toBe(65_536)
    known.set(address(7), 70_007, 0)
    expect(known.use(address(7), 0)).toBe(70_007)
  })

  it('equals a plain map keyed by text', () => {
    const key = fc.oneof(
      fc.nat(3).map(address),
      fc.nat(3).map((number) => new Uint8Array(16).fill(number)),
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(key, fc.option(fc.nat(100), { nil: undefined }))), (steps) => {
        const known = new Locality<number>()
        const plainMap = new Map<string, number>()
        for (const [bytes, value] of steps) {
          expect(known.use(bytes, 0)).toBe(plainMap.get(bytes.join('.')))
          if (value !== undefined) {
            known.set(bytes, value, 0)
            plainMap.set(bytes.join('.'), value)
          }
        }
        expect(known.size).toBe(plainMap.size)
      }),
    )
  })
})

const one = pickOf({ destination: ipv4('192.0.2.1') })
const two = pickOf({ destination: ipv4('192.0.2.2') })

describe.each([
  ['lblc', lblc],
  ['lblcr', lblcr],
] as const)('%s', (_, make) => {
  it('keeps a destination at its server while others are less loaded', () => {
    const table = tableOf([{ weight: 10 }, { weight: 10 }])
    const scheduler = make(table, plain)
    expect(scheduler.pick(table, one)).toBe(0)
    table.active[0] = 10
    expect(scheduler.pick(table, two)).toBe(1)
    expect(scheduler.pick(table, one)).toBe(0)
    table.active.set([1, 9])
    expect(scheduler.pick(table, one)).toBe(0)
    expect(scheduler.pick(table, two)).toBe(1)
  })

  it.each([
    ['over its weight, another below half of its own', [11, 4], 1],
    ['over its weight, nobody below half', [11, 5], 0],
    ['at its weight', [10, 0], 0],
  ])('%s', (_, active, expected) => {
    const table = tableOf([{ weight: 10 }, { weight: 10 }])
    const scheduler = make(table, plain)
    expect(scheduler.pick(table, one)).toBe(0)
    table.active.set(active)
    expect(scheduler.pick(table, one)).toBe(expected)
  })

  it('leaves a server that is drained, overloaded or gone', () => {
    const table = tableOf([{ name: 'A' }, { name: 'B', active: 1 }, { name: 'C', active: 2 }])
    const scheduler = make(table, plain)
    expect(scheduler.pick(table, one)).toBe(0)
    table.weight[0] = 0
    scheduler.changed(table, 'health')
    expect(scheduler.pick(table, one)).toBe(1)
    table.overloaded[1] = 1
    expect(scheduler.pick(table, one)).toBe(2)
    become(table, [
      { name: 'B', active: 7 },
      { name: 'A', active: 7 },
    ])
    scheduler.changed(table, 'set')
    expect(table.name[scheduler.pick(table, one)]).toMatch(/[AB]/)
    become(table, [])
    scheduler.changed(table, 'set')
    expect(scheduler.pick(table, one)).toBe(-1)
  })

  it('follows its server to another place in the list', () => {
    const table = tableOf([{ name: 'A', active: 1 }, { name: 'B' }])
    const scheduler = make(table, plain)
    expect(scheduler.pick(table, one)).toBe(1)
    become(table, [{ name: 'C' }, { name: 'A' }, { name: 'B', active: 1 }])
    scheduler.changed(table, 'set')
    expect(scheduler.pick(table, one)).toBe(2)
  })

  it('does not take the newcomer at the place of its server for it', () => {
    const table = tableOf([{ name: 'A', active: 1 }, { name: 'B' }])
    const scheduler = make(table, plain)
    expect(scheduler.pick(table, one)).toBe(1)
    become(table, [{ name: 'A' }, { name: 'C', active: 1 }])
    scheduler.changed(table, 'set')
    expect(scheduler.pick(table, one)).toBe(0)
  })

  it('asks wlc for a destination not seen before, or not for a day', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(50), { minLength: 1, maxLength: 6 }), (active) => {
        const table = tableOf(active.map((count) => ({ active: count, weight: 60 })))
        const scheduler = make(table, plain)
        const least = wlc(table, plain).pick(table, one)
        expect(scheduler.pick(table, one)).toBe(least)
        table.active[least] = 60
        expect(scheduler.pick(table, { ...one, now: day - minute })).toBe(least)
        const later = { ...one, now: 2 * day }
        expect(scheduler.pick(table, later)).toBe(wlc(table, plain).pick(table, one))
      }),
    )
  })
})

describe('lblcr', () => {
  const busy = () => {
    const table = tableOf([{ weight: 10 }, { weight: 10 }, { weight: 10 }])
    const scheduler = lblcr(table, plain)
    expect(scheduler.pick(table, one)).toBe(0)
    table.active.set([11, 3, 4])
    expect(scheduler.pick(table, one)).toBe(1)
    return { table, scheduler }
  }

  it('grows by one server and then takes the least loaded of its set', () => {
    const { table, scheduler } = busy()
    table.active.set([2, 3, 0])
    expect(scheduler.pick(table, one)).toBe(0)
    table.active.set([3, 2, 0])
    expect(scheduler.pick(table, one)).toBe(1)
  })

  it('takes the newest of equals', () => {
    const { table, scheduler } = busy()
    table.active.set([2, 2, 0])
    expect(scheduler.pick(table, one)).toBe(1)
  })

  it('loses its most loaded server a day after its last change, one a day', () => {
    const { table, scheduler } = busy()
    table.active.set([5, 4, 0])
    // Used every 12 hours, so that the entry itself stays.
    for (const now of [day / 2, day]) expect(scheduler.pick(table, { ...one, now })).toBe(1)
    expect(scheduler.pick(table, { ...one, now: day + 1 })).toBe(1)
    table.active.set([0, 4, 0])
    expect(scheduler.pick(table, { ...one, now: day + 2 })).toBe(1)
  })

  it('does not count it as a change when the choice is a member already', () => {
    const { table, scheduler } = busy()
    table.active.set([12, 11, 4])
    table.overloaded[2] = 1
    expect(scheduler.pick(table, { ...one, now: day / 2 })).toBe(1)
    table.active.set([5, 4, 0])
    expect(scheduler.pick(table, { ...one, now: day + 1 })).toBe(1)
    table.active.set([0, 4, 0])
    expect(scheduler.pick(table, { ...one, now: day + 2 })).toBe(1)
  })

  it('does not choose a drained server as the most loaded, as the kernel', () => {
    const { table, scheduler } = busy()
    table.active.set([5, 4, 0])
    table.weight[0] = 0
    expect(scheduler.pick(table, { ...one, now: day / 2 })).toBe(1)
    expect(scheduler.pick(table, { ...one, now: day + 1 })).toBe(1)
    // The set was A and B and is A alone, so wlc is asked.
    expect(scheduler.pick(table, { ...one, now: day + 2 })).toBe(2)
  })

  it('keeps both until then', () => {
    const { table, scheduler } = busy()
    table.active.set([5, 4, 0])
    for (const now of [day / 2, day]) expect(scheduler.pick(table, { ...one, now })).toBe(1)
    table.active.set([0, 4, 0])
    expect(scheduler.pick(table, { ...one, now: day })).toBe(0)
  })
})
