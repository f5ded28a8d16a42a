import type { Destination } from '../plane.ts'

type Thresholds = Pick<Destination, 'upperThreshold' | 'lowerThreshold'>

/*
 * IPVS's overload flag of a destination (ip_vs_conn.c: ip_vs_bind_dest, ip_vs_unbind_dest; ip_vs_ctl.c:
 * __ip_vs_update_dest). It is set when connections reach the upper threshold, and stays until they fall below the lower one.
 */

/** The flag after a connection came; `connections` counts it. */
export const overloadedAfterOpen = (
  was: boolean,
  { upperThreshold }: Thresholds,
  connections: number,
): boolean => was || (upperThreshold !== 0 && connections >= upperThreshold)

/** The flag after a connection went. */
export function overloadedAfterClose(was: boolean, thresholds: Thresholds, connections: number): boolean {
  const { upperThreshold, lowerThreshold } = thresholds
  if (lowerThreshold !== 0) return was && connections >= lowerThreshold
  // Without a lower one: three quarters of the upper.
  return was && upperThreshold !== 0 && connections * 4 >= upperThreshold * 3
}

/** The flag after the thresholds were changed. */
export const overloadedAfterUpdate = (was: boolean, before: Thresholds, after: Thresholds): boolean =>
  was && after.upperThreshold !== 0 && after.upperThreshold <= before.upperThreshold
