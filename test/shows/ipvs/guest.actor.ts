import type { Traffic } from '../../../lab/client.ts'
import { namespacesWorld, type NamespacesWorld } from '../../conformance/worlds/namespaces.ts'
import type { Director } from './director.actor.ts'

let world: NamespacesWorld | null = null
let director: Director | null = null

function entered(): { readonly world: NamespacesWorld; readonly director: Director } {
  if (world === null || director === null) throw new Error('the world was not entered')
  return { world, director }
}

/** Inside User-Mode Linux: clients, a director and backends in namespaces, and who stands in the director's. */
export const actor = {
  async enter(): Promise<void> {
    world = await namespacesWorld()
    director = await world.director.actor<Director>(new URL('director.actor.ts', import.meta.url))
  },
  vip: async () => await entered().world.vip(4),
  backends: async () => entered().world.backends(4),
  clients: async () =>
    entered()
      .world.clients(4)
      .flatMap(({ addresses }) => addresses),
  exchange: async (traffic: Traffic) => await entered().world.exchange(traffic),
  start: async (traffic: Traffic) => await entered().world.start(traffic),
  stop: async (id: number) => await entered().world.stop(id),
  hold: async (traffic: Traffic) => await entered().world.hold(traffic),
  answering: async (ids: readonly number[]) => await entered().world.answering(ids),

  serve: async (args: readonly string[]) => await entered().director.serve(args),
  end: async (signal: NodeJS.Signals) => await entered().director.end(signal),
  signal: async (signal: NodeJS.Signals) => await entered().director.signal(signal),
  errors: async () => await entered().director.errors(),
  api: async (method: string, path: string, body?: unknown) =>
    await entered().director.api(method, path, body),
  write: async (path: string, text: string) => await entered().director.write(path, text),
  ipvsadm: async (args: readonly string[]) => await entered().director.ipvsadm(args),
  forget: async (data: string, rows: readonly (readonly [string, string])[]) =>
    await entered().director.forget(data, rows),
  trace: async () => await entered().director.trace(),
  span: async () => await entered().director.span(),
  traced: async () => await entered().director.traced(),
}
