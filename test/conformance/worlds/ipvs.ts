import { setTimeout as sleep } from 'node:timers/promises'
import { endpointText } from '../../../src/model/address.ts'
import { backendPort, namespacesWorld, type NamespacesWorld } from './namespaces.ts'

/** The kernel folds its counters every 2 s (ip_vs_est.c). */
const foldedMs = 2500

/** Where the foreign entry leads to: a server on the director itself. */
const stranger = { address: '10.2.0.1', port: 9100 } as const

/** Backends take packets for the virtual addresses, and those in tunnels (tunl0); answers go out by the director, their router. */
const asBackend = [
  'ip link set tunl0 up',
  'ip route add local 10.3.0.0/16 dev lo',
  'sysctl -q -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.tunl0.rp_filter=0 net.ipv4.conf.all.arp_ignore=1',
].join(' && ')

/** The answers of dr and tunnel pass the director under an address of its own. */
const asDirector =
  'sysctl -q -w net.ipv4.conf.all.accept_local=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.back.rp_filter=0'

/** The world of namespaces, laid out for the three ways in which IPVS forwards. Needs the modules ip_vs and ipip. */
export async function ipvsWorld(): Promise<NamespacesWorld> {
  // dr and tunnel keep the port of the virtual address.
  const world = await namespacesWorld({ vipPort: backendPort, anyAddress: true })
  const { director, backendNamespaces } = world
  try {
    await Promise.all([
      director.run('sh', '-c', asDirector),
      ...backendNamespaces.map((namespace) => namespace.run('sh', '-c', asBackend)),
    ])
  } catch (error) {
    await world.close()
    throw error
  }
  return {
    ...world,
    name: 'IPVS in namespaces',
    forwarding: new Set(['nat', 'dr', 'tunnel']),
    forgetsClosed: false,
    settle: async (what) => {
      if (what === 'statistics') await sleep(foldedMs)
    },
    foreign: async ({ address, port }, family) => {
      await world.foreign(stranger, family)
      const service = ['-t', endpointText(address, port)]
      await director.run('ipvsadm', '-A', ...service, '-s', 'rr')
      await director.run(
        'ipvsadm',
        '-a',
        ...service,
        '-r',
        endpointText(stranger.address, stranger.port),
        '-m',
      )
    },
  }
}
