import { openUserspace } from '../../src/planes/userspace/plane.ts'
import { conformance } from './suite.ts'
import { loopbackWorld } from './worlds/loopback.ts'

conformance('userspace on loopback', loopbackWorld, async () => openUserspace({ closeWithinMs: 0 }))
