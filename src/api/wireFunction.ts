import { z } from 'zod'
import type { InstanceHealth } from '../control/functionHealth.ts'
import type { FunctionClaim, PublishedFunction } from '../control/functions.ts'
import type { FunctionState, InstanceState } from '../gateway/gateway.ts'
import type { FunctionSpec } from '../model/function.ts'
import type { FunctionFacts, GatewayFacts } from './functionFacts.ts'
import { responseTime } from './responseTime.ts'
import { rejectedShape, sourceName, sourceShape } from './wireSource.ts'

/** The shapes of /functions. */

const options = z
  .looseObject({ ips: z.array(z.string()), weights: z.array(z.number()), method: z.string() })
  .describe('as the body of PUT has them; fields beyond these only where they were given')
  .meta({ id: 'FunctionOptionsShown' })

const instanceStatistics = z
  .object({
    active: z.number().describe('requests it has now, of all functions'),
    ejected: z.boolean().describe('left out for a while, after failures in a row'),
    requests: z.number().describe('for which it was the first choice'),
    retries: z.number().describe('that came to it since another one failed'),
    failures: z.number().describe('no connection, no answer in time, a broken one, or 502 to 504'),
    responses: z
      .object({
        '1xx': z.number(),
        '2xx': z.number(),
        '3xx': z.number(),
        '4xx': z.number(),
        '5xx': z.number(),
      })
      .describe('final ones by the class of their status'),
    bytes_in: z.number().describe('of bodies from clients'),
    bytes_out: z.number().describe('to clients, with the heads of answers'),
    response_ms: z
      .object({ mean: z.number(), p50: z.number(), p99: z.number() })
      .nullable()
      .describe('until the head of the answer; quantiles out of a histogram; null before the first answer'),
  })
  .describe('since it became part of the function')
  .meta({ id: 'InstanceStatistics' })

const functionStatistics = z
  .object({
    waiting: z.number().describe('requests in the queue now'),
    overloaded: z.number().describe('answered 503 at once: all instances and the queue were full'),
    expired: z.number().describe('answered 503 after they had waited in vain'),
    unavailable: z.number().describe('answered 502 or 503: there was no instance to ask'),
    loops: z
      .number()
      .describe('answered 508: only gateways have it, and the request had passed enough of them'),
  })
  .describe('requests that came to no instance')
  .meta({ id: 'FunctionStatistics' })

const instance = {
  instance: z.string().describe('as in ips'),
  address: z.string().describe('empty while its name does not resolve'),
  port: z.number(),
  weight: z.number().describe('in force: as configured, or as feedback and health have it'),
  health: z
    .object({
      up: z.boolean(),
      reason: z.string().describe('why it is down; else empty'),
      share: z.number().describe('of its weight that is in force, 0 to 1'),
    })
    .nullable()
    .describe('as its pulse has it; null: it has none'),
}

const head = {
  name: z.string(),
  source: sourceName.describe('who decides'),
  zone: z.string().describe('of etcd; else empty'),
  options,
  feedback: z.boolean().describe('true while feedback moves its weights'),
}

const noGateway = 'null where no gateway runs, or it does not have the function'

const functionRow = z
  .object({ ...head, instances: z.array(z.object(instance)) })
  .meta({ id: 'FunctionShown' })

const full = {
  ...head,
  instances: z.array(
    z.object({ ...instance, statistics: instanceStatistics.nullable().describe(noGateway) }),
  ),
  statistics: functionStatistics.nullable().describe(noGateway),
}
const functionInFull = z.object(full).meta({ id: 'FunctionInFull' })

export const functionShape = z
  .object({
    ...full,
    sources: z
      .array(z.object({ source: sourceName, zone: z.string(), decides: z.boolean(), options }))
      .describe('all who have it; the first decides'),
    rejected: z.array(rejectedShape).describe('what sources have of it that cannot be used'),
  })
  .meta({ id: 'FunctionDetail' })

const gatewayShape = z
  .object({
    port: z.number(),
    transport: z.enum(['ring', 'portable']).describe('ring: io_uring; portable: node:net'),
    portable_reason: z.string().describe('why it does not run on the ring; empty where it does'),
    workers: z.number(),
  })
  .nullable()
  .describe('null: none runs in this Torb; functions are kept all the same')

export const functionListShape = z
  .object({
    gateway: gatewayShape,
    sources: z.array(sourceShape),
    total: z.number().describe('functions in force, also those beyond a limit'),
    functions: z.array(functionRow).describe('those in force, by name'),
  })
  .meta({ id: 'FunctionList' })
export const fullFunctionListShape = functionListShape
  .extend({ functions: z.array(functionInFull) })
  .meta({ id: 'FunctionListInFull' })

export type WireFunction = z.output<typeof functionShape>
export type WireFunctionInFull = z.output<typeof functionInFull>
export type WireFunctionList = z.output<typeof fullFunctionListShape>

export function wireGateway(gateway: GatewayFacts | null): z.output<typeof gatewayShape> {
  if (gateway === null) return null
  const { port, transport, portableReason, workers } = gateway
  return { port, transport, portable_reason: portableReason, workers }
}

export function wireFunction(
  published: PublishedFunction,
  health: ReturnType<FunctionFacts['health']>,
): z.output<typeof functionRow> {
  const { name, owner, zone, spec, overlay, instances } = published
  const weights = weightsInForce(published, health)
  return {
    name,
    source: owner,
    zone,
    options: wireOptions(spec),
    feedback: overlay !== null,
    instances: instances.map(({ text, address, port }, index) => ({
      instance: text,
      address,
      port,
      weight: weights[index] ?? 0,
      health: wireHealth(health?.state(name, text) ?? null),
    })),
  }
}

/** One for each of `spec.ips`. */
export function weightsInForce(
  { name, spec, overlay }: PublishedFunction,
  health: ReturnType<FunctionFacts['health']>,
): readonly number[] {
  return health?.weights(name) ?? overlay?.weights ?? spec.weights
}

function wireHealth(health: InstanceHealth | null): { up: boolean; reason: string; share: number } | null {
  return health === null ? null : { up: health.isUp, reason: health.reason, share: health.share }
}

/** @param state null where no gateway has it */
export function wireFunctionInFull(
  published: PublishedFunction,
  health: ReturnType<FunctionFacts['health']>,
  state: FunctionState | null,
): WireFunctionInFull {
  const row = wireFunction(published, health)
  const states = new Map(state?.instances.map((of) => [of.instance, of]))
  return {
    ...row,
    instances: row.instances.map((shown) => ({
      ...shown,
      statistics: wireInstanceState(states.get(shown.instance)),
    })),
    statistics: wireState(state),
  }
}

export function wireClaims(claims: readonly FunctionClaim[]): WireFunction['sources'] {
  return claims.map(({ owner, zone, spec }, index) => ({
    source: owner,
    zone,
    decides: index === 0,
    options: wireOptions(spec),
  }))
}

function wireOptions(spec: FunctionSpec): z.output<typeof options> {
  const { ips, weights, method = 'wrr', ...others } = spec
  return { ips: [...ips], weights: [...weights], method, ...others }
}

function wireState(state: FunctionState | null): z.output<typeof functionStatistics> | null {
  if (state === null) return null
  const { waiting, overloaded, expired, unavailable, loops } = state
  return { waiting, overloaded, expired, unavailable, loops }
}

function wireInstanceState(state: InstanceState | undefined): z.output<typeof instanceStatistics> | null {
  if (state === undefined) return null
  return {
    active: state.active,
    ejected: state.isEjected,
    requests: state.requests,
    retries: state.retries,
    failures: state.failures,
    responses: {
      '1xx': state.informational,
      '2xx': state.successful,
      '3xx': state.redirected,
      '4xx': state.clientErrors,
      '5xx': state.serverErrors,
    },
    bytes_in: state.requestBytes,
    bytes_out: state.responseBytes,
    response_ms: responseTime(state),
  }
}
