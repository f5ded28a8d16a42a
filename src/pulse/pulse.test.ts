import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { CheckResult, Pulse, Schedule, Undecided } from './check.ts'
import { makePulse, realProbes, type Probes, type PulseSettings } from './pulse.ts'

const up: CheckResult = { up: true, reason: '' }
const down: CheckResult = { up: false, reason: 'connection refused' }

/** Time that stands still until it is told; one timer at a time, as the pulse promises. */
class Clock {
  time = 1_000_000
  #timer: { readonly at: number; readonly fire: () => void } | null = null

  readonly now = (): number => this.time
  readonly timer = (ms: number, fire: () => void): (() => void) => {
    if (this.#timer !== null) throw new Error('a second timer')
    const timer = { at: this.time + ms, fire }
    this.#timer = timer
    return () => {
      if (this.#timer === timer) this.#timer = null
    }
  }

  /** The same as time passing while the process runs. */
  advance(ms: number): void {
    const end = this.time + ms
    while (this.#timer !== null && this.#timer.at <= end) {
      this.time = Math.max(this.time, this.#timer.at)
      this.#fire()
    }
    this.time = end
  }

  /** The process stands still, then goes on. */
  stall(ms: number): void {
    this.time += ms
    if (this.#timer !== null && this.#timer.at <= this.time) this.#fire()
  }

  get idle(): boolean {
    return this.#timer === null
  }

  #fire(): void {
    const timer = this.#timer
    this.#timer = null
    timer?.fire()
  }
}

interface Call {
  readonly port: number
  readonly at: number
  answer(result: CheckResult | Undecided): void
  cancelled: boolean
}

/** A pulse over a clock of its own and a tcp probe that notes each call; `answers` says what comes at once, if anything. */
function rig(
  settings: Partial<PulseSettings<string>> & {
    answers?: (port: number) => CheckResult | Undecided | null
  } = {},
) {
  const { answers = () => null, ...rest } = settings
  const clock = new Clock()
  const calls: Call[] = []
  const results: { key: string; up: boolean; reason: string; at: number }[] = []
  const pending: (() => void)[] = []
  const probes: Probes = {
    ...realProbes,
    tcp: ({ port }, done) => {
      const call: Call = { port, at: clock.time, answer: done, cancelled: false }
      calls.push(call)
      const answer = answers(port)
      if (answer !== null) pending.push(() => (call.cancelled ? undefined : done(answer)))
      return { cancel: () => (call.cancelled = true) }
    },
  }
  const pulse: Pulse<string> = makePulse<string>({
    onResult: (key, result, at) => results.push({ key, ...result, at }),
    probes,
    now: clock.now,
    random: () => 0.5,
    timer: clock.timer,
    ...rest,
  })
  /** Time passes in steps of a millisecond; what was asked is answered within it. */
  const run = (ms: number): void => {
    for (let i = 0; i < ms; i++) {
      clock.advance(1)
      for (const tell of pending.splice(0)) tell()
    }
  }
  return { clock, calls, results, pulse, run }
}

const schedule = (port = 1, more: Partial<Schedule> = {}): Schedule => ({
  check: { kind: 'tcp', address: '127.0.0.1', port, timeoutMs: 5000 },
  intervalMs: 10_000,
  fastIntervalMs: 2000,
  backoffMs: 0,
  firstWithinMs: 10_000,
  ...more,
})

const starts = (calls: readonly Call[], from: number): number[] => calls.map(({ at }) => at - from)

describe('when checks start', () => {
  it('starts at random within the given time, then one interval after each end', () => {
    const { clock, calls, pulse, results } = rig()
    const begin = clock.time
    pulse.set('a', schedule())
    clock.advance(5000)
    expect(starts(calls, begin)).toEqual([5000])
    clock.advance(300)
    calls[0]?.answer(up)
    expect(results).toEqual([{ key: 'a', up: true, reason: '', at: begin + 5300 }])
    clock.advance(9999)
    expect(calls.length).toBe(1)
    clock.advance(1)
    expect(starts(calls, begin)).toEqual([5000, 15_300])
  })

  it('scatters the second check where the first came early', () => {
    const { clock, calls, pulse } = rig({ random: () => 0.25 })
    const begin = clock.time
    pulse.set('a', schedule(1, { firstWithinMs: 2000 }))
    for (const wait of [500, 2500, 10_000]) {
      clock.advance(wait)
      calls.at(-1)?.answer(up)
    }
    expect(starts(calls, begin)).toEqual([500, 3000, 13_000])
  })

  it.each([
    ['recovering', 0, [2000, 4000, 6000]],
    ['down', 0, [2000, 4000, 6000]],
    ['down', 15_000, [2000, 6000, 14_000, 29_000, 44_000]],
    ['down', 1000, [2000, 4000]],
  ] as const)('checks a %s target, back-off %i, at its pace', (pace, backoffMs, expected) => {
    const { clock, calls, pulse } = rig()
    pulse.set('a', schedule(1, { backoffMs, firstWithinMs: 0 }))
    clock.advance(1)
    const begin = clock.time
    calls[0]?.answer(down)
    pulse.setPace('a', pace)
    for (let i = 1; i <= expected.length; i++) {
      while (calls.length <= i) clock.advance(1)
      calls[i]?.answer(pace === 'down' ? down : up)
    }
    expect(starts(calls.slice(1), begin)).toEqual(expected)
  })

  it('spreads the back-off by a tenth either way', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), (random) => {
        const { clock, calls, pulse } = rig({ random: () => random })
        pulse.set('a', schedule(1, { backoffMs: 60_000, firstWithinMs: 0 }))
        clock.advance(1)
        calls[0]?.answer(down)
        pulse.setPace('a', 'down')
        const begin = clock.time
        clock.advance(3000)
        expect(calls.length).toBe(2)
        const gap = (calls[1]?.at ?? 0) - begin
        expect(gap).toBeGreaterThanOrEqual(1800)
        expect(gap).toBeLessThanOrEqual(2201)
      }),
    )
  })

  it('begins the back-off anew each time a target goes down', () => {
    const { clock, calls, pulse } = rig()
    pulse.set('a', schedule(1, { backoffMs: 60_000, firstWithinMs: 0 }))
    clock.advance(1)
    const gaps: number[] = []
    for (const [result, pace] of [
      [down, 'down'],
      [down, 'down'],
      [up, 'recovering'],
      [down, 'down'],
    ] as const) {
      const count = calls.length
      calls.at(-1)?.answer(result)
      pulse.setPace('a', pace)
      const ended = clock.time
      while (calls.length === count) clock.advance(1)
      gaps.push(clock.time - ended)
    }
    expect(gaps).toEqual([2000, 4000, 2000, 2000])
  })

  it('takes a pace told later, from the end of the last check', () => {
    const { clock, calls, pulse } = rig()
    pulse.set('a', schedule(1, { firstWithinMs: 0 }))
    clock.advance(1)
    const begin = clock.time
    calls[0]?.answer(down)
    clock.advance(1500)
    pulse.setPace('a', 'down')
    clock.advance(500)
    expect(starts(calls.slice(1), begin)).toEqual([2000])
  })

  it('takes a pace told from within the result', () => {
    const { clock, calls, pulse } = rig({ onResult: (key) => pulse.setPace(key, 'down') })
    pulse.set('a', schedule(1, { firstWithinMs: 0 }))
    clock.advance(1)
    calls[0]?.answer(down)
    clock.advance(2000)
    expect(calls.length).toBe(2)
  })

  it('never takes the fast interval above the interval', () => {
    const { clock, calls, pulse } = rig()
    pulse.set('a', schedule(1, { intervalMs: 1000, firstWithinMs: 0 }))
    clock.advance(1)
    calls[0]?.answer(down)
    pulse.setPace('a', 'down')
    clock.advance(1000)
    expect(calls.length).toBe(2)
  })

  it('waits out intervals longer than a timer can be set for', () => {
    const { clock, calls, pulse } = rig()
    pulse.set('a', schedule(1, { intervalMs: 2 ** 33, firstWithinMs: 2 ** 33 }))
    clock.advance(2 ** 32 - 1)
    expect(calls.length).toBe(0)
    clock.advance(1)
    expect(calls.length).toBe(1)
  })
})

describe('time-outs', () => {
  it('ends a check that does not answer, and names the time', () => {
    const { clock, calls, pulse, results } = rig()
    pulse.set('a', schedule(1, { firstWithinMs: 0 }))
    clock.advance(1)
    clock.advance(4999)
    expect(results).toEqual([])
    clock.advance(1)
    expect(results).toMatchObject([{ up: false, reason: 'no answer within 5 s' }])
    expect(calls[0]?.cancelled).toBe(true)
    expect(pulse.inFlight).toBe(0)
    calls[0]?.answer(up)
    expect(results.length).toBe(1)
  })

  it('does not take its own standstill for the target’s', () => {
    const { clock, calls, pulse, results } = rig()
    pulse.set('a', schedule(1, { firstWithinMs: 0 }))
    pulse.set('b', schedule(2, { firstWithinMs: 0 }))
    clock.advance(1)
    clock.stall(60_000)
    expect(results).toEqual([])
    calls[0]?.answer(up)
    clock.advance(100)
    expect(results.map(({ key, up }) => [key, up])).toEqual([
      ['a', true],
      ['b', false],
    ])
  })
})

describe('a check without a verdict', () => {
  it('is told apart, and repeated at the fast interval', () => {
    const reasons: string[] = []
    const { clock, calls, pulse, results } = rig({
      onUndecided: (key, reason) => reasons.push(`${key}: ${reason}`),
    })
    pulse.set('a', schedule(1, { firstWithinMs: 0 }))
    clock.advance(1)
    calls[0]?.answer({ up: null, reason: 'out of file descriptors' })
    expect(results).toEqual([])
    expect(reasons).toEqual(['a: out of file descriptors'])
    clock.advance(2000)
    expect(calls.length).toBe(2)
  })
})

describe('changes', () => {
  it('leaves an equal schedule alone and begins anew with another', () => {
    const { clock, calls, pulse } = rig()
    pulse.set('a', schedule())
    clock.advance(4999)
    pulse.set('a', schedule())
    clock.advance(1)
    expect(calls.length).toBe(1)
    pulse.set('a', schedule(2))
    expect([calls[0]?.cancelled, pulse.inFlight, pulse.size]).toEqual([true, 0, 1])
    clock.advance(5000)
    expect(calls.map(({ port }) => port)).toEqual([1, 2])
  })

  it.each(['intervalMs', 'fastIntervalMs', 'backoffMs'] as const)('sees a change of %s', (name) => {
    const { clock, calls, pulse } = rig()
    pulse.set('a', schedule(1, { firstWithinMs: 0 }))
    clock.advance(1)
    pulse.set('a', schedule(1, { firstWithinMs: 0, [name]: 1234 }))
    expect(calls[0]?.cancelled).toBe(true)
  })

  it('checks a target that is down soon after a change', () => {
    const { clock, calls, pulse } = rig()
    pulse.set('a', schedule())
    pulse.setPace('a', 'down')
    pulse.set('a', schedule(2))
    clock.advance(1000)
    expect(calls.map(({ port }) => port)).toEqual([2])
  })

  it('gives no result of what was deleted, at any state', () => {
    const { clock, calls, pulse, results } = rig({ maxInFlight: 1 })
    for (const key of ['running', 'queued', 'waiting']) {
      pulse.set(key, schedule(1, { firstWithinMs: key === 'waiting' ? 10_000 : 0 }))
    }
    clock.advance(1)
    expect(pulse.inFlight).toBe(1)
    for (const key of ['queued', 'waiting', 'running', 'never there']) pulse.delete(key)
    expect([pulse.size, pulse.inFlight]).toEqual([0, 0])
    calls[0]?.answer(up)
    clock.advance(100_000)
    expect([calls.length, results]).toEqual([1, []])
    expect(clock.idle).toBe(true)
  })

  it('can be deleted and set from within a result', () => {
    const { calls, clock, pulse } = rig({
      onResult: (key) => {
        pulse.delete(key)
        pulse.set('next', schedule(2, { firstWithinMs: 0 }))
      },
    })
    pulse.set('a', schedule(1, { firstWithinMs: 0 }))
    clock.advance(5001)
    clock.advance(1)
    expect(calls.map(({ port }) => port)).toEqual([1, 2])
    expect([pulse.size, pulse.inFlight]).toEqual([1, 1])
  })

  it('is silent after close', () => {
    const { clock, calls, pulse, results } = rig()
    pulse.set('a', schedule(1, { firstWithinMs: 0 }))
    clock.advance(1)
    pulse.close()
    calls[0]?.answer(up)
    pulse.set('b', schedule(1, { firstWithinMs: 0 }))
    clock.advance(100_000)
    expect(results).toEqual([])
    expect([calls[0]?.cancelled, calls.length, pulse.size, pulse.inFlight, clock.idle]).toEqual([
      true,
      1,
      0,
      0,
      true,
    ])
  })
})

describe('room', () => {
  it('never has more checks open than allowed, and loses none', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.array(fc.constantFrom<CheckResult | null>(up, down, null), { minLength: 1, maxLength: 30 }),
        (maxInFlight, answers) => {
          const { calls, pulse, results, run } = rig({
            maxInFlight,
            answers: (port) => answers[port] ?? null,
          })
          answers.forEach((_, port) =>
            pulse.set(String(port), schedule(port, { firstWithinMs: 0, check: check(port, 20) })),
          )
          for (let i = 0; i < 800; i++) {
            run(1)
            expect(pulse.inFlight).toBeLessThanOrEqual(maxInFlight)
          }
          expect(new Set(calls.map(({ port }) => port)).size).toBe(answers.length)
          for (const { key, up } of results) expect(up).toBe(answers[Number(key)]?.up ?? false)
        },
      ),
      { numRuns: 30 },
    )
  })

  it('starts no more at once than a turn may, and the rest soon after', () => {
    const { clock, calls, pulse } = rig()
    for (let port = 1; port <= 200; port++) pulse.set(String(port), schedule(port, { firstWithinMs: 0 }))
    clock.advance(1)
    expect(calls.length).toBe(64)
    clock.advance(3)
    expect(calls.length).toBe(200)
  })

  it('keeps half of the room from targets that failed', () => {
    const black = (port: number): boolean => port > 100
    const { calls, pulse, run } = rig({ maxInFlight: 8, answers: (port) => (black(port) ? null : up) })
    for (let port = 1; port <= 20; port++)
      pulse.set(String(port), schedule(port, { intervalMs: 500, firstWithinMs: 500 }))
    for (let port = 101; port <= 140; port++) {
      pulse.set(
        String(port),
        schedule(port, {
          intervalMs: 500,
          fastIntervalMs: 100,
          firstWithinMs: 500,
          check: check(port, 1000),
        }),
      )
    }
    // Forty black holes at 1 s a check fill a room of eight for good: 40 > 4 × (1 s + 0.1 s).
    run(20_000)
    const from = calls.length
    run(20_000)
    const seen = calls.slice(from)
    const late: number[] = []
    for (let port = 1; port <= 20; port++) {
      const times = seen.filter((call) => call.port === port).map(({ at }) => at)
      late.push(...times.slice(1).map((at, i) => at - (times[i] ?? 0) - 501))
    }
    expect(Math.max(...late)).toBeLessThanOrEqual(1)
    expect(seen.filter(({ port }) => black(port)).length).toBeGreaterThanOrEqual(70)
  })
})

const check = (port: number, timeoutMs: number): Schedule['check'] => ({
  kind: 'tcp',
  address: '127.0.0.1',
  port,
  timeoutMs,
})
