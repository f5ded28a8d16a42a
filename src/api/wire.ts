import { z } from 'zod'
import type { BackendView, ReconcileState, ServiceView } from '../control/control.ts'
import type { Rates, ServiceCounters, TrafficCounters } from '../planes/plane.ts'

/** The shapes of the answers: as GORB has them, its keys first and in its order, then Torb's. */

const rates = z
  .object({
    connections: z.number(),
    packets_in: z.number(),
    packets_out: z.number(),
    bytes_in: z.number(),
    bytes_out: z.number(),
  })
  .describe('a second, as averages of the last seconds: every 2 s each moves by a quarter of the difference')
  .meta({ id: 'Rates' })

const statistics = z
  .object({
    connections: z.number(),
    packets_in: z.number(),
    packets_out: z.number(),
    bytes_in: z.number(),
    bytes_out: z.number(),
    active: z.number().describe('open now'),
    inactive: z.number().describe('in the table, but closing or waiting out a time-out'),
    errors: z.number().describe('connections that could not be made, or broke'),
    rates: rates.nullable().describe('null where the plane does not measure them'),
  })
  .describe('counters since the object was added or they were set to zero; in: from the client')
  .meta({ id: 'Statistics' })

const queue = z
  .object({
    waiting: z.number().describe('in the queue now'),
    overloaded: z.number().describe('answered 503 at once: all backends and the queue were full'),
    expired: z.number().describe('answered 503 after they had waited in vain'),
  })
  .describe('requests for which all backends were full; only of services of http')
  .meta({ id: 'QueueStatistics' })

const serviceStatistics = statistics
  .extend({ queue: queue.optional() })
  .describe('those of its backends together, removed ones included, and what came to none')
  .meta({ id: 'ServiceStatistics' })

const reconcile = z
  .object({
    state: z
      .enum(['applied', 'accepted', 'failing', 'drifted'])
      .describe(
        'accepted: taken, but not in effect everywhere, or another Torb writes to the plane and this one stands by; failing: the plane refuses it, retried with back-off; drifted: somebody changed it in the plane, which is only reported (--observe)',
      ),
    message: z.string(),
    since: z.iso.datetime().describe('of the last change of state'),
    lagging: z
      .array(z.string())
      .optional()
      .describe('who has not followed yet, such as chassis; only of planes that tell'),
  })
  .describe('where the object stands between wish and effect')
  .meta({ id: 'Reconcile' })

const owner = z.enum(['rest', 'file']).describe('who created it, and so may change or delete it')

const serviceOptions = z
  .looseObject({
    host: z.string(),
    port: z.union([z.number(), z.literal('any')]),
    protocol: z.string(),
    method: z.string().describe('scheduler'),
    flags: z.string(),
    persistent: z.boolean(),
    fallback: z.string(),
  })
  .describe('defaults filled in; fields beyond these only where they were given')
  .meta({ id: 'ServiceOptionsShown' })

const serviceHead = {
  options: serviceOptions,
  health: z.number().describe("mean of the backends' health, 0 to 1; 0 without any"),
}

const serviceTail = {
  backends_count: z.number(),
  fallback: z.string(),
  owner,
  plane: z.string(),
  address: z.string().describe('the virtual address in use, canonical'),
  reconcile,
  advice: z
    .array(z.string())
    .optional()
    .describe('what whoever set it up should know, with the cure; only where there is something'),
  statistics: serviceStatistics
    .nullable()
    .describe('null where the plane does not answer or does not hold it'),
}

export const serviceShape = z
  .object({ ...serviceHead, backends: z.array(z.string()).describe('ids of the backends'), ...serviceTail })
  .meta({ id: 'Service' })

const backendOptions = z
  .looseObject({
    host: z.string(),
    port: z.number(),
    weight: z.number().describe('in force now; 0 while down or drained'),
    method: z.string().describe('forwarding'),
    pulse: z.looseObject({
      type: z.string(),
      interval: z.string(),
      args: z.record(z.string(), z.union([z.string(), z.number()])).nullable(),
    }),
    max_weight: z.number().describe('the configured weight'),
  })
  .meta({ id: 'BackendOptionsShown' })

const backendFields = {
  options: backendOptions,
  metrics: z.object({
    status: z.union([z.literal(0), z.literal(1), z.literal(2)]).describe('0 Up, 1 Down, 2 Removed'),
    health: z.number().describe('share of good checks in the window, 0 to 1'),
    uptime: z.number().describe('whole seconds'),
  }),
  reason: z.string().describe('why it is out or on its way back; empty where it is simply Up'),
  owner,
  overridden: z.boolean().describe("true while a weight set by REST stands above the configuration file's"),
  draining: z.boolean(),
  address: z.string(),
  statistics: statistics.nullable(),
}

export const backendShape = z.object(backendFields).meta({ id: 'Backend' })

export const serviceListShape = z.array(z.string())
export const fullServiceListShape = z.array(
  z
    .object({
      id: z.string(),
      ...serviceHead,
      backends: z.array(z.object({ id: z.string(), ...backendFields }).meta({ id: 'BackendWithId' })),
      ...serviceTail,
    })
    .meta({ id: 'ServiceInFull' }),
)

export type WireService = z.output<typeof serviceShape>
export type WireBackend = z.output<typeof backendShape>

export function wireService(view: ServiceView, counters: ServiceCounters | undefined): WireService {
  return { ...headOf(view), backends: [...view.backends], ...tailOf(view, counters) }
}

export function wireServiceInFull(
  view: ServiceView,
  backends: readonly BackendView[],
  counters: ServiceCounters | undefined,
): z.output<typeof fullServiceListShape>[number] {
  return {
    id: view.id,
    ...headOf(view),
    backends: backends.map((backend) => ({ id: backend.id, ...wireBackend(backend, counters) })),
    ...tailOf(view, counters),
  }
}

export function wireBackend(view: BackendView, counters: ServiceCounters | undefined): WireBackend {
  const { host, port, weight, method, pulse, ...extras } = view.options
  const { type, interval, args, ...pulseExtras } = pulse
  const { status, health, uptime } = view.metrics
  return {
    options: {
      host,
      port,
      weight: view.effectiveWeight,
      method,
      pulse: { type, interval, args: args as Record<string, string | number> | null, ...pulseExtras },
      max_weight: weight,
      ...extras,
    },
    metrics: { status, health, uptime },
    reason: view.reason,
    owner: view.owner,
    overridden: view.overridden,
    draining: view.draining,
    address: view.address,
    statistics: wireStatistics(counters?.destinations.get(view.id)),
  }
}

function headOf({ options, health }: ServiceView): Pick<WireService, 'options' | 'health'> {
  const { host, port, protocol, method, flags, persistent, fallback, ...extras } = options
  return { options: { host, port, protocol, method, flags, persistent, fallback, ...extras }, health }
}

function tailOf(
  view: ServiceView,
  counters: ServiceCounters | undefined,
): Omit<WireService, 'options' | 'health' | 'backends'> {
  return {
    backends_count: view.backends.length,
    fallback: view.options.fallback,
    owner: view.owner,
    plane: view.plane,
    address: view.address,
    reconcile: wireReconcile(view.reconcile),
    ...adviceOf(view),
    statistics: wireServiceStatistics(counters),
  }
}

function adviceOf({ advice }: ServiceView): Pick<WireService, 'advice'> {
  return advice.length === 0 ? {} : { advice: [...advice] }
}

function wireReconcile({ state, message, since, lagging }: ReconcileState): WireService['reconcile'] {
  return {
    state,
    message,
    since: new Date(since).toISOString(),
    ...(lagging === undefined ? {} : { lagging: [...lagging] }),
  }
}

function wireServiceStatistics(counters: ServiceCounters | undefined): WireService['statistics'] {
  const traffic = wireStatistics(counters)
  const queue = counters?.queue
  return traffic === null || queue === undefined ? traffic : { ...traffic, queue }
}

function wireStatistics(counters: TrafficCounters | undefined): WireBackend['statistics'] {
  if (counters === undefined) return null
  return {
    connections: counters.connections,
    packets_in: counters.packetsIn,
    packets_out: counters.packetsOut,
    bytes_in: counters.bytesIn,
    bytes_out: counters.bytesOut,
    active: counters.active,
    inactive: counters.inactive,
    errors: counters.errors,
    rates: counters.rates === undefined ? null : wireRates(counters.rates),
  }
}

function wireRates({ connections, packetsIn, packetsOut, bytesIn, bytesOut }: Rates): z.output<typeof rates> {
  return {
    connections: thousandths(connections),
    packets_in: thousandths(packetsIn),
    packets_out: thousandths(packetsOut),
    bytes_in: thousandths(bytesIn),
    bytes_out: thousandths(bytesOut),
  }
}

/** The estimate itself is no finer. */
const thousandths = (value: number): number => Math.round(value * 1000) / 1000
