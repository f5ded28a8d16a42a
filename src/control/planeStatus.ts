import type { PlaneName } from '../model/names.ts'
import type { Plane } from '../planes/plane.ts'
import type { Confirmations } from './confirmations.ts'
import type { PlaneStatus } from './control.ts'
import { lagOf } from './lag.ts'
import type { DesiredState } from './state.ts'

export interface PlaneStatusOptions {
  readonly planes: ReadonlyMap<PlaneName, Plane>
  readonly defaultPlane: PlaneName
  /** Planes that are not open yet, and why. */
  readonly unopened: ReadonlyMap<PlaneName, string>
  readonly desired: DesiredState
  readonly confirmations: ReadonlyMap<PlaneName, Confirmations>
  readonly auditedAt: () => number
}

/** How the planes are: what they carry, what of it is not as it should be, and what they tell of themselves. */
export function planeStatuses(options: PlaneStatusOptions): Promise<readonly PlaneStatus[]> {
  const { planes, defaultPlane, unopened, desired, confirmations, auditedAt } = options
  return Promise.all(
    [...planes].map(async ([name, plane]) => {
      const states = [...desired.services.values()].filter(
        (state) => (state.record?.options.plane ?? defaultPlane) === name,
      )
      return {
        name,
        can: plane.can,
        services: states.filter((state) => state.record !== null).length,
        failing: states.filter((state) => state.reconcile.state === 'failing').length,
        drifted: states.filter((state) => state.drift.has(name)).length,
        lag: lagOf(confirmations.get(name)),
        auditedAt: unopened.has(name) ? 0 : auditedAt(),
        ...(await tell(plane, unopened.get(name))),
      }
    }),
  )
}

/** What a plane tells beyond its own services; one that does not answer says why. */
async function tell(
  plane: Plane,
  unopened: string | undefined,
): Promise<Pick<PlaneStatus, 'foreign' | 'facts' | 'problem'>> {
  if (unopened !== undefined) return { foreign: [], facts: {}, problem: unopened }
  try {
    return { foreign: (await plane.foreign?.()) ?? [], facts: (await plane.facts?.()) ?? {}, problem: '' }
  } catch (error) {
    return { foreign: [], facts: {}, problem: error instanceof Error ? error.message : String(error) }
  }
}
