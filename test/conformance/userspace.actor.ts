import { openUserspace } from '../../src/planes/userspace/plane.ts'
import { hostPlane } from './remotePlane.ts'

/** The userspace plane for a process in the director's namespace. */
export const actor = hostPlane(() => openUserspace({ closeWithinMs: 0 }))
