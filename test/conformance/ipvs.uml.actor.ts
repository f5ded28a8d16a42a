import type { actor as director } from './ipvs.actor.ts'
import { hostPlane, RemotePlane } from './remotePlane.ts'
import { hostWorld } from './remoteWorld.ts'
import { fromWire } from './wireCapabilities.ts'
import { ipvsWorld } from './worlds/ipvs.ts'
import type { NamespacesWorld } from './worlds/namespaces.ts'

let world: NamespacesWorld | null = null
let host: typeof director | null = null

async function planeHost(): Promise<typeof director> {
  if (world === null) throw new Error('the world was not entered')
  host ??= await world.director.actor<typeof director>(new URL('ipvs.actor.ts', import.meta.url))
  return host
}

/** Inside User-Mode Linux: the namespaces, and the ipvs plane in the director's. */
export const actor = {
  ...hostWorld(async () => (world = await ipvsWorld())),
  ...hostPlane(async () => {
    const there = await planeHost()
    return new RemotePlane(fromWire(await there.can()), there)
  }),
  can: async () => (await planeHost()).can(),
}
