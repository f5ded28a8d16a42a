import { Readable } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { z } from 'zod'
import type { Control, PlaneStatus } from '../../control/control.ts'
import type { ServiceId } from '../../model/names.ts'
import type { ServiceCounters } from '../../planes/plane.ts'
import { responses, type App } from '../describe.ts'
import type { FunctionFacts } from '../functionFacts.ts'
import { writeAnnouncers, writePlanes, type EventCounts } from '../metrics/daemon.ts'
import { Exposition, expositionType } from '../metrics/exposition.ts'
import { writeFunctions } from '../metrics/functions.ts'
import { writeGateway } from '../metrics/gateway.ts'
import { writeObjects } from '../metrics/objects.ts'
import type { ProcessMetrics } from '../metrics/process.ts'
import { writeSources } from '../metrics/sources.ts'
import type { AnnouncerStatus } from '../wirePlane.ts'
import { sourcesOf } from './functions.ts'
import { countersOf } from './services.ts'

export function metricsRoute(
  app: App,
  control: Control,
  events: EventCounts,
  ofProcess: ProcessMetrics,
  announcers: () => readonly AnnouncerStatus[],
  functions: FunctionFacts,
): void {
  function* writeAll(
    out: Exposition,
    counters: ReadonlyMap<ServiceId, ServiceCounters>,
    planes: readonly PlaneStatus[],
  ): Generator<void> {
    yield* writeObjects(out, control, counters)
    writePlanes(out, planes)
    writeAnnouncers(out, announcers())
    yield* writeFunctions(out, functions)
    writeGateway(out, functions.gateway())
    writeSources(out, sourcesOf(functions))
    events.write(out)
    ofProcess.write(out)
  }

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
      return reply.header('content-type', expositionType).send(
        Readable.from(inPieces(out, writeAll(out, counters, await control.planes())), {
          objectMode: false,
        }),
      )
    },
  )
}

/** Characters that are sent at once. */
const pieceLength = 65_536
/** How long the writing goes on before everything else has its turn. */
const turnMs = 5

/** A large page is sent while it is written. */
async function* inPieces(out: Exposition, writing: Iterable<void>): AsyncGenerator<string> {
  let began = performance.now()
  for (const _ of writing) {
    if (out.length >= pieceLength) yield out.take()
    if (performance.now() - began < turnMs) continue
    await nextTurn()
    began = performance.now()
  }
  yield out.take()
}
