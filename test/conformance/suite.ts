import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ServiceId } from '../../src/model/names.ts'
import type { Plane } from '../../src/planes/plane.ts'
import { affinity } from './cases/affinity.ts'
import { balance } from './cases/balance.ts'
import { changes } from './cases/changes.ts'
import { claims } from './cases/claims.ts'
import { counters } from './cases/counters.ts'
import { hashing } from './cases/hashing.ts'
import { http } from './cases/http.ts'
import { limits } from './cases/limits.ts'
import { ownership } from './cases/ownership.ts'
import { paths } from './cases/paths.ts'
import { ledgerOver, Rig, type Cases, type Stage } from './rig.ts'
import type { World } from './world.ts'

const topics: Readonly<Record<string, Cases>> = {
  balance,
  hashing,
  changes,
  affinity,
  limits,
  paths,
  counters,
  ownership,
  http,
  claims,
}

/**
 * The one suite that every plane passes, over a world where its packets can travel.
 *
 * Cases that the plane's `can` or the world excludes are skipped by name, and listed with the reason at the end.
 *
 * @param makePlane a plane that is not open; called again for each restart
 */
export function conformance<W extends World>(
  name: string,
  makeWorld: () => Promise<W>,
  makePlane: (world: W) => Promise<Plane>,
): void {
  describe(name, () => {
    let stage: Stage | undefined
    const excluded: string[] = []

    beforeAll(async () => {
      const world = await makeWorld()
      const notes = new Map<ServiceId, string>()
      const opened = async (): Promise<Plane> => {
        const plane = await makePlane(world)
        await plane.open(ledgerOver(notes))
        return plane
      }
      try {
        const made: Stage = {
          world,
          notes,
          plane: await opened(),
          reopen: async () => void (made.plane = await opened()),
        }
        stage = made
      } catch (error) {
        await world.close()
        throw error
      }
    })

    afterAll(async () => {
      await stage?.plane.close()
      await stage?.world.close()
      if (excluded.length > 0) console.log([`${name}: left out`, ...excluded].join('\n  '))
    })

    for (const [topic, cases] of Object.entries(topics)) {
      describe(topic, () => {
        for (const [title, run] of Object.entries(cases)) {
          it(title, async (context) => {
            if (stage === undefined) throw new Error('the world or the plane did not open')
            const rig = new Rig(stage, (reason) => {
              excluded.push(`${topic} > ${title}: ${reason}`)
              return context.skip(reason)
            })
            try {
              await run(rig)
            } finally {
              await rig.clear()
            }
            expect(stage.notes, 'services left behind').toEqual(new Map())
          })
        }
      })
    }
  })
}
