import { z } from 'zod'
import type { Control } from '../../control/control.ts'
import { answerJson } from '../answer.ts'
import { responses, type App } from '../describe.ts'
import { announcerShape, planeShape, wireAnnouncer, wirePlane, type AnnouncerStatus } from '../wirePlane.ts'

export const planesShape = z.object({
  version: z.string(),
  planes: z.array(planeShape),
  announcers: z.array(announcerShape),
})

export function planeRoute(
  app: App,
  control: Control,
  version: string,
  announcers: () => readonly AnnouncerStatus[],
): void {
  app.get(
    '/plane',
    {
      schema: {
        operationId: 'getPlanes',
        summary: 'Show the data planes, what they can do and how they are, and the announcers',
        tags: ['daemon'],
        response: responses({
          description: 'the version of Torb, its planes, and who tells others of its services',
          schema: planesShape,
        }),
      },
    },
    async (_request, reply) =>
      answerJson(reply, {
        version,
        planes: (await control.planes()).map(wirePlane),
        announcers: announcers().map(wireAnnouncer),
      }),
  )
}
