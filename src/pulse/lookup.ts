import { lookup as lookUp, type LookupAddress, type LookupOptions } from 'node:dns'
import type { LookupFunction } from 'node:net'

type Answer = Parameters<LookupFunction>[2]

const asking = new Map<string, Answer[]>()

/**
 * node:dns's lookup with at most one question about a name at a time. It runs on libuv's four threads, and a check that
 * gave up does not take its question back: a silent name server would otherwise gather one for every check.
 */
export const lookup: LookupFunction = (name, options, answer) => {
  const key = `${name} ${String(options.family)} ${options.all === true} ${options.hints ?? 0}`
  const waiting = asking.get(key)
  if (waiting !== undefined) {
    waiting.push(answer)
    return
  }
  const answers = [answer]
  asking.set(key, answers)
  const asked: LookupOptions = options
  lookUp(name, asked, (error, address: string | LookupAddress[], family?: number) => {
    asking.delete(key)
    for (const tell of answers) tell(error, address, family)
  })
}
