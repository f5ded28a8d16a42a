import type { PlaneName, ServiceId } from '../model/names.ts'
import type { Plane, VirtualService } from '../planes/plane.ts'
import { effective } from './effective.ts'
import type { Log } from './events.ts'
import { identified } from './identify.ts'
import type { KeyLedger } from './ledger.ts'
import { standbyOf } from './standby.ts'
import type { DesiredState } from './state.ts'

/** Services that the log names at most. */
const mostNames = 5

export interface HoldingsOptions {
  readonly desired: DesiredState
  readonly ledger: KeyLedger
  readonly defaultPlane: PlaneName
  /** What the default plane holds is removed first. */
  readonly flush: boolean
  readonly log: Log
}

/** Opens a plane and notes what it holds of which service. @throws Refusal where it cannot be opened */
export async function openPlane(
  name: PlaneName,
  plane: Plane,
  { desired, ledger, defaultPlane, flush, log }: HoldingsOptions,
): Promise<void> {
  const given = ledger.view(name)
  await plane.open(given)
  if (flush && name === defaultPlane) await removeAll(plane)
  const unknown: ServiceId[] = []
  for await (const [id, spec] of plane.observe('all')) {
    // Of several Torbs with one mark another one may have made it: its mark alone is no reason to remove it.
    if (plane.can.attach && !desired.services.has(id) && !given.has(id)) {
      unknown.push(id)
      continue
    }
    // One that nobody wishes for any more is held without a record, and so withdrawn by the first reconciliation.
    const state = desired.services.get(id) ?? desired.put(id, null)
    const { record, vital } = state
    const wish = record && effective(record, vital, null, plane.can.checks)
    state.held.set(name, wish === null ? spec : identified(spec, wish))
  }
  const fields = { plane: name, services: unknown.slice(0, mostNames), count: unknown.length }
  if (unknown.length > 0 && standbyOf(plane) !== null)
    log.info(fields, 'this Torb stands by, and the one that writes has services that are not known here')
  else if (unknown.length > 0)
    log.warn(
      fields,
      'services bear the mark of this Torb and are not known here, and stay: another Torb with the same mark made them, or the store is new or an older one; create them anew, which takes them over with their backends, take all over with --adopt, or remove them by hand or with -f',
    )
  ledger.keep(name, (id) => {
    const state = desired.services.get(id)
    return state?.held.has(name) === true || (state?.record?.options.plane ?? defaultPlane) === name
  })
}

/** Removes all that a plane holds. */
async function removeAll(plane: Plane): Promise<void> {
  if (plane.flush !== undefined) return plane.flush()
  for await (const [id] of plane.observe('all')) await plane.withdraw([id])
}

/** A backend of unknown health keeps the weight its plane carries until its first check. */
export function keepUnknown(
  held: VirtualService,
  backends: ReadonlyMap<string, { held: number | null }>,
  known: (id: string) => boolean,
): void {
  for (const destination of held.destinations) {
    const backend = backends.get(destination.id)
    if (backend !== undefined && !known(destination.id)) backend.held = destination.weight
  }
}
