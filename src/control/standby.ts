import { setTimeout as sleep } from 'node:timers/promises'
import type { PlaneName, PulseType, ServiceId } from '../model/names.ts'
import type { Plane, VirtualService } from '../planes/plane.ts'
import { effective, sameService } from './effective.ts'
import { identified } from './identify.ts'
import type { DesiredState, ServiceState } from './state.ts'

/** Why this Torb leaves a plane to another one now; null where it does not. */
export const standbyOf = (plane: Plane | undefined): string | null => plane?.standby?.() ?? null

const lookMs = 500

/** Resolves when this Torb does not stand by any more: true; false at the signal. */
export async function untilWriting(plane: Plane, signal: AbortSignal): Promise<boolean> {
  while (standbyOf(plane) !== null) {
    try {
      await sleep(lookMs, undefined, { signal, ref: false })
    } catch {
      return false
    }
  }
  return !signal.aborted
}

/**
 * Takes up what the Torb that writes has changed in a plane: there that is no drift.
 *
 * @param seen what the plane holds of these services
 * @returns the services that were changed
 */
export function followWriter(
  { services }: DesiredState,
  name: PlaneName,
  keys: readonly ServiceId[],
  seen: ReadonlyMap<ServiceId, VirtualService>,
  checks: ReadonlySet<PulseType>,
): ServiceState[] {
  return keys.flatMap((id) => {
    const state = services.get(id)
    if (state === undefined) return []
    const { record, vital, held, drift } = state
    const entry = seen.get(id)
    const now = entry && record ? identified(entry, effective(record, vital, null, checks)) : entry
    const given = held.get(name)
    drift.delete(name)
    if (now === undefined ? given === undefined : given !== undefined && sameService(given, now)) return []
    if (now === undefined) held.delete(name)
    else held.set(name, now)
    return [state]
  })
}
