import { ThreadPlane } from '../../src/planes/userspace/thread.ts'
import { hostPlane } from './remotePlane.ts'

/** The userspace plane for a process in the director's namespace. */
export const actor = hostPlane(() => new ThreadPlane({ closeWithinMs: 0 }))
