import type { Endpoint, Traffic } from '../../lab/client.ts'
import type { Methods } from '../../lab/channel.ts'
import type { Family } from '../../src/model/address.ts'
import type { World } from './world.ts'

const families = [4, 6] as const

/** The methods of a world for a process that stands inside it, such as in another kernel; `enter` makes it. */
export function hostWorld(make: () => Promise<World>) {
  let world: World | null = null
  const entered = (): World => {
    if (world === null) throw new Error('the world was not entered')
    return world
  }
  return {
    async enter() {
      world = await make()
      const { name, forwarding, attach, forgetsClosed } = world
      return {
        facts: { name, attach, forgetsClosed },
        forwarding: [...forwarding],
        backends: families.map((family) => entered().backends(family)),
        clients: families.map((family) => entered().clients(family)),
      }
    },
    vip: async (family: Family) => entered().vip(family),
    exchange: async (traffic: Traffic) => entered().exchange(traffic),
    start: async (traffic: Traffic) => entered().start(traffic),
    stop: async (id: number) => entered().stop(id),
    hold: async (traffic: Traffic) => entered().hold(traffic),
    answering: async (ids: readonly number[]) => entered().answering(ids),
    release: async (ids: readonly number[]) => entered().release(ids),
    releaseAll: async () => entered().releaseAll(),
    settle: async (what: 'effect' | 'statistics') => entered().settle(what),
    foreign: async (at: Endpoint, family: Family) => entered().foreign(at, family),
    leave: async () => entered().close(),
  } satisfies Methods
}

/** A world in another process. @param close ends what the process runs in, after the world was left */
export async function remoteWorld(
  there: ReturnType<typeof hostWorld>,
  close: () => Promise<void>,
): Promise<World> {
  const { facts, forwarding, backends, clients } = await there.enter()
  const of = <T>(lists: readonly (readonly T[])[], family: Family): readonly T[] =>
    lists[families.indexOf(family)] ?? []
  return {
    ...facts,
    forwarding: new Set(forwarding),
    backends: (family) => of(backends, family),
    clients: (family) => of(clients, family),
    vip: (family) => there.vip(family),
    exchange: (traffic) => there.exchange(traffic),
    start: (traffic) => there.start(traffic),
    stop: (id) => there.stop(id),
    hold: (traffic) => there.hold(traffic),
    answering: (ids) => there.answering(ids),
    release: (ids) => there.release(ids),
    releaseAll: () => there.releaseAll(),
    settle: (what) => there.settle(what),
    foreign: (at, family) => there.foreign(at, family),
    async close() {
      await there.leave()
      await close()
    },
  }
}
