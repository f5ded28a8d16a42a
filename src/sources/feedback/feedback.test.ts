import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { FunctionSpec } from '../../model/function.ts'
import { feedbackDefaults, type FeedbackDecision, type Observation } from './controller.ts'
import { Feedback, type FeedbackFace, type ObservedFunction } from './feedback.ts'

/** A gateway that serves what it is told to, and keeps what is laid over its functions. */
class Gateway implements FeedbackFace {
  readonly specs = new Map<string, FunctionSpec>()
  readonly totals = new Map<string, Observation[]>()
  readonly overlays: {
    name: string
    spec: FunctionSpec
    weights: readonly number[] | null
    until: number
  }[] = []
  readonly decisions: (FeedbackDecision & { readonly name: string; readonly at: number })[] = []

  functions(): ObservedFunction[] {
    return [...this.specs].map(([name, spec]) => ({ name, spec, totals: this.totals.get(name) ?? [] }))
  }

  overlay(name: string, spec: FunctionSpec, weights: readonly number[] | null, until: number): void {
    this.overlays.push({ name, spec, weights, until })
  }

  readonly writes: { name: string; from: FunctionSpec; to: FunctionSpec }[] = []

  write(name: string, from: FunctionSpec, to: FunctionSpec): void {
    this.writes.push({ name, from, to })
  }

  decided(name: string, decision: FeedbackDecision, at: number): void {
    this.decisions.push({ ...decision, name, at })
  }

  put(name: string, ips: readonly string[]): FunctionSpec {
    const spec = { ips, weights: ips.map(() => 1) }
    this.specs.set(name, spec)
    return spec
  }

  /** Each instance answers so many requests more, with these response times. */
  serve(name: string, requests: number, milliseconds: Readonly<Record<string, number>>): void {
    const before = this.totals.get(name) ?? []
    const totals = Object.entries(milliseconds).map(([instance, each]): Observation => {
      const total = before.find((total) => total.instance === instance)
      return {
        instance,
        answered: (total?.answered ?? 0) + requests,
        failed: 0,
        milliseconds: (total?.milliseconds ?? 0) + requests * each,
      }
    })
    this.totals.set(name, totals)
  }
}

const interval = 5000
const started = (gateway: Gateway): Feedback => new Feedback(gateway, feedbackDefaults, interval)

describe('weights by feedback', () => {
  it('go by what happened since the last interval, expire, and are taken away at the end', () => {
    const gateway = new Gateway()
    const spec = gateway.put('resnet', ['a', 'b'])
    // Before it is followed, b was fast.
    gateway.serve('resnet', 10_000, { a: 100, b: 1 })
    const feedback = started(gateway)
    feedback.tick(0)
    expect(gateway.overlays).toEqual([])
    gateway.serve('resnet', 100, { a: 1, b: 100 })
    feedback.tick(interval)
    expect(gateway.overlays).toEqual([{ name: 'resnet', spec, weights: [55, 45], until: 4 * interval }])
    expect(gateway.decisions).toMatchObject([
      { name: 'resnet', instance: 'a', from: 50, to: 55, reason: 'faster', milliseconds: 1, at: interval },
      { name: 'resnet', instance: 'b', from: 50, to: 45, reason: 'slower', milliseconds: 100, at: interval },
    ])
    feedback.stop()
    expect(gateway.overlays.at(-1)).toMatchObject({ name: 'resnet', weights: null })
  })

  it('are laid anew in each interval while they differ, and taken away once they do not', () => {
    const gateway = new Gateway()
    gateway.put('resnet', ['a', 'b'])
    const feedback = started(gateway)
    feedback.tick(0)
    gateway.serve('resnet', 100, { a: 1, b: 100 })
    for (let t = 1; t <= 200; t++) feedback.tick(t * interval)
    const laid = gateway.overlays.filter(({ weights }) => weights !== null)
    expect(laid.map(({ until }) => until)).toEqual(laid.map((_, n) => (n + 4) * interval))
    expect(gateway.overlays.at(-1)?.weights).toBeNull()
    expect(gateway.overlays.length).toBe(laid.length + 1)
  })

  it('follow a function that is written anew, and forget one that is gone', () => {
    const gateway = new Gateway()
    gateway.put('resnet', ['a', 'b'])
    const feedback = started(gateway)
    feedback.tick(0)
    gateway.serve('resnet', 100, { a: 1, b: 100 })
    feedback.tick(1)
    const next = gateway.put('resnet', ['a', 'b', 'c'])
    feedback.tick(2)
    expect(gateway.overlays.at(-1)).toMatchObject({ spec: next, weights: [37, 30, 33] })
    gateway.specs.clear()
    feedback.tick(3)
    gateway.put('resnet', ['a', 'b'])
    const count = gateway.overlays.length
    feedback.tick(4)
    expect(gateway.overlays.length).toBe(count)
  })

  it('take counters that began anew as what happened', () => {
    const gateway = new Gateway()
    gateway.put('resnet', ['a', 'b'])
    gateway.serve('resnet', 10_000, { a: 1, b: 1 })
    const feedback = started(gateway)
    feedback.tick(0)
    gateway.totals.clear()
    gateway.serve('resnet', 100, { a: 1, b: 100 })
    feedback.tick(1)
    expect(gateway.overlays.at(-1)?.weights).toEqual([55, 45])
  })

  it('are written for others with the configured ones beside them, and go on from there after a restart', () => {
    const gateway = new Gateway()
    const spec = gateway.put('resnet', ['a', 'b'])
    const first = started(gateway)
    first.tick(0)
    gateway.serve('resnet', 100, { a: 1, b: 100 })
    first.tick(interval)
    const written = { ...spec, weights: [55, 45], base_weights: [1, 1] }
    expect(gateway.writes).toEqual([{ name: 'resnet', from: spec, to: written }])
    gateway.specs.set('resnet', written)
    // What is written already needs no overlay.
    first.tick(2 * interval)
    expect(gateway.overlays.map(({ weights }) => weights)).toEqual([[55, 45], null])

    const second = started(gateway)
    second.tick(0)
    gateway.serve('resnet', 100, { a: 1, b: 100 })
    second.tick(interval)
    expect(gateway.decisions.slice(-2)).toMatchObject([
      { instance: 'a', from: 55, to: 59 },
      { instance: 'b', from: 45, to: 41 },
    ])
    expect(gateway.writes.at(-1)?.to).toEqual({ ...spec, weights: [59, 41], base_weights: [1, 1] })
    second.stop()
    expect(gateway.writes.at(-1)?.to).toEqual(spec)
  })

  it('are decided in every interval until it is stopped', async () => {
    const gateway = new Gateway()
    gateway.put('resnet', ['a', 'b'])
    const feedback = new Feedback(gateway, feedbackDefaults, 5)
    feedback.start(() => 0)
    while (gateway.overlays.length === 0) {
      gateway.serve('resnet', 100, { a: 1, b: 100 })
      await sleep(1)
    }
    feedback.stop()
    expect(gateway.overlays.at(-1)?.weights).toBeNull()
    const count = gateway.overlays.length
    await sleep(20)
    expect(gateway.overlays.length).toBe(count)
  })
})
