import { isDeepStrictEqual } from 'node:util'
import type { FunctionName, FunctionSpec } from '../../model/function.ts'
import {
  resumed,
  step,
  type FeedbackDecision,
  type FeedbackOptions,
  type FeedbackState,
  type Observation,
} from './controller.ts'

/** What feedback needs of those above whom it lays its weights. */
export interface FeedbackFace {
  /** The functions in force. */
  functions(): Iterable<ObservedFunction>
  /**
   * Lays weights, one for each of `spec.ips`, over those of `spec` until then (milliseconds since the epoch), for as long as
   * the function in force has this very `spec`; null takes them away. Whatever is written to the function ends them.
   */
  overlay(name: FunctionName, spec: FunctionSpec, weights: readonly number[] | null, until: number): void
  /** Has the function be `to` wherever it is shared, unless it is `from` no more. */
  write(name: FunctionName, from: FunctionSpec, to: FunctionSpec): void
  /** Something was decided. */
  decided(name: FunctionName, decision: FeedbackDecision, at: number): void
}

export interface ObservedFunction {
  readonly name: FunctionName
  readonly spec: FunctionSpec
  /** Totals since they began to be counted, at most one for each of `spec.ips`. */
  readonly totals: readonly Observation[]
}

interface Followed {
  readonly state: FeedbackState
  readonly totals: ReadonlyMap<string, Observation>
  readonly overlaid: boolean
}

/** Weights by feedback as a source: one overlay a function, laid anew in every interval. */
export class Feedback {
  readonly #face: FeedbackFace
  readonly #options: FeedbackOptions
  readonly #intervalMs: number
  readonly #followed = new Map<FunctionName, Followed>()
  #timer: NodeJS.Timeout | null = null

  constructor(face: FeedbackFace, options: FeedbackOptions, intervalMs: number) {
    this.#face = face
    this.#options = options
    this.#intervalMs = intervalMs
  }

  start(now: () => number): void {
    this.#timer ??= setInterval(() => this.tick(now()), this.#intervalMs)
  }

  /** Observes and decides once, for all functions; `start` does it in every interval. */
  tick(now: number): void {
    const present = new Set<FunctionName>()
    for (const observed of this.#face.functions()) {
      present.add(observed.name)
      this.#follow(observed, now)
    }
    for (const name of this.#followed.keys()) if (!present.has(name)) this.#followed.delete(name)
  }

  /** Decides no more by itself. */
  pause(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  /** Ends it; the weights are the configured ones again. */
  stop(): void {
    this.pause()
    for (const { name, spec } of this.#face.functions()) {
      const followed = this.#followed.get(name)
      if (followed?.overlaid === true) this.#face.overlay(name, spec, null, 0)
      if (followed !== undefined && spec.base_weights !== undefined)
        this.#face.write(name, spec, withWeights(spec, null))
    }
    this.#followed.clear()
  }

  #follow({ name, spec, totals }: ObservedFunction, now: number): void {
    const before = this.#followed.get(name)
    const latest = new Map(totals.map((total) => [total.instance, total]))
    // What was counted before it was followed says nothing of the present.
    const observations = before === undefined ? [] : totals.map((total) => since(total, before.totals))
    const base = spec.base_weights ?? spec.weights
    const configured = spec.ips.map((instance, n) => ({ instance, weight: base[n] ?? 0 }))
    const remembered = before?.state ?? resumed(configured, spec.weights)
    const { state, weights, decisions } = step(remembered, configured, observations, this.#options)
    for (const decision of decisions) this.#face.decided(name, decision, now)
    const overlaid = !isDeepStrictEqual(weights ?? base, spec.weights)
    this.#followed.set(name, { state, totals: latest, overlaid })
    // Three intervals: one may be missed without the weights falling back.
    if (overlaid) this.#face.overlay(name, spec, weights ?? base, now + 3 * this.#intervalMs)
    else if (before?.overlaid === true) this.#face.overlay(name, spec, null, 0)
    if (overlaid) this.#face.write(name, spec, withWeights(spec, weights))
  }
}

/** The function with weights of feedback; null: with the configured ones. */
function withWeights(spec: FunctionSpec, weights: readonly number[] | null): FunctionSpec {
  const { base_weights: written, ...rest } = spec
  const base = written ?? spec.weights
  return weights === null ? { ...rest, weights: base } : { ...rest, weights, base_weights: base }
}

/** A counter that is lower than before began anew. */
function since(total: Observation, before: ReadonlyMap<string, Observation>): Observation {
  const earlier = before.get(total.instance)
  if (earlier === undefined || earlier.answered > total.answered || earlier.failed > total.failed)
    return total
  return {
    instance: total.instance,
    answered: total.answered - earlier.answered,
    failed: total.failed - earlier.failed,
    milliseconds: total.milliseconds - earlier.milliseconds,
  }
}
