import { z } from 'zod'
import { unknown } from '../../model/refusal.ts'
import { answerJson } from '../answer.ts'
import { responses, type App } from '../describe.ts'
import type { FunctionFacts } from '../functionFacts.ts'
import { confirmedShape, sourceName } from '../wireSource.ts'

export function sourceRoutes(app: App, { table, etcd }: FunctionFacts): void {
  app.post(
    '/sources/:source/confirm',
    {
      schema: {
        operationId: 'confirmSource',
        summary: 'Say that a source is right, and take the losses that it holds back',
        description: 'A source that lost too many instances at once keeps them until then.',
        tags: ['functions'],
        params: z.strictObject({ source: sourceName }),
        response: responses(
          {
            description: 'it holds nothing back any more, and new requests go by it',
            schema: confirmedShape,
          },
          400,
          404,
          415,
          500,
          503,
        ),
      },
    },
    async (request, reply) => {
      const { source } = request.params
      const followed = source === 'etcd' ? etcd() : null
      if (followed === null)
        throw unknown(
          source === 'etcd'
            ? 'this Torb follows no etcd: it was started without --etcd'
            : `source ${source} never holds anything back: only etcd does`,
        )
      const changes = followed.confirm()
      await table.published()
      return answerJson(reply, { changes })
    },
  )
}
