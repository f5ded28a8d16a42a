import type { InstanceHealth } from '../../control/functionHealth.ts'
import type { FunctionState, InstanceState } from '../../gateway/gateway.ts'
import { latencyBoundsMs } from '../../gateway/statistics.ts'
import type { FunctionFacts } from '../functionFacts.ts'
import { weightsInForce } from '../wireFunction.ts'
import { each, labelPairs, labels, stride, type Exposition, type MetricType } from './exposition.ts'

/**
 * Instances of functions that have series of their own at most: a page of a hundred thousand functions helps nobody. Names of
 * functions and instances come from operators, never from requests, so clients cannot make series.
 */
export const mostInstances = 10_000

interface FunctionRow {
  readonly pairs: string
  readonly text: string
  readonly instances: number
  /** null where no gateway has it. */
  readonly state: FunctionState | null
  /** Each once. */
  readonly states: ReadonlyMap<string, InstanceState>
}

interface InstanceRow {
  readonly pairs: string
  readonly text: string
  readonly weight: number
  /** null: it has no pulse. */
  readonly health: InstanceHealth | null
  readonly state: InstanceState | undefined
}

/** Functions and their instances, as the gateway counts them. Yields now and then. */
export function* writeFunctions(out: Exposition, { table, gateway, health }: FunctionFacts): Generator<void> {
  const running = gateway()
  const pulses = health()
  const functions: FunctionRow[] = []
  const instances: InstanceRow[] = []
  const shared = new Map<string, InstanceState>()
  let without = 0
  for (const name of table.names()) {
    const published = table.function(name)
    if (published === null) continue
    const state = running?.state(name) ?? null
    const pairs = labelPairs({ function: name })
    // An instance may stand in the list more than once.
    const weights = new Map<string, number>()
    const given = weightsInForce(published, pulses)
    for (const [index, { text }] of published.instances.entries())
      weights.set(text, (weights.get(text) ?? 0) + (given[index] ?? 0))
    const states = new Map(state?.instances.map((of) => [of.instance, of]))
    functions.push({ pairs, text: `{${pairs}}`, instances: weights.size, state, states })
    if (functions.length % stride === 0) yield
    if (instances.length + weights.size > mostInstances) {
      without++
      continue
    }
    for (const [instance, weight] of weights) {
      const pairs = labelPairs({ function: name, instance })
      const state = states.get(instance)
      const health = pulses?.state(name, instance) ?? null
      instances.push({ pairs, text: `{${pairs}}`, weight, health, state })
      if (state !== undefined) shared.set(instance, state)
    }
  }
  out.single('torb_functions', 'gauge', 'Functions in force.', functions.length)
  out.single(
    'torb_functions_without_instance_metrics',
    'gauge',
    `Functions whose instances have no series, since there are more than ${mostInstances}.`,
    without,
  )
  yield* writeByFunction(out, functions)
  yield* writeByInstance(out, instances)
  yield* writeShared(out, shared)
}

const unserved = [
  ['overloaded', 'overloaded'],
  ['expired', 'expired'],
  ['unavailable', 'unavailable'],
  ['loop', 'loops'],
] as const

/** Upper bounds in seconds, as texts of the label `le`. */
const bounds = latencyBoundsMs.map((milliseconds) => String(milliseconds / 1000))

function* writeByFunction(out: Exposition, rows: readonly FunctionRow[]): Generator<void> {
  out.family('torb_function_instances', 'gauge', 'Instances of the function.')
  yield* each(rows, ({ text, instances }) => out.sample('torb_function_instances', text, instances))
  out.family('torb_function_waiting_requests', 'gauge', 'Requests in the queue of the function.')
  yield* each(rows, ({ text, state }) => {
    if (state !== null) out.sample('torb_function_waiting_requests', text, state.waiting)
  })
  out.family(
    'torb_function_unserved_requests_total',
    'counter',
    'Requests that came to no instance: the queue was full, they waited in vain, none was there, or gateways had sent them in a circle.',
  )
  yield* each(rows, ({ pairs, state }) => {
    if (state === null) return
    for (const [reason, column] of unserved)
      out.sample('torb_function_unserved_requests_total', `{${pairs},reason="${reason}"}`, state[column])
  })
  const name = 'torb_function_response_duration_seconds'
  out.family(name, 'histogram', 'Time until the head of the answer.')
  yield* each(rows, ({ pairs, state, states }) => {
    if (state === null) return
    const instances = [...states.values()]
    const buckets = [...latencyBoundsMs, Infinity].map((_, bucket) =>
      total(instances, ({ latency }) => latency[bucket] ?? 0),
    )
    const sum = total(instances, ({ milliseconds }) => milliseconds) / 1000
    const count = total(instances, ({ latency }) => latency.reduce((all, here) => all + here, 0))
    out.histogram(name, pairs, bounds, buckets, count, sum)
  })
}

const total = (instances: readonly InstanceState[], value: (state: InstanceState) => number): number =>
  instances.reduce((sum, state) => sum + value(state), 0)

const counters: readonly [suffix: string, help: string, value: (state: InstanceState) => number][] = [
  ['requests_total', 'Requests for which the instance was the first choice.', (state) => state.requests],
  ['retries_total', 'Requests that came to it since another one failed.', (state) => state.retries],
  [
    'failures_total',
    'No connection, no answer in time, a broken one, or a status of 502 to 504.',
    (state) => state.failures,
  ],
  [
    'response_seconds_total',
    'Time until the heads of its answers, summed.',
    (state) => state.milliseconds / 1000,
  ],
  ['received_bytes_total', 'Bytes of bodies from clients.', (state) => state.requestBytes],
  ['sent_bytes_total', 'Bytes to clients, with the heads of answers.', (state) => state.responseBytes],
]

const classes: readonly [code: string, value: (state: InstanceState) => number][] = [
  ['1xx', (state) => state.informational],
  ['2xx', (state) => state.successful],
  ['3xx', (state) => state.redirected],
  ['4xx', (state) => state.clientErrors],
  ['5xx', (state) => state.serverErrors],
]

function* writeByInstance(out: Exposition, rows: readonly InstanceRow[]): Generator<void> {
  out.family('torb_function_instance_weight', 'gauge', 'Weight in force.')
  yield* each(rows, ({ text, weight }) => out.sample('torb_function_instance_weight', text, weight))
  out.family('torb_function_instance_up', 'gauge', '1 while its pulse finds it up; absent: it has none.')
  yield* each(rows, ({ text, health }) => {
    if (health !== null) out.sample('torb_function_instance_up', text, health.isUp ? 1 : 0)
  })
  for (const [suffix, help, value] of counters) {
    const name = `torb_function_instance_${suffix}`
    out.family(name, 'counter', help)
    yield* each(rows, ({ text, state }) => {
      if (state !== undefined) out.sample(name, text, value(state))
    })
  }
  const name = 'torb_function_instance_responses_total'
  out.family(name, 'counter', 'Final answers by the class of their status.')
  yield* each(rows, ({ pairs, state }) => {
    if (state === undefined) return
    for (const [code, value] of classes) out.sample(name, `{${pairs},code="${code}"}`, value(state))
  })
}

const gauges: readonly [
  name: string,
  type: MetricType,
  help: string,
  value: (state: InstanceState) => number,
][] = [
  [
    'torb_instance_active_requests',
    'gauge',
    'Requests that the instance has now, of all functions.',
    (state) => state.active,
  ],
  [
    'torb_instance_ejected',
    'gauge',
    '1 while the instance is left out after failures in a row.',
    (state) => (state.isEjected ? 1 : 0),
  ],
]

/** What an instance has for all functions together. */
function* writeShared(out: Exposition, states: ReadonlyMap<string, InstanceState>): Generator<void> {
  const rows = [...states].map(([instance, state]) => ({ text: labels({ instance }), state }))
  for (const [name, type, help, value] of gauges) {
    out.family(name, type, help)
    yield* each(rows, ({ text, state }) => out.sample(name, text, value(state)))
  }
}
