import { z } from 'zod'
import { answerJson } from '../answer.ts'
import { errorShape, type App } from '../describe.ts'

/** For probes and load balancers: answers anybody, says nothing. */
export function healthRoute(app: App): void {
  app.get(
    '/healthz',
    {
      schema: {
        operationId: 'getHealth',
        summary: 'Tell that Torb answers',
        tags: ['daemon'],
        security: [],
        response: {
          200: {
            description: 'Torb answers',
            content: { 'application/json': { schema: z.object({ status: z.literal('ok') }) } },
          },
          403: {
            description: 'a web page of another origin sent the request',
            content: { 'application/json': { schema: errorShape } },
          },
        },
      },
    },
    async (_request, reply) => answerJson(reply, { status: 'ok' }),
  )
}
