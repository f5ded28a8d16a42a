import { once } from 'node:events'
import { createServer } from 'node:net'

/** Below the ports that Linux gives to clients (ip_local_port_range begins at 32768): none is given this one before it is used. */
const first = 20_000
const count = 12_000

/** For tests and demos: a TCP port that nobody has at these addresses now, or where none is given at any. */
export async function freePort(...addresses: readonly string[]): Promise<number> {
  for (;;) {
    const port = first + Math.floor(Math.random() * count)
    if (await isFree(port, addresses.length === 0 ? ['0.0.0.0'] : addresses)) return port
  }
}

/** So many different ones of 127.0.0.1. */
export async function freePorts(wanted: number): Promise<number[]> {
  const ports = new Set<number>()
  while (ports.size < wanted) ports.add(await freePort('127.0.0.1'))
  return [...ports]
}

async function isFree(port: number, addresses: readonly string[]): Promise<boolean> {
  for (const address of addresses) {
    const server = createServer().listen(port, address)
    try {
      await once(server, 'listening')
    } catch {
      return false
    }
    await once(server.close(), 'close')
  }
  return true
}
