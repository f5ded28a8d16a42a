import { z } from 'zod'
import { forwardingNames, tunnelTypes, type Forwarding } from './names.ts'
import { pulseBody, readPulse, withoutUndefined, type PulseOptions } from './pulse.ts'
import { invalid, message } from './refusal.ts'

/** IPVS weights are a signed 32-bit int (ip_vs.h: struct ip_vs_dest_user). */
export const maxWeight = 2 ** 31 - 1
export const defaultWeight = 100

const weightNumber = z
  .number({ error: `weight must be a whole number from 0 to ${maxWeight}` })
  .int()
  .min(0)
  .max(maxWeight)
const threshold = z.number().int().min(0).max(0xffffffff)

export const limitsBody = z
  .strictObject({
    max_connections: threshold.optional(),
    upper_threshold: threshold.optional(),
    lower_threshold: threshold.optional(),
  })
  .meta({ id: 'Limits' })
export type Limits = z.output<typeof limitsBody>

const tunnelBody = z
  .strictObject({ type: z.enum(tunnelTypes), port: z.number().int().min(1).max(65535).optional() })
  .meta({ id: 'Tunnel' })
export type Tunnel = z.output<typeof tunnelBody>

/** What a client may send for a backend. Values with texts of their own in GORB are checked by `readBackend`. */
export const backendBody = z
  .strictObject({
    host: z.string().max(1024).optional(),
    port: z.number().int().min(0).max(65535).optional(),
    weight: weightNumber.optional().describe(`default ${defaultWeight}; 0 takes no new connections`),
    method: z
      .string()
      .optional()
      .meta({ enum: [...forwardingNames, 'ipip'] })
      .describe('forwarding'),
    pulse: pulseBody.nullish(),
    limits: limitsBody.optional(),
    tunnel: tunnelBody.optional(),
    vsid: z.string().optional().describe("accepted as GORB's stores write it; must be the service's id"),
  })
  .meta({ id: 'BackendOptions' })
export type BackendBody = z.output<typeof backendBody>

/** PATCH: `weight: null` ends an override of a configured weight. */
export const backendPatchBody = backendBody
  .extend({ weight: weightNumber.nullish() })
  .meta({ id: 'BackendPatch' })
export type BackendPatchBody = z.output<typeof backendPatchBody>

export interface BackendOptions {
  readonly host: string
  /** 0 where the service takes any port. */
  readonly port: number
  /** The configured weight; what is in force now is the effective weight. */
  readonly weight: number
  readonly method: Forwarding
  readonly pulse: PulseOptions
  readonly limits?: Limits
  readonly tunnel?: Tunnel
}

/**
 * Fills in the defaults and checks the values in GORB's order: endpoint, forwarding, pulse.
 *
 * @param anyPort true where the service takes any port; the backend then must not name one
 * @throws Refusal `invalid`
 */
export function readBackend(body: BackendBody, anyPort: boolean): BackendOptions {
  const host = body.host ?? ''
  const port = body.port ?? 0
  if (host === '' || (port === 0) !== anyPort) {
    if (host !== '' && anyPort)
      throw invalid('port: the service takes any port, so its backends must leave port out')
    throw invalid(message.endpointMissing)
  }
  const method = readForwarding(body.method)
  const pulse = readPulse(body.pulse)
  if (body.tunnel !== undefined && method !== 'tunnel') throw invalid('tunnel needs "method": "tunnel"')
  if (body.tunnel?.type === 'gue' && body.tunnel.port === undefined)
    throw invalid('tunnel of type gue needs a port')
  checkLimits(body.limits)
  return {
    host,
    port,
    weight: body.weight ?? defaultWeight,
    method,
    pulse,
    ...withoutUndefined({ limits: body.limits, tunnel: body.tunnel }),
  }
}

/**
 * The options after a PATCH of weight, pulse and limits; absent fields stay.
 *
 * @throws Refusal `invalid`; host, port, method and tunnel may be repeated but not changed
 */
export function patchBackend(current: BackendOptions, patch: BackendPatchBody): BackendOptions {
  if (patch.host !== undefined && patch.host !== current.host) fixed('host', current.host)
  if (patch.port !== undefined && patch.port !== current.port) fixed('port', String(current.port))
  if (patch.method !== undefined && readForwarding(patch.method) !== current.method)
    fixed('method', current.method)
  if (patch.tunnel !== undefined && JSON.stringify(patch.tunnel) !== JSON.stringify(current.tunnel)) {
    fixed('tunnel', JSON.stringify(current.tunnel ?? null))
  }
  checkLimits(patch.limits)
  return {
    ...current,
    ...(typeof patch.weight === 'number' ? { weight: patch.weight } : {}),
    ...(patch.pulse === undefined ? {} : { pulse: readPulse(patch.pulse) }),
    ...(patch.limits === undefined ? {} : { limits: patch.limits }),
  }
}

function readForwarding(text: string | undefined): Forwarding {
  const name = text === undefined || text === '' ? 'nat' : text.toLowerCase()
  const method = name === 'ipip' ? 'tunnel' : forwardingNames.find((known) => known === name)
  if (method === undefined) throw invalid(message.forwardingUnknown)
  return method
}

function checkLimits(limits: Limits | undefined): void {
  const { upper_threshold: upper = 0, lower_threshold: lower = 0 } = limits ?? {}
  if (lower > 0 && lower >= upper) {
    throw invalid(`lower_threshold ${lower} must be below upper_threshold ${upper}`)
  }
}

function fixed(field: string, value: string): never {
  throw invalid(
    `${field} of a backend cannot be changed (it is ${value}): delete the backend and create it anew`,
  )
}
