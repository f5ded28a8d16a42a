import { z } from 'zod'
import type { Control } from '../../control/control.ts'
import { responses, type App } from '../describe.ts'
import { writePlanes, type EventCounts } from '../metrics/daemon.ts'
import { Exposition, expositionType } from '../metrics/exposition.ts'
import { writeObjects } from '../metrics/objects.ts'
import type { ProcessMetrics } from '../metrics/process.ts'
import { countersOf } from './services.ts'

export function metricsRoute(
  app: App,
  control: Control,
  events: EventCounts,
  ofProcess: ProcessMetrics,
): void {
  app.get(
    '/metrics',
    {
      schema: {
        operationId: 'getMetrics',
        summary: 'Metrics for Prometheus',
        description: "GORB's under their names, Torb's as `torb_*`, those of the process.",
        tags: ['daemon'],
        response: responses({ description: 'text format 0.0.4', schema: z.string(), type: 'text/plain' }),
      },
    },
    async (_request, reply) => {
      const counters = await countersOf(app, control)
      const out = new Exposition()
      writeObjects(out, control, counters)
      writePlanes(out, control)
      events.write(out)
      ofProcess.write(out)
      return reply.header('content-type', expositionType).send(out.toString())
    },
  )
}
