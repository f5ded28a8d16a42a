import { z } from 'zod'
import type { Control } from '../../control/control.ts'
import { canonicalAddress, familyOf } from '../../model/address.ts'
import { protocolNames } from '../../model/names.ts'
import { invalid } from '../../model/refusal.ts'
import { answerJson } from '../answer.ts'
import { responses, type App } from '../describe.ts'
import { parseEndpoint } from '../endpoint.ts'

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

export function explainRoute(app: App, control: Control): void {
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
