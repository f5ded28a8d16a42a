import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Zone, type Change, type Guard, type KeyEvent, type Pair } from './zone.ts'

const guard: Guard = { maxLoss: 0.5, windowMs: 10_000, graceMs: 60_000, loads: 3 }
const any: Guard = { ...guard, maxLoss: 1 }
const prefix = 'golb/function/z/'
const clusterId = '7'

/** A value with so many instances. */
const value = (count: number, weight = 1): string =>
  JSON.stringify({
    ips: Array.from({ length: count }, (_, i) => `10.0.0.${i + 1}:80`),
    weights: Array.from({ length: count }, () => weight),
  })
const pair = (name: string, text: string, modRevision = 1): Pair => ({
  key: prefix + name,
  value: text,
  modRevision,
})
const event = (name: string, text: string | null, modRevision: number): KeyEvent => ({
  key: prefix + name,
  value: text,
  modRevision,
})
const at = (revision: number, ...pairs: Pair[]) => ({ clusterId, revision, pairs })
const pairs = (names: string, count = 1): Pair[] => Array.from(names).map((name) => pair(name, value(count)))

const shown = (changes: readonly Change[]): string[] =>
  changes.map((change) => {
    const name = change.key.slice(prefix.length)
    if (change.type === 'put') return `${name}=${change.spec.ips.length}`
    if (change.type === 'reject') return `${name}! ${change.reason}`
    return `${name} ${change.type}`
  })

function zone(limits: Guard, ...loaded: Pair[]): Zone {
  const zone = new Zone('z', new Map(), limits)
  zone.load(at(1, ...loaded), 0)
  return zone
}

describe('a zone', () => {
  it('takes what a load finds and what events say, once', () => {
    const fresh = new Zone('z', new Map(), guard)
    expect(shown(fresh.load(at(5, pair('a', value(2), 3), pair('b', value(1), 5)), 0))).toEqual([
      'a=2',
      'b=1',
    ])
    expect(shown(fresh.events([event('a', value(9), 5)], 0))).toEqual([])
    expect(shown(fresh.events([event('a', value(3), 6), event('c', value(1), 7)], 0))).toEqual(['a=3', 'c=1'])
    expect(shown(fresh.events([event('b', null, 8)], 0))).toEqual(['b remove'])
    expect(fresh.revision).toBe(8)
    expect(fresh.extent).toEqual({ keys: 2, newest: 7 })
    expect(shown(fresh.load(at(9, pair('a', value(3), 6), pair('c', value(1), 7)), 0))).toEqual([])
  })

  it('takes an equal value for no change, and a restored one of the same revision for what it is', () => {
    const known = zone(any, pair('a', value(2), 4))
    expect(known.events([event('a', value(2), 5)], 0)).toEqual([])
    expect(shown(known.load(at(5, pair('a', value(2, 7), 5)), 0))).toEqual(['a=2'])
  })

  it('knows what was in force before it', () => {
    const before = new Map([
      ['a', { ips: ['h'], weights: [1] }],
      ['b', { ips: ['h'], weights: [1] }],
      ['c', { ips: ['h'], weights: [1] }],
    ])
    const known = new Zone('z', before, guard)
    const same = JSON.stringify(before.get('a'))
    expect(shown(known.load(at(1, pair('a', same), pair('b', same)), 0))).toEqual(['c remove'])
  })

  it.each([
    ['{"ips": ["h"], "weights": [3, 1]}', 'give one weight for each instance'],
    ['{"ips": ["h"], "weights": [-1]}', 'must not be negative'],
    ['{"ips": ["h"]}', 'weights'],
    ['{"ips": ["h"], "weights": [1]', 'is not JSON'],
    ['', 'is not JSON'],
    ['null', 'object'],
    ['{"ips": ["http://h/x"], "weights": [1]}', 'is no instance'],
  ])('keeps the last good value where %s comes', (bad, reason) => {
    const known = zone(guard, pair('a', value(4)))
    const [change, ...rest] = known.events([event('a', bad, 2)], 0)
    expect(rest).toEqual([])
    expect(change).toMatchObject({
      type: 'reject',
      key: `${prefix}a`,
      reason: expect.stringContaining(reason),
    })
    expect(known.load(at(2, pair('a', bad, 2)), 0)).toEqual([])
    expect(known.extent).toEqual({ keys: 1, newest: 2 })
    expect(shown(known.events([event('a', value(4), 3)], 0))).toEqual(['a settle'])
    known.events([event('a', bad, 4)], 0)
    expect(shown(known.events([event('a', null, 5)], 0))).toEqual(['a remove'])
    expect(known.extent).toEqual({ keys: 0, newest: 0 })
  })

  it.each(['', 'a/b', '..', 'a b', 'ü'])('rejects the name "%s" until the key is deleted', (name) => {
    const known = zone(guard)
    expect(known.events([event(name, value(1), 2)], 0)).toMatchObject([{ type: 'reject' }])
    expect(known.events([event(name, null, 3)], 0)).toEqual([{ type: 'settle', key: prefix + name }])
  })
})

describe('the guard', () => {
  it('lets one or two functions go by events, however much that is', () => {
    expect(
      shown(zone(guard, ...pairs('ab')).events([event('a', null, 2), event('b', null, 2)], 0)),
    ).toHaveLength(2)
    expect(shown(zone(guard, ...pairs('a')).events([event('a', null, 2)], 0))).toEqual(['a remove'])
    const many = zone(guard, pair('a', value(9)), pair('b', value(1)))
    expect(shown(many.events([event('a', value(1), 2)], 0))).toEqual(['a=1'])
  })

  it('lets half of the instances go at once', () => {
    const known = zone(guard, ...pairs('abcd'))
    expect(shown(known.load(at(2, ...pairs('cd')), 0))).toEqual(['a remove', 'b remove'])
    expect(known.held).toBeNull()
  })

  it('holds a burst of deletes, takes the rest of it, and ends when the instances are there again', () => {
    const known = zone(guard, ...pairs('abcd'))
    const burst = Array.from('abc').map((name) => event(name, null, 2))
    expect(shown(known.events([...burst, event('e', value(1), 2), event('d', value(1, 5), 2)], 0))).toEqual([
      'e=1',
      'd=1',
    ])
    expect(known.held).toEqual({
      since: 0,
      functions: ['a', 'b', 'c'],
      instances: 3,
      of: 5,
      loads: 0,
      onlyByOperator: false,
    })
    expect(known.extent).toEqual({ keys: 2, newest: 2 })
    expect(shown(known.events([event('a', value(1), 3)], 0))).toEqual(['b remove', 'c remove'])
    expect(known.held).toBeNull()
  })

  it('takes deletes one by one together, and forgets them after the window', () => {
    const known = zone(guard, ...pairs('abcdefgh'))
    const taken = Array.from('abcdef').map((name, i) => shown(known.events([event(name, null, 2 + i)], i)))
    expect(taken).toEqual([['a remove'], ['b remove'], ['c remove'], ['d remove'], [], []])
    expect(known.held?.functions).toEqual(['e', 'f'])
    const slow = zone(guard, ...pairs('abcdefgh'))
    for (const [i, name] of Array.from('abcdefgh').entries()) {
      expect(shown(slow.events([event(name, null, 2 + i)], i * 20_000))).toEqual([`${name} remove`])
    }
  })

  it('takes a burst when loads say the same for a while', () => {
    const known = zone(guard, ...pairs('abc'))
    known.events(
      ['a', 'b', 'c'].map((name) => event(name, null, 2)),
      0,
    )
    expect(known.load(at(2), 30_000)).toEqual([])
    expect(known.load(at(2), 50_000)).toEqual([])
    expect(known.held).toMatchObject({ loads: 2, onlyByOperator: false })
    expect(shown(known.load(at(2), 60_000))).toEqual(['a remove', 'b remove', 'c remove'])
    expect(known.held).toBeNull()
  })

  it.each([
    ['older', { clusterId, revision: 1, pairs: [] }],
    ['older, with something else in it', { clusterId, revision: 1, pairs: pairs('x') }],
    ['another cluster', { clusterId: '8', revision: 900, pairs: pairs('x') }],
    ['empty without a reason', { clusterId, revision: 900, pairs: [] }],
  ])('waits for an operator where etcd is %s', (_, snapshot) => {
    const known = zone(guard, ...pairs('abc'))
    known.progress(20)
    const removed = ['a remove', 'b remove', 'c remove']
    expect(shown(known.load(snapshot, 0)).filter((text) => text.endsWith('remove'))).toEqual([])
    for (let i = 1; i < 9; i++) known.load({ ...snapshot, revision: snapshot.revision + i }, i * 100_000)
    expect(known.held).toMatchObject({ functions: ['a', 'b', 'c'], onlyByOperator: true })
    expect(shown(known.confirm())).toEqual(removed)
    expect(known.held).toBeNull()
  })

  it('lets nothing go while an etcd that was restarted empty is filled again', () => {
    const known = zone(guard, ...pairs('abcd'))
    known.progress(20)
    known.load(at(2), 0)
    const filled = Array.from('abcd').map((name, i) => {
      const changes = known.events([event(name, value(1, 2), 3 + i)], i)
      return [...shown(changes), known.held?.functions.join('') ?? 'all']
    })
    expect(filled).toEqual([
      ['a=1', 'bcd'],
      ['b=1', 'cd'],
      ['c=1', 'd'],
      ['d=1', 'all'],
    ])
  })

  it('a load never takes more than the share', () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(sizes, sizes, fc.double({ min: 0, max: 1, noNaN: true }), (before, after, maxLoss) => {
        const pairsOf = (counts: readonly number[], revision: number): Pair[] =>
          counts.map((count, i) => pair(`f${i}`, value(count), revision))
        const known = zone({ ...guard, maxLoss }, ...pairsOf(before, 1))
        const changes = known.load(at(2, ...pairsOf(after, 2)), 0)
        const lost = changes.map((change) => {
          const had = before[Number(change.key.slice(`${prefix}f`.length))] ?? 0
          return Math.max(0, had - (change.type === 'put' ? change.spec.ips.length : 0))
        })
        const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)
        expect(sum(lost)).toBeLessThanOrEqual(maxLoss * sum(before))
      }),
    )
  })
})

describe('any order of loads, events, lost events and confirmations', () => {
  const name = fc.constantFrom('a', 'b', 'c', 'd/e')
  const good = fc
    .tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 1, max: 2 }))
    .map(([n, w]) => value(n, w))
  const write = fc.record({
    name,
    value: fc.oneof(
      { weight: 4, arbitrary: good },
      fc.constantFrom('{', value(2).replace('1]', '-1]')),
      fc.constant(null),
    ),
  })
  const step = fc.oneof(
    { weight: 5, arbitrary: write.map((write) => ({ do: 'write' as const, ...write })) },
    { weight: 3, arbitrary: fc.constant({ do: 'deliver' as const }) },
    // After a compaction, a lost connection or on a hold.
    { weight: 2, arbitrary: fc.constant({ do: 'load' as const }) },
    { weight: 1, arbitrary: fc.constantFrom({ do: 'restart empty' as const }, { do: 'confirm' as const }) },
  )

  /** What the gateway has, by what it was told. */
  class Gateway {
    readonly functions = new Map<string, string>()
    readonly rejected = new Set<string>()
    take(changes: readonly Change[]): void {
      for (const change of changes) {
        if (change.type === 'reject') this.rejected.add(change.key)
        else this.rejected.delete(change.key)
        if (change.type === 'put') this.functions.set(change.key, JSON.stringify(change.spec))
        if (change.type === 'remove') this.functions.delete(change.key)
      }
    }
  }

  const isGood = (key: string, text: string): boolean =>
    key.split('/').length === 4 && text !== '{' && !text.includes('-1')

  it('ends in what etcd has, and a bad value never removes a good one', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const known = new Zone('z', new Map(), guard)
        const gateway = new Gateway()
        let etcd = new Map<string, Pair>()
        let revision = 1
        let undelivered: KeyEvent[] = []
        let now = 0
        const load = (): void => {
          undelivered = undelivered.filter(({ modRevision }) => modRevision > revision)
          gateway.take(known.load({ clusterId, revision, pairs: [...etcd.values()] }, now))
        }
        load()
        for (const step of steps) {
          now += 3000
          switch (step.do) {
            case 'write': {
              const key = prefix + step.name
              if (step.value === null && !etcd.delete(key)) break
              revision++
              if (step.value !== null) etcd.set(key, { key, value: step.value, modRevision: revision })
              undelivered.push({ key, value: step.value, modRevision: revision })
              break
            }
            case 'deliver': {
              const isBad = ({ key, value }: KeyEvent): boolean => value !== null && !isGood(key, value)
              const spoilt = undelivered.filter(({ key }) =>
                undelivered.every((event) => event.key !== key || isBad(event)),
              )
              const before = new Map(gateway.functions)
              gateway.take(known.events(undelivered, now))
              for (const { key } of spoilt) {
                if (before.has(key)) expect(gateway.functions.get(key)).toBe(before.get(key))
              }
              undelivered = []
              break
            }
            case 'load':
              load()
              break
            case 'restart empty':
              etcd = new Map()
              revision = 1
              undelivered = []
              load()
              break
            case 'confirm':
              gateway.take(known.confirm())
              break
            default:
              step satisfies never
          }
        }
        load()
        gateway.take(known.confirm())
        expect(known.held).toBeNull()
        for (const [key, { value }] of etcd) {
          if (isGood(key, value)) expect(gateway.functions.get(key)).toBe(value)
          expect(gateway.rejected.has(key)).toBe(!isGood(key, value))
        }
        for (const key of [...gateway.functions.keys(), ...gateway.rejected]) expect(etcd.has(key)).toBe(true)
        expect(known.extent.keys).toBe(etcd.size)
        expect(known.revision).toBe(revision)
      }),
      { numRuns: 1000 },
    )
  })
})
