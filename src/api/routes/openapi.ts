import { z } from 'zod'
import { answerJson } from '../answer.ts'
import { responses, type App } from '../describe.ts'

export function openapiRoute(app: App): void {
  app.get(
    '/openapi.json',
    {
      schema: {
        operationId: 'getOpenApi',
        summary: 'Describe this API',
        description: 'Made from the schemas that check the requests.',
        tags: ['daemon'],
        response: responses({
          description: 'an OpenAPI 3.1 document',
          schema: z.looseObject({ openapi: z.string() }),
        }),
      },
    },
    async (_request, reply) => answerJson(reply, app.swagger()),
  )
}
