import { compare, type MessageKind } from '../../src/proxy/http/referenceCompare.ts'
import {
  type Random,
  randomChunks,
  randomRequest,
  randomResponse,
} from '../../src/proxy/http/referenceInputs.ts'
import { seeded } from '../rig.ts'
import type { Show } from './show.ts'

const inputs = { full: 1_000_000, reduced: 20_000 } as const
/** One of so many is cut at each position, and each of its beginnings is an input by itself. */
const deepEvery = { full: 200, reduced: 100 } as const

const makers: readonly (readonly [kind: MessageKind, make: (random: Random) => string])[] = [
  ['request', randomRequest],
  ['request', randomRequest],
  ['response', randomResponse],
  ['response to HEAD', randomResponse],
  ['chunks', randomChunks],
]

/** HTTP/1.1 heads and chunked bodies, right, wrong and mutated: the scanner and a slow reference parser agree on each. */
export const httpFuzz: Show = {
  about:
    'the HTTP/1.1 scanner and a slow reference parser agree on random and mutated messages, however they are cut',
  async run(size) {
    const seed = Date.now() >>> 0
    const unit = seeded(seed)
    const random: Random = (below) => Math.floor(unit() * below)
    const verdicts: Record<string, number> = {}
    for (let index = 0; index < inputs[size]; index++) {
      const [kind, make] = makers[index % makers.length]!
      let verdict: string
      try {
        verdict = compare(kind, make(random), random, index % deepEvery[size] === 0)
      } catch (error) {
        throw new Error(`seed ${seed}, input ${index}: ${(error as Error).message}`, { cause: error })
      }
      verdicts[verdict] = (verdicts[verdict] ?? 0) + 1
    }
    const found = Object.entries(verdicts).map(([verdict, count]) => `${verdict} ${count}`)
    return { inputs: inputs[size], seed, verdicts: found.sort().join(', ') }
  },
}
