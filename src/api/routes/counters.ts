import type { Control } from '../../control/control.ts'
import { unknown } from '../../model/refusal.ts'
import { answerDone } from '../answer.ts'
import { responses, servicePath, type App } from '../describe.ts'

const tags = ['daemon']
const description =
  'Connections, packets, bytes, errors, unserved requests, rates and connect times; what is open stays open and is counted as such. The counters of /metrics are the same ones.'

export function counterRoutes(app: App, control: Control): void {
  app.post(
    '/counters/zero',
    {
      schema: {
        operationId: 'zeroCounters',
        summary: 'Set the counters of all services to zero',
        description,
        tags,
        response: responses({ description: 'they are zero' }, 415, 500, 503),
      },
    },
    async (_request, reply) => {
      await control.zero()
      return answerDone(reply)
    },
  )

  app.post(
    '/counters/zero/:vs',
    {
      schema: {
        operationId: 'zeroCountersOfService',
        summary: 'Set the counters of a service and its backends to zero',
        description,
        tags,
        params: servicePath,
        response: responses({ description: 'they are zero' }, 400, 404, 415, 500, 503),
      },
    },
    async (request, reply) => {
      const { vs } = request.params
      if (control.service(vs) === null) throw unknown()
      await control.zero([vs])
      return answerDone(reply)
    },
  )
}
