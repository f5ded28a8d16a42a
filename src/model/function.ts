import { z } from 'zod'
import { canonicalAddress, familyOf } from './address.ts'
import { isInterval } from './duration.ts'
import { fieldNames, issueText, unknownFieldText } from './issues.ts'
import { pulseBody, readPulse, withoutUndefined, type PulseOptions } from './pulse.ts'
import { invalid, type Refusal } from './refusal.ts'
import { token } from './token.ts'

export const selectionMethods = ['wrr', 'least-request', 'hash'] as const
export type SelectionMethod = (typeof selectionMethods)[number]

export type FunctionName = string

const maxInstances = 4096
/** Further instances that a request may try. */
export const maxRetries = 8
/** So that the largest weight is still exact when a fraction of six digits is made whole. */
const maxFunctionWeight = 1e9

const whole = (min: number, max: number) => z.number().int().min(min).max(max)

const functionLimits = z
  .strictObject({
    in_flight: whole(1, 1_000_000).optional().describe('requests that an instance has at a time'),
    queue: whole(0, 1_000_000).optional().describe('requests that wait for an instance; default 0'),
    wait: z.string().optional().describe('how long they wait, such as 2s; default 1s'),
  })
  .meta({ id: 'FunctionLimits', examples: [{ in_flight: 64, queue: 100, wait: '2s' }] })

const ejectionBody = z
  .strictObject({
    failures: whole(1, 1000).optional().describe('failures in a row; default 5'),
    base: z.string().optional().describe('how long the first time; doubled each time, default 1s'),
    max: z.string().optional().describe('how long at most; default 1m'),
  })
  .meta({ id: 'Ejection', examples: [{ failures: 3, base: '2s', max: '30s' }] })

const fields = {
  ips: z
    .array(z.string().min(1).max(261))
    .max(maxInstances)
    .describe('instances, each host or host:port (port 80)')
    .meta({ examples: [['127.0.0.1:9001', 'worker.example']] }),
  weights: z
    .array(
      z
        .number({ error: 'must be a number from 0 up' })
        .min(0, 'must not be negative: give 0 to send it nothing')
        .max(maxFunctionWeight, `must be at most ${maxFunctionWeight}`),
    )
    .max(maxInstances)
    .describe('one for each of ips, fractions allowed')
    .meta({ examples: [[3, 0.5]] }),
  base_weights: z
    .array(z.number().min(0).max(maxFunctionWeight))
    .max(maxInstances)
    .optional()
    .describe('configured weights, where feedback has put its own into weights'),
  method: z.enum(selectionMethods).optional().describe('how an instance is chosen; default wrr'),
  hash_header: z
    .string()
    .regex(token, 'must be the name of a header field')
    .max(64)
    .optional()
    .describe('what method hash goes by; default: the address of the client')
    .meta({ examples: ['X-Session'] }),
  limits: functionLimits.optional(),
  retries: whole(0, maxRetries)
    .optional()
    .describe('further instances that an idempotent request may try; default 1'),
  ejection: ejectionBody.nullish().describe('instances that fail in a row are left out; null: never'),
  pulse: pulseBody.nullish().describe('health check of each instance that is no gateway; default: none'),
}

/** A function as etcd's value and as the body of PUT. */
export const functionBody = z.strictObject(fields).meta({ id: 'Function' })
export type FunctionBody = z.output<typeof functionBody>

/** PATCH: fields given replace, fields absent stay. */
export const functionPatchBody = functionBody.partial().meta({ id: 'FunctionPatch' })
export type FunctionPatchBody = z.output<typeof functionPatchBody>

/** A function as it was given, checked: what a source puts, the store keeps and the API shows. */
export interface FunctionSpec {
  /** `host[:port]` as given: also the name by which the gateway list and the headers know an instance. */
  readonly ips: readonly string[]
  readonly weights: readonly number[]
  /** The configured weights, where those above are what feedback made of them. */
  readonly base_weights?: readonly number[]
  readonly method?: SelectionMethod
  readonly hash_header?: string
  readonly limits?: { readonly in_flight?: number; readonly queue?: number; readonly wait?: string }
  readonly retries?: number
  readonly ejection?: { readonly failures?: number; readonly base?: string; readonly max?: string } | null
  readonly pulse?: PulseOptions
}

/** Checks what the schema leaves. @throws Refusal `invalid` */
export function readFunction(body: FunctionBody): FunctionSpec {
  const { ips, weights, base_weights: base, method, hash_header, limits, ejection, pulse } = body
  if (ips.length !== weights.length) {
    throw invalid(
      `weights has ${weights.length} numbers for the ${ips.length} of ips: give one weight for each instance`,
    )
  }
  if (base !== undefined && base.length !== ips.length)
    throw invalid(`base_weights has ${base.length} numbers for the ${ips.length} of ips: leave it away`)
  for (const text of ips) readInstance(text)
  if (hash_header !== undefined && method !== 'hash') throw invalid('hash_header needs "method": "hash"')
  if (limits?.queue !== undefined && limits.in_flight === undefined)
    throw invalid('limits.queue needs limits.in_flight: nobody waits where nothing is full')
  interval('limits.wait', limits?.wait)
  interval('ejection.base', ejection?.base)
  interval('ejection.max', ejection?.max)
  return withoutUndefined({
    ...body,
    ...(limits === undefined ? {} : { limits: withoutUndefined(limits) }),
    ...(ejection === undefined || ejection === null ? {} : { ejection: withoutUndefined(ejection) }),
    pulse: pulse === undefined || pulse === null ? undefined : readPulse(pulse),
  }) as FunctionSpec
}

/** The same with its name. @throws Refusal `invalid` */
export function readNamedFunction(name: FunctionName, body: FunctionBody): FunctionSpec {
  if (!isFunctionName(name)) throw invalid(`"${shownKey(name)}" cannot stand in a path as it is: ${nameCure}`)
  return readFunction(body)
}

/** @throws Refusal `invalid`; the result is as strict as a new function */
export function patchFunction(current: FunctionSpec, patch: FunctionPatchBody): FunctionSpec {
  const { base_weights: base, hash_header: header, ...kept } = current
  return readFunction({
    ...kept,
    // Weights of an operator are configured ones.
    ...(patch.weights === undefined && patch.ips === undefined ? { base_weights: base } : {}),
    // What only the method before went by goes with it.
    ...((patch.method ?? kept.method) === 'hash' ? { hash_header: header } : {}),
    ...withoutUndefined(patch),
  } as FunctionBody)
}

/** Reads a value of etcd: JSON as `functionBody`. @throws Refusal `invalid` */
export function parseFunction(text: string): FunctionSpec {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw invalid(`the value is not JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
  const result = functionBody.safeParse(value, { error: issueText })
  if (result.success) return readFunction(result.data)
  throw invalid(result.error.issues.map(located).join('; '))
}

/** Reads what was checked before it was stored. @throws Error that names the row */
export function parseStoredFunction(name: FunctionName, text: string): FunctionSpec {
  try {
    return parseFunction(text)
  } catch (error) {
    throw new Error(`the stored function ${name} cannot be read; bring back a backup with torb restore`, {
      cause: error,
    })
  }
}

function located(issue: z.core.$ZodIssue): string {
  const at = issue.path.length === 0 ? '' : `${issue.path.join('.')}: `
  if (issue.code !== 'unrecognized_keys') return at + issue.message
  const allowed = fieldNames(functionBody, issue.path)
  return issue.keys.map((key) => at + unknownFieldText(key, allowed)).join('; ')
}

/** Where an instance is, from `host` or `host:port`. */
export interface InstancePlace {
  /** Canonical where it is an IP address, else a DNS name in lower case. */
  readonly host: string
  readonly port: number
}

const hostName =
  /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*\.?$/i

/** @throws Refusal `invalid` */
export function readInstance(text: string): InstancePlace {
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:/[\]]*))(?::(\d{1,5}))?$/.exec(text) ?? []
  const host = bracketed ?? plain ?? ''
  const number = port === undefined ? 80 : Number(port)
  const family = familyOf(host)
  const isHost =
    bracketed === undefined ? family === 4 || (hostName.test(host) && !/^[\d.]+$/.test(host)) : family === 6
  if (!isHost || number < 1 || number > 65_535) throw notAnInstance(text)
  return { host: family === null ? host.toLowerCase() : canonicalAddress(host), port: number }
}

function notAnInstance(text: string): Refusal {
  const shown = text.length > 64 ? `${text.slice(0, 64)}…` : text
  const cure = text.includes('//')
    ? 'leave the scheme and the path away'
    : 'write host or host:port, an IPv6 address in brackets'
  return invalid(`ips: "${shown}" is no instance: ${cure}`)
}

/** Characters that stand in a path as they are (RFC 3986 pchar without escapes): names are compared byte by byte. */
const functionName = /^(?!\.{1,2}$)[A-Za-z0-9._~!$&'()*+,;=:@-]{1,255}$/

const nameCure = "a function's name has letters, digits and -._~!$&'()*+,;=:@ only"

export function isFunctionName(text: string): boolean {
  return functionName.test(text)
}

const etcdPrefix = 'golb/function/'

/** Where the functions of a zone are, with the closing slash: `zone-b` is no part of `zone-b2`. */
export function functionPrefix(zone: string): string {
  return `${etcdPrefix}${zone}/`
}

/** @throws Refusal `invalid`: a key has exactly four parts, `golb/function/<zone>/<name>` */
export function parseFunctionKey(key: string): { readonly zone: string; readonly name: FunctionName } {
  const parts = key.split('/')
  const [, , zone = '', name = ''] = parts
  if (!key.startsWith(etcdPrefix) || parts.length !== 4)
    throw invalid(`key "${shownKey(key)}" must be golb/function/<zone>/<name>`)
  if (!isFunctionName(name))
    throw invalid(`key "${shownKey(key)}": "${shownKey(name)}" cannot stand in a path as it is: ${nameCure}`)
  return { zone, name }
}

const shownKey = (text: string): string => (text.length > 128 ? `${text.slice(0, 128)}…` : text)

function interval(field: string, text: string | undefined): void {
  if (text === undefined || isInterval(text)) return
  throw invalid(`${field}: "${text}" must be a whole number above 0 with its unit, s, m or h, such as 2s`)
}
