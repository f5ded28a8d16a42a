import { z } from 'zod'
import { responses, type App } from '../describe.ts'
import type { EventStream } from '../eventStream.ts'

export function eventsRoute(app: App, stream: EventStream): void {
  app.get(
    '/events',
    {
      schema: {
        operationId: 'followEvents',
        summary: 'Follow what happens, as server-sent events',
        description:
          'Each event has an id, its type as `event`, and JSON as `data`. With `Last-Event-ID` the kept events after it come first; `missed` tells of a gap. A reader that falls too far behind gets `dropped`, all get `closing` at the end.',
        tags: ['daemon'],
        headers: z.looseObject({ 'last-event-id': z.string().optional() }),
        querystring: z.strictObject({
          service: z.string().optional().describe('only the events of this service'),
          function: z.string().optional().describe('only the events of this function; of both: either'),
        }),
        response: responses(
          { description: 'the stream', schema: z.string(), type: 'text/event-stream' },
          400,
        ),
      },
    },
    (request, reply) => {
      reply.hijack()
      const last = request.headers['last-event-id']
      const { service = null, function: name = null } = request.query
      const about = { service, function: name }
      stream.add(reply.raw, about, last === undefined || last === '' ? null : last)
    },
  )
}
