import { z } from 'zod'
import { parseInterval } from './duration.ts'
import { pulseTypes, type PulseType } from './names.ts'
import { invalid, message } from './refusal.ts'
import { token } from './token.ts'

/** An integer, or digits in a string as GORB's clients send them. */
const count = (name: string, min: number, max: number) =>
  z
    .union([z.number(), z.string()], { error: `${name} must be a whole number from ${min} to ${max}` })
    .refine((value) => typeof value === 'number' || /^\d{1,10}$/.test(value), {
      error: `${name} must be a whole number from ${min} to ${max}, as a number or as digits`,
    })
    .transform(Number)
    .refine((value) => Number.isInteger(value) && value >= min && value <= max, {
      error: `${name} must be a whole number from ${min} to ${max}`,
    })

export const pulseArgsBody = z
  .strictObject({
    method: z.string().regex(token, 'method must be an HTTP method').optional(),
    host: z
      .string()
      .regex(/^[^\s/?#@]+$/, 'host must be a host name or an address')
      .optional(),
    port: count('port', 1, 65535).optional(),
    path: z
      .string()
      .regex(/^\/[\x21-\x7e]*$/, 'path must begin with / and hold no blanks')
      .optional(),
    expect: count('expect', 100, 599).optional(),
    scheme: z.enum(['http', 'https'], { error: 'scheme must be http or https' }).optional(),
    timeout: count('timeout', 1, 3600).optional(),
  })
  .meta({ id: 'PulseArgs' })
export type PulseArgs = z.output<typeof pulseArgsBody>

/** `type` and `interval` are checked by `readPulse`, whose messages are GORB's. */
export const pulseBody = z
  .strictObject({
    type: z
      .string()
      .optional()
      .meta({ enum: [...pulseTypes] }),
    interval: z.string().optional(),
    args: pulseArgsBody.nullish(),
    rise: count('rise', 1, 100).optional(),
    fall: count('fall', 1, 100).optional(),
    window: count('window', 1, 1000).optional(),
    fast_interval: z.string().optional(),
    timeout: z.string().optional(),
    backoff: z.string().optional(),
  })
  .meta({ id: 'Pulse' })
export type PulseBody = z.output<typeof pulseBody>

/** A health check as the API shows it: defaults filled in, extras only where they were given. */
export interface PulseOptions {
  readonly type: PulseType
  readonly interval: string
  readonly args: PulseArgs | null
  readonly rise?: number
  readonly fall?: number
  readonly window?: number
  readonly fast_interval?: string
  readonly timeout?: string
  readonly backoff?: string
}

export const defaultPulse: PulseOptions = Object.freeze({ type: 'tcp', interval: '1m', args: null })

/**
 * Fills in a pulse's defaults and checks what the schema cannot.
 *
 * @throws Refusal `invalid`: pulse type, then interval, in GORB's words
 */
export function readPulse(body: PulseBody | null | undefined): PulseOptions {
  if (body === null || body === undefined) return defaultPulse
  const type = pulseTypes.find((name) => name === (body.type ?? defaultPulse.type).toLowerCase())
  if (type === undefined) throw invalid(message.pulseUnknown)
  const interval = body.interval ?? defaultPulse.interval
  parseInterval(interval)
  for (const name of ['fast_interval', 'timeout', 'backoff'] as const) {
    const text = body[name]
    if (text !== undefined) within(name, () => parseInterval(text))
  }
  const { type: _type, interval: _interval, args, ...extras } = body
  const given = Object.keys(extras).length > 0
  if (!given && type === defaultPulse.type && interval === defaultPulse.interval && (args ?? null) === null)
    return defaultPulse
  return { type, interval, args: args ?? null, ...withoutUndefined(extras) }
}

function within(name: string, parse: () => void): void {
  try {
    parse()
  } catch (error) {
    throw invalid(`${name}: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** The same object without keys that hold undefined (exactOptionalPropertyTypes). */
export function withoutUndefined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>
  }
}
