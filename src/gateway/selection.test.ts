import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseFunction, type FunctionSpec } from '../model/function.ts'
import { Board } from './board.ts'
import { Publisher } from './publisher.ts'
import type { Route } from './route.ts'
import { schedule } from './schedule.ts'
import { allFull, noneUsable, select } from './selection.ts'
import { Statistics } from './statistics.ts'

const now = 1_800_000_000_000
const size = { upstreams: 64, functions: 4, members: 64 }

/** A function as Workers have it. Instances whose name begins with "g" are gateways, with "?" do not resolve. */
function routed(
  instances: readonly string[],
  more: Partial<FunctionSpec> = {},
): { route: Route; board: Board } {
  const board = new Board(size, now)
  const gateways = new Set(instances.filter((text) => text.startsWith('g')))
  const publisher = new Publisher({ board, statistics: [new Statistics(64, 4)], gateways })
  const spec: FunctionSpec = { ips: instances, weights: instances.map(() => 1), ...more }
  const placed = instances.map((text) => ({
    text,
    address: text.startsWith('?') ? '' : '127.0.0.1',
    port: 80,
  }))
  const [route] = publisher.change([{ name: 'f', published: { spec, instances: placed } }]).change.functions
  if (route === undefined) throw new Error('the function has no route')
  return { route, board }
}

const chosen = (
  route: Route,
  board: Board,
  count: number,
  hash = 0,
  tried: readonly number[] = [],
): number[] =>
  Array.from({ length: count }, () => {
    const member = select(route, route.all, board, now, hash, tried)
    if (member >= 0) board.release(route.members[member]!.upstream)
    return member
  })

describe('wrr', () => {
  it('gives the order of the schedule, whatever the weights', () => {
    const weights = fc.array(fc.nat(20), { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(weights, (weights) => {
        const { route, board } = routed(
          weights.map((_, index) => `i${index}`),
          { weights },
        )
        const order = [...schedule(weights)]
        expect(chosen(route, board, 2 * order.length)).toEqual([...order, ...order])
      }),
    )
  })

  it('gives the order of the schedule where all are ejected, and loses no turn while all are full', () => {
    const weights = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(weights, (weights) => {
        const { route, board } = routed(
          weights.map((_, index) => `i${index}`),
          { weights, limits: { in_flight: 1 } },
        )
        const order = [...schedule(weights)]
        for (const { upstream } of route.members) board.acquire(upstream, 1)
        expect(chosen(route, board, 3)).toEqual([allFull, allFull, allFull])
        for (const { upstream } of route.members) {
          board.release(upstream)
          board.eject(upstream, now, 1000, 1000)
        }
        expect(chosen(route, board, 2 * order.length)).toEqual([...order, ...order])
      }),
    )
  })

  it('passes over ejected, unresolved and full ones', () => {
    const { route, board } = routed(['a', 'b', '?c', 'd'], { limits: { in_flight: 1 } })
    expect(chosen(route, board, 6)).toEqual([0, 1, 3, 0, 1, 3])
    board.eject(route.members[1]!.upstream, now, 1000, 1000)
    expect(chosen(route, board, 4)).toEqual([0, 3, 0, 3])
    board.acquire(route.members[3]!.upstream, 1)
    expect(chosen(route, board, 3)).toEqual([0, 0, 0])
    board.acquire(route.members[0]!.upstream, 1)
    // Full ones are waited for; one that is out is not asked instead.
    expect(chosen(route, board, 1)).toEqual([allFull])
  })
})

describe.each(['wrr', 'least-request', 'hash'] as const)('%s', (method) => {
  it('takes ejected ones where there are no others', () => {
    const { route, board } = routed(['a', 'b'], { method })
    for (const { upstream } of route.members) board.eject(upstream, now, 1000, 1000)
    expect(chosen(route, board, 4, 7).every((member) => member >= 0)).toBe(true)
  })

  it('does not take what was tried, nor what has no weight', () => {
    const { route, board } = routed(['a', 'b', 'c'], { method, weights: [1, 0, 1] })
    const [a, , c] = route.members.map(({ upstream }) => upstream)
    expect(new Set(chosen(route, board, 20, 7, [a!]))).toEqual(new Set([2]))
    expect(chosen(route, board, 1, 7, [a!, c!])).toEqual([noneUsable])
  })

  it('does not take what was tried, however long the list, and however often it has it', () => {
    const names = Array.from({ length: 40 }, (_, index) => (index < 39 ? `i${index}` : 'i38'))
    const { route, board } = routed(names, { method })
    const tried = route.members[39]!.upstream
    for (let hash = 0; hash < 200; hash++) {
      const member = chosen(route, board, 1, hash, [tried])[0]!
      expect(route.members[member]!.text).not.toBe('i38')
    }
  })

  it('has nobody where no instance resolves', () => {
    const { route, board } = routed(['?a', '?b'], { method })
    expect(chosen(route, board, 2)).toEqual([noneUsable, noneUsable])
  })

  it('keeps gateways out of the choice without them', () => {
    const { route, board } = routed(['a', 'gateway'], { method })
    const local = Array.from({ length: 10 }, (_, hash) => select(route, route.local, board, now, hash, []))
    expect(new Set(local)).toEqual(new Set([0]))
  })
})

describe('least-request', () => {
  it('takes the one with the fewest requests for its weight', () => {
    const { route, board } = routed(['a', 'b'], { method: 'least-request', weights: [3, 1] })
    const held = Array.from({ length: 8 }, () => select(route, route.all, board, now, 0, []))
    expect(held.filter((member) => member === 0)).toHaveLength(6)
  })
})

describe('hash', () => {
  it('stays with an instance, and moves only where that is out', () => {
    const spec = parseFunction('{"ips":["a","b","c"],"weights":[1,1,1],"method":"hash"}')
    const { route, board } = routed(spec.ips, spec)
    const homes = Array.from({ length: 300 }, (_, hash) => chosen(route, board, 1, hash)[0])
    for (const member of [0, 1, 2]) expect(homes.filter((home) => home === member).length).toBeGreaterThan(50)
    board.eject(route.members[2]!.upstream, now, 1000, 1000)
    const moved = Array.from({ length: 300 }, (_, hash) => chosen(route, board, 1, hash)[0])
    for (const [hash, home] of homes.entries()) {
      if (home === 2) expect(moved[hash]).not.toBe(2)
      else expect(moved[hash]).toBe(home)
    }
  })
})
