import { plainDestination } from '../plain.ts'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Destination } from '../plane.ts'
import { Estimator } from './estimator.ts'
import { Roster } from './roster.ts'

const estimator = new Estimator(() => 0)

const destination = (id: number, rest: Partial<Destination> = {}): Destination =>
  plainDestination(`10.0.0.${id}`, { id: `b${id}`, maxWeight: 1, ...rest })

/** The part of the table that counts. */
const shown = ({ table }: Roster): unknown[] =>
  Array.from({ length: table.size }, (_, i) => [
    table.name[i],
    table.weight[i],
    table.active[i],
    table.inactive[i],
    table.overloaded[i],
  ])

describe('Roster', () => {
  it('keeps connections and counters of those that stay, in the new order', () => {
    const roster = new Roster([destination(1), destination(2), destination(3)], estimator)
    const [one, two, three] = roster.members
    roster.opened(one!)
    roster.opened(two!)
    roster.opened(three!)
    roster.opened(three!)
    roster.quieted(three!)
    one!.tally.connections = 5
    const { changed, removed } = roster.sync([destination(4), destination(3), destination(2, { weight: 0 })])
    expect({ changed, removed: removed.map((member) => member.destination.id) }).toEqual({
      changed: 'set',
      removed: ['b1'],
    })
    expect(shown(roster)).toEqual([
      ['10.0.0.4:80', 1, 0, 0, 0],
      ['10.0.0.3:80', 1, 1, 1, 0],
      ['10.0.0.2:80', 0, 1, 0, 0],
    ])
    expect(roster.rest).toMatchObject({ connections: 5, active: 1 })
    roster.closed(one!, true)
    expect(roster.rest).toMatchObject({ connections: 5, active: 0 })
    expect(shown(roster)).toHaveLength(3)
  })

  it.each([
    ['nothing', {}, null],
    ['a limit', { maxConnections: 9 }, null],
    ['the weight in force', { weight: 0 }, 'health'],
    ['the configured weight', { weight: 5, maxWeight: 5 }, 'weight'],
    ['the address', { address: '10.0.0.99' }, 'set'],
  ] as const)('says what changed: %s', (_, rest, expected) => {
    const roster = new Roster([destination(1), destination(2)], estimator)
    expect(roster.sync([destination(1), destination(2, rest)]).changed).toBe(expected)
  })

  it('a change of order is a change of the set', () => {
    const roster = new Roster([destination(1), destination(2)], estimator)
    expect(roster.sync([destination(2), destination(1)]).changed).toBe('set')
  })

  it('leaves those out that were tried, and them only then', () => {
    const roster = new Roster(
      [destination(1), destination(2, { maxConnections: 1 }), destination(3)],
      estimator,
    )
    roster.opened(roster.members[1]!)
    expect(
      roster.without([roster.members[0]!], () => Array.from(roster.table.overloaded).slice(0, 3)),
    ).toEqual([1, 1, 0])
    expect(Array.from(roster.table.overloaded).slice(0, 3)).toEqual([0, 1, 0])
  })

  it('its table is that of one made afresh, whatever came before', () => {
    const lists = fc.array(fc.uniqueArray(fc.integer({ min: 1, max: 40 }), { maxLength: 40 }), {
      minLength: 1,
      maxLength: 8,
    })
    fc.assert(
      fc.property(lists, (lists) => {
        const roster = new Roster([], estimator)
        for (const ids of lists) roster.sync(ids.map((id) => destination(id, { weight: id })))
        const last = lists.at(-1) ?? []
        expect(shown(roster)).toEqual(
          shown(
            new Roster(
              last.map((id) => destination(id, { weight: id })),
              estimator,
            ),
          ),
        )
        expect(roster.members.map((member) => member.index)).toEqual(last.map((_, index) => index))
      }),
    )
  })
})
