import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { sample } from './proxyBodySuite.ts'
import { answering, Bench, ok, type OpenTransport, turn, type Wire } from './proxyFixture.ts'

const asks =
  'GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n'
const agrees = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n'

/** Agrees to the upgrade, and then sends back what comes. */
async function echo(wire: Wire): Promise<void> {
  const text = await wire.has('\r\n\r\n')
  const early = wire.take().subarray(text.indexOf('\r\n\r\n') + 4)
  wire.send(agrees + 'welcome').send(early)
  wire.socket.removeAllListeners('data')
  wire.socket.pipe(wire.socket)
}

/** Upgrades (RFC 9110, 7.8). */
export function tunnelSuite(name: string, open: OpenTransport): void {
  describe(`tunnels over ${name}`, () => {
    const bench = new Bench(open)

    it('carries bytes both ways after a 101, also those that came with the heads', async () => {
      const { client, policy, proxy } = await bench.proxy([echo])
      const wire = client()
      wire.send(asks + 'early')
      const text = await wire.has('early')
      expect(text).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\n/)
      expect(text).toMatch(/\r\nConnection: upgrade\r\nUpgrade: websocket\r\n/i)
      expect(text.endsWith('\r\n\r\nwelcomeearly')).toBe(true)
      wire.send('ping')
      await wire.has('earlyping')
      wire.socket.end()
      await wire.end()
      expect(wire.error).toBe('')
      await expect.poll(() => policy.ends).toMatchObject([{ outcome: 'completed', status: 101 }])
      expect(proxy.counters.read().upgrades).toBe(1)
    })

    it('carries megabytes', async () => {
      const bytes = sample(5_000_000)
      const { client } = await bench.proxy([echo])
      const wire = client()
      wire.send(asks)
      const text = await wire.has('welcome')
      wire.take(text.indexOf('welcome') + 'welcome'.length)
      const parts: Buffer[] = []
      wire.socket.removeAllListeners('data')
      wire.socket.on('data', (part: Buffer) => parts.push(part))
      wire.socket.end(bytes)
      await wire.end()
      const hashes = [Buffer.concat(parts), bytes].map((each) =>
        createHash('sha256').update(each).digest('hex'),
      )
      expect(hashes[0]).toBe(hashes[1])
    })

    it('passes on the end of the upstream while the client still sends', async () => {
      let got = ''
      const { client, policy } = await bench.proxy([
        async (wire) => {
          await wire.has('\r\n\r\n')
          wire.take()
          wire.send(agrees).socket.end('bye')
          got = await wire.end()
        },
      ])
      const wire = client()
      wire.send(asks)
      expect((await wire.end()).endsWith('bye')).toBe(true)
      expect(got).toBe('')
      wire.send('last words').socket.end()
      await expect.poll(() => got).toBe('last words')
      await expect.poll(() => policy.ends).toMatchObject([{ outcome: 'completed' }])
    })

    it.each([1, 100_000])(
      'ends where the upstream has gone and the client sends on, %d bytes at a time',
      async (bytes) => {
        const { client, policy } = await bench.proxy([
          async (wire) => {
            await wire.has('\r\n\r\n')
            wire.send(agrees).socket.end('bye', () => wire.socket.destroy())
          },
        ])
        const wire = client()
        wire.send(asks)
        expect((await wire.end()).endsWith('bye')).toBe(true)
        for (let piece = 0; piece < 50 && policy.open > 0; piece++) {
          wire.send('x'.repeat(bytes))
          await turn()
        }
        await expect.poll(() => policy.open).toBe(0)
      },
    )

    it('passes on a reset', async () => {
      const { client, policy } = await bench.proxy([
        async (wire) => {
          await wire.has('\r\n\r\n')
          wire.send(agrees)
          await wire.has('die')
          wire.socket.resetAndDestroy()
        },
      ])
      const wire = client()
      wire.send(asks)
      await wire.has('\r\n\r\n')
      wire.send('die')
      await wire.end()
      expect(wire.error).toBe('ECONNRESET')
      await expect.poll(() => policy.open).toBe(0)
    })

    it('stays HTTP where the upstream does not agree', async () => {
      const { client, proxy } = await bench.proxy([answering(() => ok('no'))])
      const wire = client()
      for (let round = 0; round < 2; round++) {
        wire.send(asks)
        expect((await wire.response()).body).toBe('no')
      }
      expect(proxy.counters.read().connects).toBe(1)
    })

    it('takes a 101 that nobody asked for as garbage', async () => {
      const { client } = await bench.proxy([answering(() => agrees)])
      const wire = client()
      wire.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
      expect((await wire.response()).head).toMatch(/^HTTP\/1\.1 502 /)
    })

    it('ends one in which nobody speaks', async () => {
      const { client, policy } = await bench.proxy([echo], { tunnelIdleMs: 30 })
      const wire = client()
      wire.send(asks)
      await wire.end()
      expect(policy.ends).toMatchObject([{ outcome: 'timeout', status: 101 }])
    })
  })
}
