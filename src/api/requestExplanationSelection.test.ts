import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Board, type BoardSize } from '../gateway/board.ts'
import { Publisher } from '../gateway/publisher.ts'
import { allFull, noneUsable, select } from '../gateway/selection.ts'
import { Statistics } from '../gateway/statistics.ts'
import { selectionMethods, type FunctionSpec } from '../model/function.ts'
import { explainRequest, type Situation } from './requestExplanation.ts'

const size: BoardSize = { upstreams: 8, functions: 2, members: 8 }
const now = 1000

const instance = fc.record({
  weight: fc.integer({ min: 0, max: 4 }),
  active: fc.integer({ min: 0, max: 3 }),
  isResolved: fc.boolean(),
  isEjected: fc.boolean(),
  isGateway: fc.boolean(),
})

it('agrees with the selection of the gateway', () => {
  fc.assert(
    fc.property(
      fc.array(instance, { maxLength: 5 }),
      fc.constantFrom(...selectionMethods),
      fc.boolean(),
      fc.boolean(),
      fc.boolean(),
      (instances, method, isLimited, isLocal, canEject) => {
        const all = instances.map((of, index) => ({ ...of, text: `${index}.test:80` }))
        const spec: FunctionSpec = {
          ips: all.map(({ text }) => text),
          weights: all.map(({ weight }) => weight),
          method,
          ...(isLimited ? { limits: { in_flight: 2 } } : {}),
          ...(canEject ? {} : { ejection: null }),
        }
        const published: Situation['published'] = {
          name: 'f',
          owner: 'rest',
          zone: '',
          spec,
          overlay: null,
          instances: all.map(({ text, isResolved }) => ({
            text,
            address: isResolved ? '192.0.2.1' : '',
            port: 80,
          })),
        }
        const board = new Board(size, 0)
        const gateways = new Set(all.filter(({ isGateway }) => isGateway).map(({ text }) => text))
        const statistics = [new Statistics(size.members, size.functions)]
        const publisher = new Publisher({ board, statistics, gateways })
        publisher.change([{ name: 'f', published }])
        const route = publisher.route('f')!
        for (const [index, { active, isEjected }] of all.entries()) {
          const { upstream } = route.members[index]!
          for (let i = 0; i < active; i++) board.acquire(upstream, 0)
          if (isEjected) board.eject(upstream, now, 5000, 5000)
        }
        const state = {
          waiting: 0,
          instances: all.map(({ text, active, isEjected, isGateway }) => ({
            instance: text,
            active,
            isEjected,
            isGateway,
          })),
        } as unknown as Situation['state']
        const situation = { published, claims: [], weights: spec.weights, health: () => null, state }
        const found = explainRequest(
          { target: '/function/f', passed: isLocal ? 1 : 0 },
          { zones: ['z'], dummy: false, hopLimit: 1, vouched: 'signed' },
          1,
          () => situation,
          () => '',
        )

        const choice = isLocal ? route.local : route.all
        const taking = found.instances.flatMap(({ out }, index) => (out === '' ? [index] : []))
        const counts = all.map(() => 0)
        // By turns: each of those that may be had once, which is a whole round.
        const rounds =
          method === 'hash' ? 50 : [...choice.order].filter((member) => taking.includes(member)).length
        for (let i = 0; i < Math.max(rounds, 1); i++) {
          const member = select(route, choice, board, now, i, [])
          if (member === noneUsable) {
            expect([502, 503, 508]).toContain(found.status)
            expect(found.path).toBe('')
            return
          }
          if (member === allFull) {
            expect([found.status, found.path]).toEqual([503, ''])
            return
          }
          board.release(route.members[member]!.upstream)
          expect(taking).toContain(member)
          counts[member]!++
        }
        expect([found.status, found.path]).toEqual([null, '/'])
        if (method === 'wrr')
          expect(counts.map((count) => count / rounds)).toEqual(
            found.instances.map(({ share }) => expect.closeTo(share, 9) as number),
          )
      },
    ),
    { numRuns: 500 },
  )
})
