import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { z } from 'zod'

export type App = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  ZodTypeProvider
>

/** A path segment after decoding. Slashes and control characters have no place in it, as ids end up in keys and log lines. */
const id = (name: string, of: string) =>
  z
    .string()
    .min(1)
    .max(255)
    .regex(/^[^/\p{Cc}]+$/u, `${name} (id of the ${of}) must hold no slash and no control character`)
    .describe(`id of the ${of}`)

export const servicePath = z.strictObject({ vs: id('vs', 'service') })
export const functionPath = z.strictObject({ name: id('name', 'function') })
export const backendPath = z.strictObject({ vs: id('vs', 'service'), rs: id('rs', 'backend') })

export const errorShape = z.object({ error: z.string() }).meta({ id: 'Error' })

const errors = {
  400: 'the request is wrong as written; `error` names the field and what is allowed',
  401: 'credentials are needed, or those sent are wrong',
  403: 'a web page of another origin sent the request',
  404: 'there is no such object',
  409: 'the object exists already, or belongs to the configuration file or another source',
  415: 'a body must be application/json',
  500: 'the data plane refused; nothing was changed',
  503: 'the data plane cannot be reached; nothing was changed',
  507: 'no room for the durable record; nothing was changed',
} as const
export type ErrorStatus = keyof typeof errors

type Described = z.ZodType | { description: string; content: Record<string, { schema: z.ZodType }> }

/** The `response` part of a route's schema: what 200 holds, and the errors besides those of access, which all have. */
export function responses(
  done: { description: string; schema?: z.ZodType; type?: string },
  ...statuses: readonly ErrorStatus[]
): Record<number, Described> {
  const { description, schema, type = 'application/json' } = done
  const failures = [...statuses, 401, 403] as const
  return {
    // The document's word for an answer without a body.
    200:
      schema === undefined
        ? z.null().describe(description)
        : { description, content: { [type]: { schema } } },
    ...Object.fromEntries(
      failures.map((status) => [
        status,
        { description: errors[status], content: { 'application/json': { schema: errorShape } } },
      ]),
    ),
  }
}

/** What every route that changes something may answer. */
export const writeErrors = [400, 404, 409, 415, 500, 503, 507] as const satisfies readonly ErrorStatus[]
