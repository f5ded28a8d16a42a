import { z } from 'zod'
import type { Control } from '../../control/control.ts'
import { canonicalAddress, familyOf } from '../../model/address.ts'
import { protocolNames } from '../../model/names.ts'
import { invalid } from '../../model/refusal.ts'
import { answerJson } from '../answer.ts'
import { responses, type App } from '../describe.ts'
import { parseEndpoint } from '../endpoint.ts'
import type { FunctionFacts } from '../functionFacts.ts'
import { explainRequest, type AskedRequest, type Situation } from '../requestExplanation.ts'
import { weightsInForce } from '../wireFunction.ts'
import { isKeyOf } from '../wireSource.ts'

const query = z.strictObject({
  protocol: z.enum(protocolNames).optional().describe('default tcp'),
  source: z.string().describe('client, ADDRESS or ADDRESS:PORT'),
  destination: z.string().describe('what it connects to, ADDRESS:PORT'),
})

const shape = z
  .object({
    service: z.string().nullable(),
    backend: z.string().nullable(),
    candidates: z
      .array(z.string())
      .optional()
      .describe('one of these takes it, where which one cannot be foretold'),
    steps: z.array(z.string()).describe('one sentence each, in order'),
  })
  .meta({ id: 'Explanation' })

const requestQuery = z.strictObject({
  target: z
    .string()
    .max(8192)
    .regex(/^\/[\x21-\x7e]*$/, 'must be a path with its query, such as /function/NAME/label?size=1')
    .describe('path and query of the request, /function/NAME/...'),
  passed: z
    .string()
    .regex(/^\d{1,3}$/, 'must be a number of gateways')
    .optional()
    .describe('gateways that it has passed already; default 0'),
})

const requestShape = z
  .object({
    function: z.string().nullable().describe('that takes it'),
    status: z
      .number()
      .nullable()
      .describe('what the gateway answers by itself; null: an instance does, or no gateway runs'),
    path: z.string().describe('what an instance is asked for; a gateway gets the target unchanged'),
    instances: z.array(
      z.object({
        instance: z.string(),
        gateway: z.boolean(),
        weight: z.number().describe('in force'),
        configured: z.number().describe('its weight as configured'),
        active: z.number().describe('requests it has now'),
        share: z.number().describe('of such requests that it gets, 0 to 1'),
        out: z.string().describe('why it gets none now; empty where it may get this one'),
      }),
    ),
    steps: z.array(z.string()).describe('one sentence each, in order'),
  })
  .meta({ id: 'RequestExplanation' })

export type WireRequestExplanation = z.output<typeof requestShape>

export function explainRoutes(app: App, control: Control, functions: FunctionFacts): void {
  app.get(
    '/explain',
    {
      schema: {
        operationId: 'explainFlow',
        summary: 'Tell where a connection would go, and why',
        tags: ['daemon'],
        querystring: query,
        response: responses(
          { description: 'service, backend and the steps that lead there', schema: shape },
          400,
          503,
        ),
      },
    },
    async (request, reply) => {
      const { protocol = 'tcp', source, destination } = request.query
      const from = familyOf(source) === null ? endpoint('source', source) : { host: source, port: 0 }
      const to = endpoint('destination', destination)
      const [fromAddress, toAddress] = [canonicalAddress(from.host), canonicalAddress(to.host)]
      if (familyOf(fromAddress) !== familyOf(toAddress)) {
        throw invalid(
          `source ${fromAddress} and destination ${toAddress} are of different families: give a client of IPv${familyOf(toAddress)}`,
        )
      }
      const { service, backend, candidates, steps } = await control.explain({
        protocol,
        source: fromAddress,
        sourcePort: from.port,
        destination: toAddress,
        destinationPort: to.port,
      })
      return answerJson(reply, {
        service,
        backend,
        ...(candidates === undefined ? {} : { candidates }),
        steps,
      })
    },
  )

  app.get(
    '/explain/request',
    {
      schema: {
        operationId: 'explainRequest',
        summary: 'Tell where a request to the function gateway would go, and why',
        tags: ['functions'],
        querystring: requestQuery,
        response: responses(
          { description: 'function, instances and the steps that lead there', schema: requestShape },
          400,
        ),
      },
    },
    (request, reply) => {
      const { target, passed = '0' } = request.query
      return answerJson(reply, explained({ target, passed: Number(passed) }, functions))
    },
  )
}

function explained(asked: AskedRequest, { table, ...facts }: FunctionFacts): WireRequestExplanation {
  const [gateway, health] = [facts.gateway(), facts.health()]
  if (gateway === null) {
    const steps = [
      'No gateway runs in this Torb: functions are only kept. Start it with --gateway [ADDR]:PORT.',
    ]
    return { function: null, status: null, path: '', instances: [], steps }
  }
  const find = (name: string): Situation | null => {
    const published = table.function(name)
    if (published === null) return null
    return {
      published,
      claims: table.claims(name),
      weights: weightsInForce(published, health),
      health: (instance) => health?.state(name, instance) ?? null,
      state: gateway.state(name),
    }
  }
  const found = explainRequest(asked, gateway.rules, table.names().length, find, (name) => {
    const rejected = table.rejected().find(({ key }) => isKeyOf(key, name))
    return rejected === undefined ? '' : `${rejected.key}: ${rejected.reason}`
  })
  return { ...found, instances: [...found.instances], steps: [...found.steps] }
}

function endpoint(field: string, text: string): { host: string; port: number } {
  const parsed = parseEndpoint(text)
  if (parsed === null || familyOf(parsed.host) === null) {
    throw invalid(
      `${field} "${text.slice(0, 64)}" is not an address and port, such as 10.0.0.1:80 or [2001:db8::1]:80`,
    )
  }
  return parsed
}
