import type { TrafficActor } from '../../../lab/actors/traffic.ts'
import type { Endpoint } from '../../../lab/client.ts'
import { Network, type Link, type Namespace } from '../../../lab/namespaces.ts'
import type { Family } from '../../../src/model/address.ts'
import type { Backend, ClientNetwork, World } from '../world.ts'

const actors = new URL('../../../lab/actors/traffic.ts', import.meta.url)

/** A world of network namespaces; the plane has to work in `director`. */
export interface NamespacesWorld extends World {
  readonly director: Namespace
  readonly backendNamespaces: readonly Namespace[]
}

interface NamespacesOptions {
  /** Port of the virtual addresses; 80 where absent. */
  readonly vipPort?: number
  /** IPv4 backends answer at every address: packets may come to them under the virtual one. */
  readonly anyAddress?: boolean
}

export const backendPort = 9000
const clientNetworks: Record<Family, ClientNetwork[]> = {
  4: [1, 2].map((net) => ({ prefix: 24, addresses: several((n) => `10.1.${net}.${n}`) })),
  6: [1, 2].map((net) => ({ prefix: 64, addresses: several((n) => `fd00:1:0:${net}::${n}`) })),
}
const backendNumbers = [1, 2, 3, 4] as const

function several(address: (n: number) => string): string[] {
  return Array.from({ length: 8 }, (_, index) => address(index + 1))
}

const routedBy = (bridge: string, addresses: readonly string[], number: number): Link => ({
  bridge,
  addresses,
  gateways: [`10.${number}.0.1`, `fd00:${number}::ffff`],
})

/**
 * Clients, a director and four backends in namespaces of their own:
 *
 *     client 10.1.0.0/16, fd00:1::/48 ── front ┐ hub (director)           ┌ back ── b1..b4 10.2.0.0/16, fd00:2::/48
 *                                              └ VIPs 10.3.0.0/16, fd00:3::/48 ┘
 *
 * The director's own addresses end in .0.1 and ::ffff; all routes lead by it, so that NAT works in both directions.
 */
export async function namespacesWorld(options: NamespacesOptions = {}): Promise<NamespacesWorld> {
  const clientAddresses = [
    ...clientNetworks[4].flatMap(({ addresses }) => addresses.map((address) => `${address}/16`)),
    ...clientNetworks[6].flatMap(({ addresses }) => addresses.map((address) => `${address}/48`)),
  ]
  const network = await Network.create({
    bridges: { front: ['10.1.0.1/16', 'fd00:1::ffff/48'], back: ['10.2.0.1/16', 'fd00:2::ffff/48'] },
    local: ['10.3.0.0/16', 'fd00:3::/48'],
    members: {
      client: routedBy('front', clientAddresses, 1),
      ...Object.fromEntries(
        backendNumbers.map((n) => [`b${n}`, routedBy('back', [`10.2.1.${n}/16`, `fd00:2::${n}/48`], 2)]),
      ),
    },
  })
  try {
    return await inhabited(network, options)
  } catch (error) {
    network.close()
    throw error
  }
}

async function inhabited(
  network: Network,
  { vipPort = 80, anyAddress = false }: NamespacesOptions,
): Promise<NamespacesWorld> {
  const [client, director] = await Promise.all([
    network.member('client').actor<TrafficActor>(actors),
    network.hub.actor<TrafficActor>(actors),
  ])
  const backends: Record<Family, Backend[]> = { 4: [], 6: [] }
  await Promise.all(
    backendNumbers.map(async (n) => {
      const servers = await network.member(`b${n}`).actor<TrafficActor>(actors)
      for (const [family, address] of [
        [4, `10.2.1.${n}`],
        [6, `fd00:2::${n}`],
      ] as const) {
        const name = family === 4 ? `b${n}` : `c${n}`
        const at = anyAddress && family === 4 ? '0.0.0.0' : address
        backends[family][n - 1] = { name, address, port: await servers.listen(name, at, backendPort) }
      }
    }),
  )
  let vips = 0
  return {
    name: 'namespaces',
    director: network.hub,
    backendNamespaces: backendNumbers.map((n) => network.member(`b${n}`)),
    forwarding: new Set(['nat']),
    attach: null,
    forgetsClosed: true,
    backends: (family) => backends[family],
    clients: (family) => clientNetworks[family],
    async vip(family) {
      const n = ++vips
      const address = family === 4 ? `10.3.${n >> 8}.${n & 255}` : `fd00:3::${n.toString(16)}`
      return { address, port: vipPort }
    },
    exchange: (traffic) => client.exchange(traffic),
    start: (traffic) => client.start(traffic),
    stop: (id) => client.stop(id),
    hold: (traffic) => client.hold(traffic),
    answering: (ids) => client.answering(ids),
    release: (ids) => client.release(ids),
    releaseAll: () => client.releaseAll(),
    async settle() {},
    async foreign({ address, port }: Endpoint) {
      await director.listen('foreign', address, port)
    },
    async close() {
      network.close()
    },
  }
}
