import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { reach } from './reach.ts'

describe('whether a check gets to an address', () => {
  it('it does where somebody listens, and where the connection is refused', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    expect(await reach('127.0.0.1', port)).toBe(null)
    await new Promise((resolve) => server.close(resolve))
    expect(await reach('127.0.0.1', port)).toBe(null)
  })

  it('it does not where no route leads', async () => {
    // The broadcast address of every network.
    expect(await reach('255.255.255.255', 80)).toBe('network unreachable')
  })
})
