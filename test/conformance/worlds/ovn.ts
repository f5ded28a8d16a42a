import { setTimeout as sleep } from 'node:timers/promises'
import type { Endpoint } from '../../../lab/client.ts'
import { startOvn, type OvnLab } from '../../../lab/ovn/ovn.ts'
import { connectOvsdb } from '../../../src/planes/ovn/ovsdb/client.ts'
import { unixctl } from '../../../src/planes/ovn/unixctl.ts'
import type { Family } from '../../../src/model/address.ts'
import type { Backend, ClientNetwork, World } from '../world.ts'

/** A world in a virtual network; the plane writes to its databases. */
export interface OvnWorld extends World {
  readonly lab: OvnLab
}

export interface OvnWorldOptions {
  /** Servers, which are addresses of one endpoint; at least four. */
  readonly servers?: number
  /** Client addresses in each of two IPv4 and two IPv6 networks. */
  readonly clients?: number
}

const backendPort = 9000
const foreignPort = 9001

/**
 * Clients, a router and servers, on switches of a real OVN of one chassis:
 *
 *     client 10.1.0.0/16, fd00:1::/48 ── front ── router ── back ── servers 10.2.0.0/16, fd00:2::/48
 *                                                   └ void 10.4.0.0/24: refuses what no service takes of 10.3.0.0/16, fd00:3::/48
 */
export async function ovnWorld({
  servers: count = 4,
  clients: perNetwork = 8,
}: OvnWorldOptions = {}): Promise<OvnWorld> {
  const lab = await startOvn({ chassis: 1 })
  try {
    return await inhabited(lab, count, perNetwork)
  } catch (error) {
    lab.close()
    throw error
  }
}

const networks = {
  front: ['10.1.0.1/16', 'fd00:1::ffff/48'],
  back: ['10.2.0.1/16', 'fd00:2::ffff/48'],
  void: ['10.4.0.1/24', 'fd00:4::ffff/64'],
} as const

/** What waits until all chassis have what the northbound database holds: `ovn-nbctl --wait=hv sync`, without a process. */
async function follower(lab: OvnLab): Promise<{ follow: () => Promise<void>; close: () => Promise<void> }> {
  const database = await connectOvsdb({
    database: 'OVN_Northbound',
    addresses: [lab.nbAddress],
    tables: { NB_Global: { required: { hv_cfg: 'integer' } } },
    leaderOnly: false,
    log: { info() {}, warn() {} },
  })
  const reached = (): number => [...database.rows('NB_Global').values()][0]?.hv_cfg ?? 0
  return {
    follow: async () => {
      const results = await database.transact([
        { op: 'mutate', table: 'NB_Global', where: [], mutations: [['nb_cfg', '+=', 1]] },
        { op: 'select', table: 'NB_Global', where: [], columns: ['nb_cfg'] },
      ])
      const number = Number(results[1]?.rows?.[0]?.['nb_cfg'])
      await new Promise<void>((resolve) => {
        const look = (): void => {
          if (reached() < number) return
          end()
          resolve()
        }
        const end = database.subscribe(look)
        look()
      })
    },
    close: () => database.close(),
  }
}

async function inhabited(lab: OvnLab, count: number, perNetwork: number): Promise<OvnWorld> {
  const commands = [
    'lr-add router',
    ...Object.entries(networks).flatMap(([name, addresses], number) => [
      `ls-add ${name}`,
      `lrp-add router router-${name} 0a:00:00:01:00:0${number} ${addresses.join(' ')}`,
      `lsp-add ${name} ${name}-router`,
      `lsp-set-type ${name}-router router`,
      `lsp-set-addresses ${name}-router router`,
      `lsp-set-options ${name}-router router-port=router-${name}`,
    ]),
    'lr-route-add router 10.3.0.0/16 10.4.0.2',
    'lr-route-add router fd00:3::/48 fd00:4::2',
  ]
  await lab.nbctl(...commands.join(' -- ').split(' '))
  const several = (address: (n: number) => string): string[] =>
    Array.from({ length: perNetwork }, (_, index) => address(index + 1))
  const clientNetworks: Record<Family, ClientNetwork[]> = {
    4: [1, 2].map((net) => ({ prefix: 24, addresses: several((n) => `10.1.${net}.${n}`) })),
    6: [1, 2].map((net) => ({ prefix: 64, addresses: several((n) => `fd00:1:0:${net}::${n.toString(16)}`) })),
  }
  const gateways = (name: keyof typeof networks): string[] =>
    networks[name].map((network) => network.replace(/\/.*/, ''))
  const numbers = Array.from({ length: count }, (_, index) => index + 1)
  const [client, nobody, server] = await Promise.all([
    lab.port(1, 'front', 'client', {
      addresses: [
        ...clientNetworks[4].flatMap(({ addresses }) => addresses.map((address) => `${address}/16`)),
        ...clientNetworks[6].flatMap(({ addresses }) => addresses.map((address) => `${address}/48`)),
      ],
      gateways: gateways('front'),
    }),
    lab.port(1, 'void', 'void', { addresses: ['10.4.0.2/24', 'fd00:4::2/64'], gateways: gateways('void') }),
    lab.port(1, 'back', 'server', {
      addresses: numbers.flatMap((n) => [`10.2.1.${n}/16`, `fd00:2::${n}/48`]),
      gateways: gateways('back'),
    }),
  ])
  await nobody.namespace.run('ip', 'route', 'add', 'local', '10.3.0.0/16', 'dev', 'lo')
  await nobody.namespace.run('ip', 'route', 'add', 'local', 'fd00:3::/48', 'dev', 'lo')
  const [traffic, echoes] = await Promise.all([client.traffic(), server.traffic()])
  const backends: Record<Family, Backend[]> = { 4: [], 6: [] }
  await Promise.all(
    numbers.flatMap((n) =>
      (
        [
          [4, `b${n}`, `10.2.1.${n}`],
          [6, `c${n}`, `fd00:2::${n}`],
        ] as const
      ).map(async ([family, name, address]) => {
        backends[family][n - 1] = { name, address, port: await echoes.listen(name, address, backendPort) }
      }),
    ),
  )
  await lab.sync()
  const switchd = (command: string): Promise<string> =>
    unixctl(lab.chassis[0]?.vswitchd.unixctl ?? '', 'ovs-vswitchd', command, [], 5000)
  /** What the switch keeps for traffic that runs follows its flows at its own pace: waits until it does. */
  const revalidated = async (): Promise<void> => {
    const waiting = { over: false }
    const waited = switchd('revalidator/wait').finally(() => (waiting.over = true))
    // It sees that only when something wakes it, every half second else.
    while (!waiting.over) {
      await switchd('version')
      await sleep(5)
    }
    await waited
  }
  // Milliseconds, the least that it takes.
  await lab.chassis[0]?.vsctl('set', 'Open_vSwitch', '.', 'other_config:max-revalidator=100')
  const { follow, close: leave } = await follower(lab)
  // Closed connections stay tracked for minutes. One to another virtual address, from the same port to the same server,
  // would find its answers' place taken, and Open vSwitch drops its packets.
  const ports = { portsInTurn: true } as const
  let vips = 0
  let foreign = 0
  return {
    name: 'OVN',
    lab,
    forwarding: new Set(['nat']),
    attach: { switches: ['front'], routers: [], groups: [] },
    forgetsClosed: false,
    backends: (family) => backends[family],
    clients: (family) => clientNetworks[family],
    async vip(family) {
      const n = ++vips
      return { address: family === 4 ? `10.3.${n >> 8}.${n & 255}` : `fd00:3::${n.toString(16)}`, port: 80 }
    },
    exchange: (asked) => traffic.exchange({ ...asked, ...ports }),
    start: (asked) => traffic.start({ ...asked, ...ports }),
    stop: (id) => traffic.stop(id),
    hold: (asked) => traffic.hold({ ...asked, ...ports }),
    answering: (ids) => traffic.answering(ids),
    release: (ids) => traffic.release(ids),
    async releaseAll() {
      await traffic.releaseAll()
      // Ports come again after a while, see above. The last packets of those that were closed just now would be tracked anew.
      await sleep(30)
      await switchd('dpctl/flush-conntrack')
    },
    async settle(what) {
      if (what !== 'effect') return
      await follow()
      // A look that began before is over by then.
      await sleep(20)
      await revalidated()
    },
    async foreign({ address, port }: Endpoint) {
      const name = `foreign${++foreign}`
      if (foreign === 1) await echoes.listen('foreign', '10.2.1.1', foreignPort)
      await lab.nbctl('lb-add', name, `${address}:${port}`, `10.2.1.1:${foreignPort}`)
      await lab.nbctl('ls-lb-add', 'front', name)
      await lab.sync()
    },
    async close() {
      await leave()
      lab.close()
    },
  }
}
