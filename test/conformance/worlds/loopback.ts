import { randomInt } from 'node:crypto'
import { Client, type Endpoint } from '../../../lab/client.ts'
import { EchoServers } from '../../../lab/echo.ts'
import type { Family } from '../../../src/model/address.ts'
import type { Backend, ClientNetwork, World } from '../world.ts'
import { freePort } from '../../../src/planes/freePort.ts'

const servicePort = 8000
const backendPort = 9000

/**
 * All in this process, on loopback addresses: needs no privilege.
 *
 * IPv4 has the whole of a random 127.N.0.0/16, so that runs do not meet; IPv6 has only ::1, so one client, and ports differ.
 */
export async function loopbackWorld(): Promise<World> {
  const net = `127.${randomInt(1, 255)}`
  const client = new Client(5000)
  const servers = new EchoServers()
  const backends: Record<Family, Backend[]> = { 4: [], 6: [] }
  for (let n = 1; n <= 4; n++) {
    backends[4].push({
      name: `b${n}`,
      address: `${net}.200.${n}`,
      port: await servers.listen(`b${n}`, `${net}.200.${n}`, backendPort),
    })
    backends[6].push({ name: `c${n}`, address: '::1', port: await servers.listen(`c${n}`, '::1', 0) })
  }
  const addresses = (part: number): string[] => Array.from({ length: 8 }, (_, n) => `${net}.${part}.${n + 1}`)
  const clients: Record<Family, ClientNetwork[]> = {
    4: [
      { prefix: 24, addresses: addresses(1) },
      { prefix: 24, addresses: addresses(2) },
    ],
    6: [{ prefix: 64, addresses: ['::1'] }],
  }
  let vips = 0
  return {
    name: 'loopback',
    forwarding: new Set(['nat']),
    attach: null,
    forgetsClosed: true,
    backends: (family) => backends[family],
    clients: (family) => clients[family],
    async vip(family) {
      const n = vips++
      if (family === 4)
        return { address: `${net}.${100 + Math.floor(n / 250)}.${1 + (n % 250)}`, port: servicePort }
      return { address: '::1', port: await freePort('::1') }
    },
    exchange: (traffic) => client.exchange(traffic),
    start: (traffic) => client.start(traffic),
    stop: (id) => client.stop(id),
    hold: (traffic) => client.hold(traffic),
    answering: (ids) => client.answering(ids),
    release: (ids) => client.release(ids),
    releaseAll: () => client.releaseAll(),
    // Changes and counters of this plane are there when `apply` resolves; only closes may still be on their way.
    async settle() {},
    async foreign({ address, port }: Endpoint) {
      await servers.listen('foreign', address, port)
    },
    async close() {
      await client.releaseAll()
      await servers.closeAll()
    },
  }
}
