import { z } from 'zod'
import type { Control } from '../../control/control.ts'
import { backendBody, backendPatchBody } from '../../model/backend.ts'
import { parseInterval } from '../../model/duration.ts'
import { invalid, unknown } from '../../model/refusal.ts'
import { answerJson } from '../answer.ts'
import { backendPath, responses, type App } from '../describe.ts'
import { answerWritten, waitOf, waitQuery, written } from '../wait.ts'
import { backendShape, wireBackend } from '../wire.ts'
import { countersOf } from './services.ts'

const tags = ['backends']
const waiting = z.strictObject(waitQuery)

export function backendRoutes(app: App, control: Control): void {
  app.get(
    '/service/:vs/:rs',
    {
      schema: {
        operationId: 'getBackend',
        summary: 'Show a backend and its health',
        tags,
        params: backendPath,
        response: responses({ description: 'the backend', schema: backendShape }, 400, 404),
      },
    },
    async (request, reply) => {
      const { vs, rs } = request.params
      const counters = await countersOf(app, control, [vs])
      const view = control.backend(vs, rs)
      if (view === null) throw unknown()
      return answerJson(reply, wireBackend(view, counters.get(vs)))
    },
  )

  app.put(
    '/service/:vs/:rs',
    {
      schema: {
        operationId: 'createBackend',
        summary: 'Add a backend to a service',
        tags,
        params: backendPath,
        querystring: waiting,
        body: backendBody,
        response: written('durable, and held by the data plane'),
      },
    },
    async (request, reply) => {
      const { vs, rs } = request.params
      const waitMs = waitOf(request.query)
      checkServiceId(request.body.vsid, vs)
      await control.createBackend(vs, rs, request.body, 'rest')
      return answerWritten(reply, control, vs, waitMs)
    },
  )

  app.patch(
    '/service/:vs/:rs',
    {
      schema: {
        operationId: 'changeBackend',
        summary: 'Change weight, pulse or limits of a backend',
        description:
          'Fields absent stay; weight 0 drains. On a backend of the configuration file weight is an override, and `null` ends it.',
        tags,
        params: backendPath,
        querystring: waiting,
        body: backendPatchBody,
        response: written('changed'),
      },
    },
    async (request, reply) => {
      const { vs, rs } = request.params
      const waitMs = waitOf(request.query)
      checkServiceId(request.body.vsid, vs)
      await control.patchBackend(vs, rs, request.body, 'rest')
      return answerWritten(reply, control, vs, waitMs)
    },
  )

  app.delete(
    '/service/:vs/:rs',
    {
      schema: {
        operationId: 'deleteBackend',
        summary: 'Remove a backend',
        tags,
        params: backendPath,
        querystring: z.strictObject({
          ...waitQuery,
          drain: z
            .string()
            .optional()
            .describe(
              'how long its connections may finish first, such as 30s; absent: what the service says, else not at all',
            ),
        }),
        response: written('removed, or draining'),
      },
    },
    async (request, reply) => {
      const { vs, rs } = request.params
      const waitMs = waitOf(request.query)
      await control.deleteBackend(vs, rs, 'rest', drainOf(request.query.drain))
      return answerWritten(reply, control, vs, waitMs)
    },
  )
}

function drainOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  try {
    return parseInterval(text)
  } catch {
    throw invalid(
      `drain "${text.slice(0, 64)}" is not a duration: give a whole number with s, m or h, such as 30s`,
    )
  }
}

/** GORB's stores write the service's id into a backend; a copy of such a record must not land elsewhere. */
function checkServiceId(given: string | undefined, service: string): void {
  if (given !== undefined && given !== '' && given !== service) {
    throw invalid(`vsid "${given.slice(0, 64)}" is not the service of this path, "${service}": leave it out`)
  }
}
