import { ringMissing } from '../../kernel/uring/probe.ts'
import { PortableStreams } from '../portable/stream.ts'
import { driven } from '../ring/rig.ts'
import { RingStream } from '../ring/stream.ts'
import { bodySuite } from './proxyBodySuite.ts'
import { faultSuite } from './proxyFaultSuite.ts'
import { relaySuite } from './proxyRelaySuite.ts'
import { sharedSuite } from './proxySharedSuite.ts'
import { smugglingSuite } from './proxySmugglingSuite.ts'
import { forwardingSuite } from './proxySuite.ts'
import { trapSuite } from './proxyTrapSuite.ts'
import { tunnelSuite } from './proxyTunnelSuite.ts'

const missing = await ringMissing()
if (missing !== null) console.warn(`skipped: the HTTP proxy over the ring, as ${missing}`)

for (const suite of [
  forwardingSuite,
  bodySuite,
  tunnelSuite,
  faultSuite,
  sharedSuite,
  relaySuite,
  trapSuite,
  smugglingSuite,
]) {
  suite('node:net', (options) => new PortableStreams(options))
  if (missing === null) suite('the ring', async (options) => driven(await RingStream.open(options)))
}
