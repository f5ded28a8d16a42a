import { endpointText } from '../model/address.ts'
import type { PulseOptions } from '../model/pulse.ts'
import { invalid } from '../model/refusal.ts'
import type { Plane } from '../planes/plane.ts'
import { reach } from '../pulse/reach.ts'

/**
 * A pulse that Torb would carry out itself makes sense only where it gets to the backend, which in a virtual network is not a
 * matter of course. That the backend is down now does not matter.
 *
 * @throws Refusal `invalid`
 */
export async function checkReached(
  plane: Pick<Plane, 'can' | 'health'> | undefined,
  { type, args }: PulseOptions,
  place: { readonly address: string; readonly port: number },
): Promise<void> {
  if (plane?.can.attach !== true || type === 'none') return
  if (plane.health !== undefined && plane.can.checks.has(type)) return
  const address = args?.host ?? place.address
  const port = args?.port ?? place.port
  const reason = await reach(address, port)
  if (reason === null) return
  throw invalid(
    `a ${type} pulse is carried out from this host, which does not reach ${endpointText(address, port)} (${reason}): give "pulse": {"type": "tcp"}, which OVN carries out on the backend's chassis, or run Torb where the virtual network can be reached`,
  )
}
