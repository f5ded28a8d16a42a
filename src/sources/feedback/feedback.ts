import type { FunctionName, FunctionSpec } from '../../model/function.ts'
import {
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
  readonly spec: FunctionSpec
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

  /** Ends it; the weights are the configured ones again. */
  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
    for (const [name, { spec, overlaid }] of this.#followed)
      if (overlaid) this.#face.overlay(name, spec, null, 0)
    this.#followed.clear()
  }

  #follow({ name, spec, totals }: ObservedFunction, now: number): void {
    const before = this.#followed.get(name)
    const latest = new Map(totals.map((total) => [total.instance, total]))
    // What was counted before it was followed says nothing of the present.
    const observations = before === undefined ? [] : totals.map((total) => since(total, before.totals))
    const configured = spec.ips.map((instance, n) => ({ instance, weight: spec.weights[n] ?? 0 }))
    const { state, weights, decisions } = step(
      before?.state ?? new Map(),
      configured,
      observations,
      this.#options,
    )
    this.#followed.set(name, { state, totals: latest, spec, overlaid: weights !== null })
    for (const decision of decisions) this.#face.decided(name, decision, now)
    // Three intervals: one may be missed without the weights falling back.
    if (weights !== null || before?.overlaid === true)
      this.#face.overlay(name, spec, weights, now + 3 * this.#intervalMs)
  }
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
