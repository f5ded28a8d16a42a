import { IpvsPlane } from '../../src/planes/ipvs/plane.ts'
import { hostPlane } from './remotePlane.ts'
import { ledgerOver } from './rig.ts'
import { toWire, type WireCapabilities } from './wireCapabilities.ts'

/** The ipvs plane for a process in the director's namespace. */
export const actor = {
  ...hostPlane(() => new IpvsPlane()),
  /** What the kernel can do, as only a plane that is open knows. */
  can: async (): Promise<WireCapabilities> => {
    const plane = new IpvsPlane()
    await plane.open(ledgerOver(new Map()))
    await plane.close()
    return toWire(plane.can)
  },
}
