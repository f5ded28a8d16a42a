import { createServer, type AddressInfo, type Socket } from 'node:net'
import { once } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import { ringMissing } from '../../kernel/uring/probe.ts'
import { PortableStreams } from '../portable/stream.ts'
import { portable } from '../portable/transport.ts'
import { tcpSuite } from '../tcpSuite.ts'
import type { Transport } from '../transport.ts'
import { pattern, Rig, whole } from './rig.ts'
import { until } from '../../../lab/until.ts'
import { TcpProxy } from './tcp.ts'
import { openRingTransport } from './transport.ts'

const missing = await ringMissing()
if (missing !== null) console.warn(`skipped: TCP over the ring, as ${missing}`)

/** By copying alone: node:net has no splice. */
function copying(): Transport {
  const stream = new PortableStreams({ slots: 256, slotBytes: 16_384 })
  const tcp = new TcpProxy(stream)
  return {
    ...portable,
    listenTcp: (address, port, acceptor) => tcp.listen(address, port, acceptor),
    end: () => stream.end(),
  }
}

tcpSuite('copying', copying)

describe.skipIf(missing !== null)('over a real ring', () => {
  tcpSuite('ring', openRingTransport)

  describe('a TCP connection over the ring', () => {
    const rig = new Rig()
    const onEnd: (() => void)[] = []
    afterEach(() => {
      rig.end()
      for (const end of onEnd.splice(0)) end()
    })

    /** A client, its backend and what the handler was told. */
    async function connected(): Promise<{
      client: Socket
      backend: Socket
      told: { in: number; out: number; closed: (Error | null)[] }
    }> {
      const transport = await openRingTransport()
      const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
      await once(server, 'listening')
      const { port } = server.address() as AddressInfo
      const told = { in: 0, out: 0, closed: [] as (Error | null)[] }
      const listener = await transport.listenTcp('127.0.0.1', 0, {
        accept: (connection) => {
          connection.dial('127.0.0.1', port)
          return {
            dialed: () => null,
            dialFailed: () => connection.reset(),
            received: (bytes) => (told.in += bytes),
            returned: (bytes) => (told.out += bytes),
            halfClosed: () => {},
            closed: (error) => void told.closed.push(error),
          }
        },
        acceptFailed: () => {},
      })
      const client = rig.client(listener.port)
      const [backend] = (await once(server, 'connection')) as [Socket]
      backend.on('error', () => {})
      onEnd.push(() => {
        backend.destroy()
        server.close()
        transport.end()
      })
      return { client, backend, told }
    }
    it('counts what is spliced while it passes, and goes back to single messages', async () => {
      const { client, backend, told } = await connected()
      const bytes = pattern(5_000_000)
      let received = 0
      client.on('data', (chunk: Buffer) => (received += chunk.length))
      backend.write(bytes)
      await until(() => received === bytes.length)
      expect(told.out).toBe(bytes.length)
      for (let index = 0; index < 100; index += 1) {
        backend.write('x')
        await until(() => received === bytes.length + index + 1)
        expect(told.out).toBe(received)
      }
    })

    it('both ways at once, each ended by its sender', async () => {
      const { client, backend, told } = await connected()
      const up = pattern(3_000_001)
      const down = pattern(2_000_003)
      const heard = [whole(backend), whole(client)]
      client.end(up)
      backend.end(down)
      const [atBackend, atClient] = await Promise.all(heard)
      expect(atBackend?.equals(up)).toBe(true)
      expect(atClient?.equals(down)).toBe(true)
      await until(() => told.closed.length === 1)
      expect(told).toEqual({ in: up.length, out: down.length, closed: [null] })
    })

    it('a reset in the middle of a transfer reaches the other side, and is told once', async () => {
      const { client, backend, told } = await connected()
      backend.write(pattern(3_000_000))
      await once(client, 'data')
      client.resetAndDestroy()
      await until(() => backend.destroyed)
      await until(() => told.closed.length === 1)
      expect(told.closed[0]).toBeInstanceOf(Error)
    })
  })
})
