import { complaints } from '../model/complaints.ts'
import type { PlaneName, ServiceId } from '../model/names.ts'
import type { Plane, ServiceCounters } from '../planes/plane.ts'
import type { Log } from './events.ts'

export type Counters = (ids?: readonly ServiceId[]) => Promise<ReadonlyMap<ServiceId, ServiceCounters>>

/**
 * The counters of all planes together. One that does not answer leaves out its own; it rejects where none answers.
 *
 * @param unopened planes that are not open yet
 */
export function countersOf(
  planes: ReadonlyMap<PlaneName, Plane>,
  unopened: { has(name: PlaneName): boolean },
  log: Log,
  now: () => number,
): Counters {
  const due = complaints(now)
  const [only] = planes.values()
  if (only !== undefined && planes.size === 1) return (ids) => only.counters(ids)
  return async (ids) => {
    const all = new Map<ServiceId, ServiceCounters>()
    const failures: unknown[] = []
    await Promise.all(
      [...planes].map(async ([name, plane]) => {
        if (unopened.has(name)) return
        try {
          for (const [id, counted] of await plane.counters(ids)) all.set(id, counted)
        } catch (error) {
          failures.push(error)
          if (due() !== null) log.warn({ plane: name, err: error }, 'the plane gave no counters')
        }
      }),
    )
    if (failures.length === planes.size) throw failures[0]
    return all
  }
}
