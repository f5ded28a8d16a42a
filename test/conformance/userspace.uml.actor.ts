import { userspaceCan } from '../../src/planes/userspace/can.ts'
import { hostPlane, RemotePlane } from './remotePlane.ts'
import { hostWorld } from './remoteWorld.ts'
import type { actor as director } from './userspace.actor.ts'
import { namespacesWorld, type NamespacesWorld } from './worlds/namespaces.ts'

let world: NamespacesWorld | null = null

/** Inside User-Mode Linux: the namespaces, and the userspace plane in the director's. */
export const actor = {
  ...hostWorld(async () => (world = await namespacesWorld())),
  ...hostPlane(async () => {
    if (world === null) throw new Error('the world was not entered')
    const host = await world.director.actor<typeof director>(new URL('userspace.actor.ts', import.meta.url))
    return new RemotePlane(userspaceCan, host)
  }),
}
