import type { Layout, Link } from '../../lab/namespaces.ts'
import { IpvsGuest } from './ipvsGuest.ts'

export const backends = ['b1', 'b2', 'b3'] as const
export const backendAddress = (name: string, family: 4 | 6 = 4): string =>
  `${family === 4 ? '10.2.1.' : 'fd00:2::'}${name.slice(1)}`
export const clientAddresses = Array.from({ length: 16 }, (_, n) => `10.1.1.${n + 1}`)
export const clientAddress6 = 'fd00:1::1'
/** What the servers of the backends listen on. */
export const backendPort = 9000

/** The VIPs that the backends carry on lo themselves, for dr and tunnel. */
export const sharedVips = '10.3.9.0/24'

/** Where the backends take gue. */
export const guePort = 5555

const gatewayOfBackends = ['10.2.0.1', 'fd00:2::ffff']
const gatewayOfClients = ['10.1.0.1', 'fd00:1::ffff']

/**
 *     client 10.1.1.1–16 ── front ┐ director, VIPs 10.3.0.0/16, fd00:3::/48 ┌ back ── b1 b2 b3 10.2.1.1–3
 *     backup 10.1.0.2    ──       ┘                                         └
 *     client 10.4.0.254 ──────────── direct: past the director ────────────── b1 b2 b3 10.4.0.1–3
 */
const layout: Layout = {
  bridges: {
    front: ['10.1.0.1/16', 'fd00:1::ffff/48'],
    back: ['10.2.0.1/16', 'fd00:2::ffff/48'],
    direct: [],
  },
  local: ['10.3.0.0/16', 'fd00:3::/48'],
  members: {
    client: [
      {
        bridge: 'front',
        addresses: [...clientAddresses.map((address) => `${address}/16`), `${clientAddress6}/48`],
        gateways: gatewayOfClients,
      },
      { bridge: 'direct', addresses: ['10.4.0.254/16'] },
    ],
    backup: { bridge: 'front', addresses: ['10.1.0.2/16'], gateways: ['10.1.0.1'] },
    ...Object.fromEntries(
      backends.map((name, n): [string, Link[]] => [
        name,
        [
          {
            bridge: 'back',
            addresses: [`${backendAddress(name)}/16`, `${backendAddress(name, 6)}/48`],
            gateways: gatewayOfBackends,
          },
          { bridge: 'direct', addresses: [`10.4.0.${n + 1}/16`] },
        ],
      ]),
    ),
  },
}

/** As a real server of dr and tunnel is set up (ipvsadm(8)): it has the VIPs, tells nobody, and answers clients itself. */
const realServer = `
  for key in all default eth0 eth1 tunl0 gre0; do echo 0 > /proc/sys/net/ipv4/conf/$key/rp_filter; done
  echo 1 > /proc/sys/net/ipv4/conf/all/arp_ignore
  echo 2 > /proc/sys/net/ipv4/conf/all/arp_announce
  ip route add local ${sharedVips} dev lo
  ip link set tunl0 up
  ip link set gre0 up
  ip fou add port ${guePort} gue
  ip route add 10.1.0.0/16 via 10.4.0.254 table 4
  ip rule add from ${sharedVips} table 4`

/** Boots the guest; the backends serve TCP and UDP. */
export async function routedGuest(): Promise<IpvsGuest> {
  const guest = await IpvsGuest.boot(layout)
  try {
    await guest.sh('client', 'for key in all eth1; do echo 0 > /proc/sys/net/ipv4/conf/$key/rp_filter; done')
    await Promise.all(
      backends.map(async (name) => {
        await guest.sh(name, realServer)
        const server = guest.member(name)
        await server.listen(name, '0.0.0.0', backendPort)
        await server.listen(`${name}-6`, backendAddress(name, 6), backendPort)
      }),
    )
  } catch (error) {
    await guest.close()
    throw error
  }
  return guest
}
