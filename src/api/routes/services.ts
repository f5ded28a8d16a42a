import { Readable } from 'node:stream'
import { z } from 'zod'
import type { Control } from '../../control/control.ts'
import { backendBody } from '../../model/backend.ts'
import type { ServiceId } from '../../model/names.ts'
import { unknown } from '../../model/refusal.ts'
import { serviceBody } from '../../model/service.ts'
import type { ServiceCounters } from '../../planes/plane.ts'
import { answerJson } from '../answer.ts'
import { backendPath, responses, servicePath, type App } from '../describe.ts'
import { goJsonArray } from '../json.ts'
import { answerWritten, waitOf, waitQuery, written } from '../wait.ts'
import {
  fullServiceListShape,
  serviceListShape,
  serviceShape,
  wireService,
  wireServiceInFull,
} from '../wire.ts'

const tags = ['services']
const newServiceBody = serviceBody
  .extend({
    backends: z
      .record(backendPath.shape.rs, backendBody)
      .optional()
      .describe('its first backends by their ids: all of it is created, or nothing'),
  })
  .meta({ id: 'NewService' })
const waiting = z.strictObject(waitQuery)

export function serviceRoutes(app: App, control: Control): void {
  app.get(
    '/service',
    {
      schema: {
        operationId: 'listServices',
        summary: 'List the services',
        description: 'Their ids; with `full` the services themselves with all their backends.',
        tags,
        querystring: z.strictObject({
          full: z
            .enum(['', 'true', '1'], { error: 'full takes no value' })
            .optional()
            .describe('whole services instead of ids'),
        }),
        response: responses(
          { description: 'the services', schema: z.union([serviceListShape, fullServiceListShape]) },
          400,
        ),
      },
    },
    async (request, reply) => {
      if (request.query.full === undefined) return answerJson(reply, control.serviceIds())
      const counters = await countersOf(app, control)
      return reply
        .header('content-type', 'application/json')
        .send(Readable.from(goJsonArray(servicesInFull(control, counters))))
    },
  )

  app.get(
    '/service/:vs',
    {
      schema: {
        operationId: 'getService',
        summary: 'Show a service',
        tags,
        params: servicePath,
        response: responses({ description: 'the service', schema: serviceShape }, 400, 404),
      },
    },
    async (request, reply) => {
      const { vs } = request.params
      const counters = await countersOf(app, control, [vs])
      const view = control.service(vs)
      if (view === null) throw unknown()
      return answerJson(reply, wireService(view, counters.get(vs)))
    },
  )

  app.put(
    '/service/:vs',
    {
      schema: {
        operationId: 'createService',
        summary: 'Create a service',
        description:
          'Without `host` it takes the first address of the default interface. With `backends` it has them from its first moment on.',
        tags,
        params: servicePath,
        querystring: waiting,
        body: newServiceBody,
        response: written('durable, and held by the data plane'),
      },
    },
    async (request, reply) => {
      const { vs } = request.params
      const waitMs = waitOf(request.query)
      await control.createService(vs, request.body, 'rest')
      return answerWritten(reply, control, vs, waitMs)
    },
  )

  app.patch(
    '/service/:vs',
    {
      schema: {
        operationId: 'changeService',
        summary: 'Change a service',
        description:
          'Fields given replace, fields absent stay. Host, port and protocol may be repeated but not changed.',
        tags,
        params: servicePath,
        querystring: waiting,
        body: serviceBody,
        response: written('changed'),
      },
    },
    async (request, reply) => {
      const { vs } = request.params
      const waitMs = waitOf(request.query)
      await control.patchService(vs, request.body, 'rest')
      return answerWritten(reply, control, vs, waitMs)
    },
  )

  app.delete(
    '/service/:vs',
    {
      schema: {
        operationId: 'deleteService',
        summary: 'Delete a service and its backends',
        tags,
        params: servicePath,
        querystring: waiting,
        response: written('deleted'),
      },
    },
    async (request, reply) => {
      const { vs } = request.params
      const waitMs = waitOf(request.query)
      await control.deleteService(vs, 'rest')
      return answerWritten(reply, control, vs, waitMs)
    },
  )
}

/** Counters as far as they are to be had: an object is shown even where its plane does not answer. */
export async function countersOf(
  app: App,
  control: Control,
  ids?: readonly ServiceId[],
): Promise<ReadonlyMap<ServiceId, ServiceCounters>> {
  try {
    return await control.counters(ids)
  } catch (error) {
    app.log.warn({ err: error }, 'the data plane gave no counters')
    return new Map()
  }
}

/** Services with all their backends. */
function* servicesInFull(
  control: Control,
  counters: ReadonlyMap<ServiceId, ServiceCounters>,
): Generator<{ readonly value: unknown; readonly weight: number }> {
  for (const id of control.serviceIds()) {
    const view = control.service(id)
    if (view === null) continue
    const backends = control.backends(id)
    yield { value: wireServiceInFull(view, backends, counters.get(id)), weight: 1 + backends.length }
  }
}
