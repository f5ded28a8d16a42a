import type { EventLog, Log } from '../../control/events.ts'
import type { PublishedFunction } from '../../control/functions.ts'
import type { FunctionName, FunctionSpec } from '../../model/function.ts'
import type { FeedbackOptions, Observation } from './controller.ts'
import { Feedback, type ObservedFunction } from './feedback.ts'

export interface FeedbackSettings {
  readonly controller: FeedbackOptions
  readonly intervalMs: number
  /** The weights of functions that are etcd's are written to etcd as well. */
  readonly writes: boolean
}

/** Who has the functions: the FunctionTable. */
interface Table {
  names(): readonly FunctionName[]
  function(name: FunctionName): PublishedFunction | null
  overlay(name: FunctionName, spec: FunctionSpec, weights: readonly number[] | null, until: number): void
}

/** Who counts what becomes of their requests: the Gateway. */
interface Counting {
  state(name: FunctionName): { readonly instances: readonly InstanceCounters[] } | null
}

interface InstanceCounters {
  readonly instance: string
  readonly informational: number
  readonly successful: number
  readonly redirected: number
  readonly clientErrors: number
  readonly serverErrors: number
  /** As ejection counts them: no answer, or one of 502 to 504. */
  readonly failures: number
  readonly milliseconds: number
}

/** Who writes functions to etcd: EtcdSource. */
interface Writer {
  write(zone: string, name: FunctionName, from: FunctionSpec, to: FunctionSpec): Promise<void>
}

export interface FeedbackParts {
  readonly table: Table
  readonly gateway: Counting
  readonly events: EventLog
  readonly log: Log
  /** null: there is no etcd. */
  readonly etcd: Writer | null
  readonly now?: () => number
}

export interface FeedbackSource {
  /** Ends it: the weights are the configured ones again. */
  close(): Promise<void>
}

/** Moves the weights of all functions toward equal response time until `close`. */
export function startFeedback(settings: FeedbackSettings, parts: FeedbackParts): FeedbackSource {
  const { table, gateway, events, log, etcd, now = Date.now } = parts
  const writer = settings.writes ? etcd : null
  const writing = new Map<FunctionName, Promise<void>>()
  /** One outage is told once. */
  let isRefused = false

  function* observed(): Iterable<ObservedFunction> {
    for (const name of table.names()) {
      const spec = table.function(name)?.spec
      const state = gateway.state(name)
      if (spec !== undefined && state !== null)
        yield { name, spec, totals: state.instances.map(observationOf) }
    }
  }

  function write(name: FunctionName, from: FunctionSpec, to: FunctionSpec): void {
    const published = table.function(name)
    // One at a time: the next interval has another.
    if (writer === null || published?.owner !== 'etcd' || published.spec !== from || writing.has(name)) return
    const done = writer
      .write(published.zone, name, from, to)
      .then(() => void (isRefused = false))
      .catch((error: unknown) => {
        const text = error instanceof Error ? error.message : String(error)
        if (!isRefused) log.warn({}, `feedback: weights are not written to etcd: ${text}`)
        isRefused = true
      })
      .finally(() => writing.delete(name))
    writing.set(name, done)
  }

  const feedback = new Feedback(
    {
      functions: observed,
      overlay: (name, spec, weights, until) => table.overlay(name, spec, weights, until),
      write,
      decided: (name, decision, at) =>
        events.record({ at, type: 'instance-weight-changed', function: name, ...decision }),
    },
    settings.controller,
    settings.intervalMs,
  )
  feedback.start(now)
  return {
    close: async () => {
      feedback.pause()
      await Promise.all(writing.values())
      feedback.stop()
      await Promise.all(writing.values())
    },
  }
}

/** A request counts once, be it that no answer came or one that says that the server failed. */
function observationOf(counters: InstanceCounters): Observation {
  const { instance, informational, successful, redirected, clientErrors, milliseconds } = counters
  return {
    instance,
    answered: informational + successful + redirected + clientErrors,
    failed: Math.max(counters.serverErrors, counters.failures),
    milliseconds,
  }
}
