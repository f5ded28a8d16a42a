import { it } from 'vitest'
import { ringMissing } from '../../src/kernel/uring/probe.ts'
import { openUserspace } from '../../src/planes/userspace/plane.ts'
import { ThreadPlane } from '../../src/planes/userspace/thread.ts'
import { portable } from '../../src/proxy/portable/transport.ts'
import { openRingTransport } from '../../src/proxy/ring/transport.ts'
import { conformance } from './suite.ts'
import { loopbackWorld } from './worlds/loopback.ts'

conformance('userspace on loopback, portable', loopbackWorld, async () =>
  openUserspace({ closeWithinMs: 0, openTransport: () => portable }),
)

conformance(
  'userspace on loopback, a thread of its own',
  loopbackWorld,
  async () => new ThreadPlane({ closeWithinMs: 0 }),
)

const onRing = 'userspace on loopback, ring'
const missing = await ringMissing()
if (missing === null) {
  conformance(onRing, loopbackWorld, async () =>
    openUserspace({ closeWithinMs: 0, openTransport: openRingTransport }),
  )
} else {
  it(onRing, ({ skip }) => skip(missing))
}
