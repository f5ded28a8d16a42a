import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { EventLog, type TorbEvent } from '../../control/events.ts'
import type { FunctionOwner, PublishedFunction } from '../../control/functions.ts'
import type { FunctionSpec } from '../../model/function.ts'
import { feedbackDefaults } from './controller.ts'
import { startFeedback, type FeedbackParts, type FeedbackSource } from './start.ts'

const settings = { intervalMs: 5, controller: feedbackDefaults, writes: true }

interface World {
  readonly owner: FunctionOwner
  /** What becomes of a request to each of two instances. */
  readonly counts: readonly object[]
  readonly write?: () => Promise<void>
}

interface Ran {
  readonly feedback: FeedbackSource
  readonly overlays: (readonly number[] | null)[]
  readonly written: FunctionSpec[]
  readonly warnings: string[]
  readonly events: TorbEvent[]
}

/** Feedback over a function whose instances answer 100 requests in each interval. */
function run({ owner, counts, write = () => Promise.resolve() }: World): Ran {
  const spec: FunctionSpec = { ips: ['a', 'b'], weights: [1, 1] }
  const published: PublishedFunction = { name: 'f', owner, zone: 'z', spec, overlay: null, instances: [] }
  const [overlays, written, warnings, events]: [
    (readonly number[] | null)[],
    FunctionSpec[],
    string[],
    TorbEvent[],
  ] = [[], [], [], []]
  const log = new EventLog()
  log.subscribe(({ event }) => events.push(event))
  let intervals = 0
  const counted = (count: object, instance: string): never => {
    const all = {
      informational: 0,
      successful: 0,
      redirected: 0,
      clientErrors: 0,
      serverErrors: 0,
      failures: 0,
    }
    const sums = Object.entries({ milliseconds: 0, ...all, ...count } as Record<string, number>).map(
      ([name, each]) => [name, each * 100 * intervals],
    )
    return { instance, ...Object.fromEntries(sums) } as never
  }
  const parts: FeedbackParts = {
    table: {
      names: () => ['f', 'gone'],
      function: (name) => (name === 'f' ? published : null),
      overlay: (_name, _spec, weights) => overlays.push(weights),
    },
    gateway: {
      state: (name) => {
        if (name !== 'f') return null
        intervals++
        return { instances: counts.map((count, n) => counted(count, spec.ips[n] ?? '')) }
      },
    },
    events: log,
    log: { info: () => undefined, warn: (_fields, text) => void warnings.push(text) },
    etcd: {
      write: (_zone, _name, _from, to) => {
        written.push(to)
        return write()
      },
    },
  }
  return { feedback: startFeedback(settings, parts), overlays, written, warnings, events }
}

const good = { successful: 1, milliseconds: 10 }

describe('feedback over a gateway', () => {
  it.each([
    ['slower', { successful: 1, milliseconds: 40 }],
    // Fast, were they answers.
    ['failing', { serverErrors: 1, failures: 1 }],
    ['failing', { failures: 1 }],
  ])('takes work from an instance that is %s', async (reason, other) => {
    const { feedback, overlays, events } = run({ owner: 'rest', counts: [good, other] })
    while (overlays.length === 0) await sleep(1)
    await feedback.close()
    expect(overlays[0]).toEqual([55, 45])
    expect(events.slice(0, 2)).toMatchObject([
      { type: 'instance-weight-changed', function: 'f', instance: 'a', from: 50, to: 55 },
      { type: 'instance-weight-changed', function: 'f', instance: 'b', from: 50, to: 45, reason },
    ])
    expect(overlays.at(-1)).toBeNull()
  })

  it('takes an answer of 4xx for an answer', async () => {
    const { feedback, overlays } = run({
      owner: 'rest',
      counts: [good, { clientErrors: 1, milliseconds: 10 }],
    })
    await sleep(50)
    await feedback.close()
    expect(overlays).toEqual([])
  })

  it('writes what is of etcd only, one write at a time', async () => {
    const slow = { successful: 1, milliseconds: 40 }
    const own = run({ owner: 'file', counts: [good, slow] })
    const done = Promise.withResolvers<void>()
    const etcd = run({ owner: 'etcd', counts: [good, slow], write: () => done.promise })
    while (own.overlays.length < 5 || etcd.overlays.length < 5) await sleep(1)
    expect(own.written).toEqual([])
    expect(etcd.written).toEqual([{ ips: ['a', 'b'], weights: [55, 45], base_weights: [1, 1] }])
    done.resolve()
    await Promise.all([own.feedback.close(), etcd.feedback.close()])
  })

  it('goes on with the overlay where etcd does not take it, and says so once', async () => {
    const refused = (): Promise<void> => Promise.reject(new Error('etcd does not answer'))
    const counts = [good, { successful: 1, milliseconds: 40 }]
    const { feedback, overlays, written, warnings } = run({ owner: 'etcd', counts, write: refused })
    while (written.length < 3) await sleep(1)
    await feedback.close()
    expect(overlays.length).toBeGreaterThanOrEqual(3)
    expect(warnings).toEqual(['feedback: weights are not written to etcd: etcd does not answer'])
  })
})
