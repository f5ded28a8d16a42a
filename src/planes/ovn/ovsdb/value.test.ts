import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ProtocolError } from './framing.ts'
import type { Atom, ColumnInput } from './ovsdb.ts'
import type { BaseType, ColumnType } from './schema.ts'
import { applyDifference, decodeValue, defaultOf, encodeValue, sameValue, type Value } from './value.ts'

const type = (key: BaseType, min = 1, max = 1, value: BaseType | null = null): ColumnType => ({
  key,
  value,
  min,
  max,
})
const set = type('string', 0, Infinity)
const map = type('string', 0, Infinity, 'string')
const one = '8ca68b31-618f-4dcd-bd83-62df76b408af'
const two = 'e13c5554-5b22-4109-bfbe-afc506cab341'

/** A type, a value of it, and what the value is to be written as, in any order. */
const atoms: Readonly<Record<BaseType, fc.Arbitrary<Atom>>> = {
  string: fc.string(),
  integer: fc.integer(),
  real: fc.double({ noNaN: true, noDefaultInfinity: true }).map((real) => (real === 0 ? 0 : real)),
  boolean: fc.boolean(),
  uuid: fc.uuid(),
}
const base = fc.constantFrom<BaseType[]>('string', 'integer', 'real', 'boolean', 'uuid')
const sorted = (values: readonly Atom[]): Atom[] => values.toSorted((a, b) => (a < b ? -1 : 1))
const setOf = (key: BaseType): fc.Arbitrary<readonly Atom[]> => fc.uniqueArray(atoms[key]).map(sorted)
const mapOf = (key: BaseType, value: BaseType): fc.Arbitrary<ReadonlyMap<string, string>> =>
  fc.array(fc.tuple(atoms[key].map(String), atoms[value].map(String))).map((pairs) => new Map(pairs))
const typed: fc.Arbitrary<readonly [ColumnType, Value]> = fc
  .tuple(base, base, fc.constantFrom('scalar', 'optional', 'set', 'map'))
  .chain(([key, value, kind]) => {
    const of = (type: ColumnType, values: fc.Arbitrary<Value>): fc.Arbitrary<readonly [ColumnType, Value]> =>
      values.map((value) => [type, value])
    if (kind === 'map') return of(type(key, 0, Infinity, value), mapOf(key, value))
    if (kind === 'set') return of(type(key, 0, Infinity), setOf(key))
    return kind === 'optional' ? of(type(key, 0), fc.option(atoms[key])) : of(type(key), atoms[key])
  })
const overTheWire = (json: unknown): unknown => JSON.parse(JSON.stringify(json))

describe('values', () => {
  it.each<[string, ColumnType, unknown, Value]>([
    ['a text', type('string'), 'a', 'a'],
    ['an integer', type('integer'), 7, 7],
    ['a real', type('real'), 0.5, 0.5],
    ['a boolean', type('boolean'), true, true],
    ['a uuid', type('uuid'), ['uuid', one], one],
    ['an empty optional', type('string', 0), ['set', []], null],
    ['an optional', type('string', 0), 'a', 'a'],
    ['an optional uuid', type('uuid', 0), ['uuid', one], one],
    ['an empty set', set, ['set', []], []],
    ['a set of one', set, 'a', ['a']],
    ['a set of one, with brackets', set, ['set', ['a']], ['a']],
    ['a set, sorted', set, ['set', ['b', 'a']], ['a', 'b']],
    [
      'a set of uuids',
      type('uuid', 0, Infinity),
      [
        'set',
        [
          ['uuid', two],
          ['uuid', one],
        ],
      ],
      [one, two],
    ],
    ['a set of one uuid', type('uuid', 0, Infinity), ['uuid', one], [one]],
    ['a map', map, ['map', [['a', 'b']]], new Map([['a', 'b']])],
    [
      'a map of numbers, as texts',
      type('integer', 0, Infinity, 'uuid'),
      ['map', [[1, ['uuid', one]]]],
      new Map([['1', one]]),
    ],
  ])('are read: %s', (_, type, json, expected) => {
    expect(decodeValue(type, json)).toEqual(expected)
  })

  it.each<[string, ColumnType, unknown]>([
    ['nothing where one belongs', type('string'), ['set', []]],
    ['two where one belongs', type('string', 0), ['set', ['a', 'b']]],
    ['another type', type('integer'), '1'],
    ['a text for a uuid', type('uuid'), one],
    ['a uuid for a text', set, ['uuid', one]],
    ['a set for a map', map, ['set', []]],
    ['a map for a set', set, ['map', []]],
    ['half a pair', map, ['map', [['a']]]],
    ['null', set, null],
    ['nothing at all', set, undefined],
  ])('are refused: %s', (_, type, json) => {
    expect(() => decodeValue(type, json)).toThrow(ProtocolError)
  })

  it.each<[string, ColumnType, ColumnInput, unknown]>([
    ['an empty optional', type('string', 0), null, ['set', []]],
    ['an empty set', set, [], ['set', []]],
    ['a set of one, bare', set, ['a'], 'a'],
    ['a set', set, ['a', 'b'], ['set', ['a', 'b']]],
    ['a row that is inserted beside', type('uuid', 0, Infinity), { named: 'lb' }, ['named-uuid', 'lb']],
    [
      'some of those',
      type('uuid', 0, Infinity),
      [{ named: 'lb' }, one],
      [
        'set',
        [
          ['named-uuid', 'lb'],
          ['uuid', one],
        ],
      ],
    ],
    ['a map of an object', map, { a: 'b' }, ['map', [['a', 'b']]]],
    ['a map of a Map', map, new Map([['a', 'b']]), ['map', [['a', 'b']]]],
    ['an empty map', map, {}, ['map', []]],
    ['a map with a key that is called named', map, { named: 'x' }, ['map', [['named', 'x']]]],
    ['keys of a map, which a mutation deletes', map, ['a', 'b'], ['set', ['a', 'b']]],
    ['a map of numbers', type('string', 0, Infinity, 'integer'), { a: '7' }, ['map', [['a', 7]]]],
  ])('are written: %s', (_, type, input, expected) => {
    expect(encodeValue(type, input)).toEqual(expected)
  })

  it('come back as they were written', () => {
    fc.assert(
      fc.property(typed, ([type, value]) => {
        expect(decodeValue(type, overTheWire(encodeValue(type, value)))).toEqual(value)
      }),
    )
  })

  it.each<[string, ColumnType, Value]>([
    ['a text', type('string'), ''],
    ['an integer', type('integer'), 0],
    ['a boolean', type('boolean'), false],
    ['a uuid', type('uuid'), '00000000-0000-0000-0000-000000000000'],
    ['an optional', type('string', 0), null],
    ['a set', set, []],
    ['a set of at least one', type('integer', 1, 5), [0]],
    ['a map', map, new Map()],
  ])('that are left out have their default: %s', (_, type, expected) => {
    expect(defaultOf(type)).toEqual(expected)
  })
})

describe('differences', () => {
  it.each<[string, ColumnType, Value, unknown, Value]>([
    ['of a scalar is the new one', type('integer'), 1, 2, 2],
    ['of an optional is the new one', type('string', 0), 'a', ['set', []], null],
    ['of a set is what only one has', set, ['a', 'b'], ['set', ['b', 'c']], ['a', 'c']],
    ['of a set may be one, bare', set, ['a'], 'a', []],
    [
      'of a map sets, changes and removes',
      map,
      new Map([
        ['same', '1'],
        ['changed', '1'],
        ['removed', '1'],
      ]),
      [
        'map',
        [
          ['added', '1'],
          ['changed', '2'],
          ['removed', '1'],
        ],
      ],
      new Map([
        ['same', '1'],
        ['changed', '2'],
        ['added', '1'],
      ]),
    ],
  ])('%s', (_, type, before, json, after) => {
    expect(applyDifference(type, before, json)).toEqual(after)
  })

  it('of two sets lead from one to the other', () => {
    fc.assert(
      fc.property(setOf('string'), setOf('string'), (before, after) => {
        const only = [
          ...before.filter((atom) => !after.includes(atom)),
          ...after.filter((atom) => !before.includes(atom)),
        ]
        expect(applyDifference(set, before, ['set', only])).toEqual(after)
      }),
    )
  })

  it('of two maps lead from one to the other', () => {
    const letters = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), fc.constantFrom('1', '2', '3'))
    fc.assert(
      fc.property(letters, letters, (before, after) => {
        const removed = Object.entries(before).filter(([key]) => !(key in after))
        const fresh = Object.entries(after).filter(([key, value]) => before[key] !== value)
        const got = applyDifference(map, new Map(Object.entries(before)), ['map', [...removed, ...fresh]])
        expect(got).toEqual(new Map(Object.entries(after)))
      }),
    )
  })
})

describe('equality', () => {
  it('is that of contents', () => {
    fc.assert(
      fc.property(typed, typed, ([type, value], [, other]) => {
        expect(sameValue(value, decodeValue(type, overTheWire(encodeValue(type, value))))).toBe(true)
        const equal = value instanceof Map === other instanceof Map && shown(value) === shown(other)
        expect(sameValue(value, other)).toBe(equal)
      }),
    )
  })
})

const shown = (value: Value): string =>
  JSON.stringify(value instanceof Map ? [...value].sort(([a], [b]) => (a < b ? -1 : 1)) : value)
