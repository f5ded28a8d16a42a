import { z } from 'zod'
import type { Control } from '../../control/control.ts'
import { answerJson } from '../answer.ts'
import { responses, type App } from '../describe.ts'
import { capabilitiesShape, wireCapabilities } from '../wire.ts'

const planeShape = z
  .object({
    name: z.string(),
    services: z.number().describe('services it carries'),
    failing: z.number().describe('services it refuses now'),
    audited_at: z.iso
      .datetime()
      .nullable()
      .describe('when all it holds was last compared with what it should; null: not yet'),
    can: capabilitiesShape,
  })
  .meta({ id: 'Plane' })

export function planeRoute(app: App, control: Control, version: string): void {
  app.get(
    '/plane',
    {
      schema: {
        operationId: 'getPlanes',
        summary: 'Show the data planes, what they can do and how they are',
        tags: ['daemon'],
        response: responses({
          description: 'the version of Torb and its planes',
          schema: z.object({ version: z.string(), planes: z.array(planeShape) }),
        }),
      },
    },
    async (_request, reply) =>
      answerJson(reply, {
        version,
        planes: (await control.planes()).map(({ name, can, services, failing, auditedAt }) => ({
          name,
          services,
          failing,
          audited_at: auditedAt === 0 ? null : new Date(auditedAt).toISOString(),
          can: wireCapabilities(can),
        })),
      }),
  )
}
