import { fileURLToPath } from 'node:url'
import { it } from 'vitest'
import { umlMissing } from '../../lab/uml/install.ts'
import { bootUml } from '../../lab/uml/uml.ts'
import type { actor } from './ipvs.uml.actor.ts'
import { RemotePlane } from './remotePlane.ts'
import { remoteWorld } from './remoteWorld.ts'
import { conformance } from './suite.ts'
import { fromWire } from './wireCapabilities.ts'

const name = 'ipvs in User-Mode Linux'
const missing = umlMissing()

async function umlWorld() {
  const uml = await bootUml<typeof actor>({
    actor: fileURLToPath(new URL('ipvs.uml.actor.ts', import.meta.url)),
    modules: ['veth', 'bridge', 'ip_vs', 'ipip'],
    autoload: true,
    memoryMb: 1024,
    limitMs: 400_000,
  })
  try {
    return { ...(await remoteWorld(uml.guest, () => uml.kill())), guest: uml.guest }
  } catch (error) {
    await uml.kill()
    throw error
  }
}

if (missing === null) {
  conformance(name, umlWorld, async ({ guest }) => new RemotePlane(fromWire(await guest.can()), guest))
} else {
  it(name, ({ skip }) => skip(missing))
}
