/** A time during which one request goes out every `everyMs`. */
export interface Phase {
  readonly everyMs: number
  readonly lastsMs: number
}

const phaseMs = 5000

/** Milliseconds between requests, one a phase: 1.25, 10, 2, 10, 5 and 20 requests a second. */
const steps = [800, 100, 500, 100, 200, 50] as const

export type PatternName = 'random' | 'steps'

/** The load of the workshop's two clients: without end and random, or six fixed phases (half a minute). */
export function ratePattern(name: PatternName, random: () => number): Iterable<Phase> {
  return name === 'steps' ? steps.map((everyMs) => ({ everyMs, lastsMs: phaseMs })) : randomPhases(random)
}

/** Uniform over 0..998 ms, drawn anew for each phase. An interval of 0 counts as 1 ms, so that the rate stays finite. */
function* randomPhases(random: () => number): Generator<Phase> {
  for (;;) yield { everyMs: Math.max(1, Math.floor(random() * 999)), lastsMs: phaseMs }
}

/** The moments at which requests go out, in milliseconds from the start, with the phase each belongs to. */
export function* sendTimes(
  phases: Iterable<Phase>,
): Generator<{ readonly at: number; readonly phase: Phase }> {
  let start = 0
  for (const phase of phases) {
    for (let at = start; at < start + phase.lastsMs; at += phase.everyMs) yield { at, phase }
    start += phase.lastsMs
  }
}

/** Numbers in [0, 1) from a seed: the same seed, the same load (mulberry32, T. Ettinger, public domain). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
