import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { StreamTransport } from '../stream.ts'
import { sample } from './proxyBodySuite.ts'
import { Bench, ok, type OpenTransport, type Wire } from './proxyFixture.ts'

const relayBytes = 10_000
/** So much comes with the head; the rest when that has arrived, so that it can be relayed. */
const first = 1000
const large = 400_000

const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const post = (length: number): string => `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`
const answer = (length: number): string => `HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\n\r\n`
const asks = 'GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
const agrees = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n'

const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** Takes one head, and leaves what came behind it. */
async function head(wire: Wire): Promise<string> {
  const text = await wire.has('\r\n\r\n')
  return wire.take(text.indexOf('\r\n\r\n') + 4).toString('latin1')
}

/** Sends bytes to the other wire: the rest once the first of them are there. */
async function sendInTwo(from: Wire, to: Wire, start: string, bytes: Buffer): Promise<string> {
  from.send(Buffer.concat([Buffer.from(start), bytes.subarray(0, first)]))
  const got = await head(to)
  await to.until(() => to.bytes.length >= first)
  from.send(bytes.subarray(first))
  return got
}

/** Long bodies and tunnels: by a relay where the transport has one, and with the same outcome where it has none. */
export function relaySuite(name: string, open: OpenTransport): void {
  describe(`long bodies over ${name}`, () => {
    const bench = new Bench(open)

    /** One upstream whose connections the test plays itself. */
    async function start(options = {}) {
      const upstreams: Wire[] = []
      const bench1 = await bench.proxy([(wire) => void upstreams.push(wire)], { relayBytes, ...options })
      const next = async (): Promise<Wire> => {
        await expect.poll(() => upstreams.length, { timeout: 4000 }).toBeGreaterThan(0)
        return upstreams.shift() as Wire
      }
      /** A request of so many bytes, of which the upstream has the first ones by a relay. */
      const upload = async (bytes: number): Promise<{ readonly wire: Wire; readonly upstream: Wire }> => {
        const wire = bench1.client()
        wire.send(Buffer.concat([Buffer.from(post(bytes)), sample(first)]))
        const upstream = await next()
        await head(upstream)
        wire.send(sample(large))
        await upstream.until(() => upstream.bytes.length > 100_000)
        return { wire, upstream }
      }
      return { ...bench1, next, upload, relays: countRelays(bench1.transport) }
    }

    it.each([-1, 0, 1, large])('pass both ways: %s bytes beyond the least that is relayed', async (more) => {
      const bytes = sample(first + relayBytes + more)
      const { client, next, relays, policy, proxy, transport } = await start()
      const wire = client()
      let upstream: Wire | undefined
      for (let round = 0; round < 3; round++) {
        if (upstream === undefined) {
          // Nothing is connected before the head is there.
          wire.send(Buffer.concat([Buffer.from(post(bytes.length)), bytes.subarray(0, first)]))
          upstream = await next()
          await head(upstream)
          await upstream.until(() => (upstream as Wire).bytes.length >= first)
          wire.send(bytes.subarray(first))
        } else await sendInTwo(wire, upstream, post(bytes.length), bytes)
        const to = upstream
        await to.until(() => to.bytes.length >= bytes.length)
        expect(sha(to.take())).toBe(sha(bytes))
        expect(await sendInTwo(to, wire, answer(bytes.length), bytes)).not.toMatch(/connection:/i)
        await wire.until(() => wire.bytes.length >= bytes.length)
        expect(sha(wire.take())).toBe(sha(bytes))
      }
      wire.send(get)
      await head(upstream as Wire)
      upstream?.send(ok('short'))
      expect((await wire.response()).body).toBe('short')
      expect(proxy.counters.read()).toMatchObject({ completed: 4, connects: 1, clients: 1 })
      const both = { requestBytes: bytes.length, responseBytes: expect.any(Number) as number }
      expect(policy.ends).toMatchObject([both, both, both, { requestBytes: 0 }])
      const overhead = (policy.ends[0]?.responseBytes ?? 0) - bytes.length
      expect(overhead).toBeGreaterThan(0)
      expect(overhead).toBeLessThan(200)
      expect(relays.count).toBe(transport.relay === undefined || more < 0 ? 0 : 6)
    })

    it('pass up to the end of the upstream', async () => {
      const bytes = sample(large)
      const { client, next, policy } = await start()
      const wire = client()
      wire.send(get)
      const upstream = await next()
      await head(upstream)
      await sendInTwo(upstream, wire, 'HTTP/1.1 200 OK\r\n\r\n', bytes)
      upstream.socket.end()
      await wire.end()
      expect([sha(wire.bytes), wire.error]).toEqual([sha(bytes), ''])
      expect(policy.ends).toMatchObject([{ outcome: 'completed' }])
    })

    it.each(['ends', 'resets'])('are cut where the upstream %s in the middle', async (how) => {
      const bytes = sample(large)
      const { client, next, policy, proxy } = await start()
      const wire = client()
      wire.send(get)
      const upstream = await next()
      await head(upstream)
      await sendInTwo(upstream, wire, answer(bytes.length + 1), bytes)
      await wire.until(() => wire.bytes.length > 100_000)
      if (how === 'ends') upstream.socket.end()
      else upstream.socket.resetAndDestroy()
      await wire.end()
      expect(wire.error).toBe('ECONNRESET')
      expect(policy.ends).toMatchObject([{ outcome: 'broken' }])
      client().send(get)
      const other = await next()
      await head(other)
      other.send(ok('fine'))
      await expect.poll(() => proxy.counters.read().completed).toBe(1)
    })

    it('are no fault of the upstream where the client goes in the middle of an answer', async () => {
      const { client, next, policy } = await start()
      const wire = client()
      wire.send(get)
      const upstream = await next()
      await head(upstream)
      await sendInTwo(upstream, wire, answer(large * 10), sample(large))
      wire.socket.resetAndDestroy()
      upstream.send(sample(large))
      await expect.poll(() => policy.ends, { timeout: 4000 }).toMatchObject([{ outcome: 'abandoned' }])
      await expect.poll(() => upstream.over, { timeout: 4000 }).toBe(true)
    })

    it.each(['ends', 'resets'])(
      'are given up where the client %s in the middle of a request',
      async (how) => {
        const { upload, policy, proxy } = await start()
        const { wire, upstream } = await upload(large * 2)
        if (how === 'ends') wire.socket.end()
        else wire.socket.resetAndDestroy()
        await expect.poll(() => policy.ends, { timeout: 4000 }).toMatchObject([{ outcome: 'abandoned' }])
        await expect.poll(() => upstream.over, { timeout: 4000 }).toBe(true)
        await expect.poll(() => proxy.counters.read().clients, { timeout: 4000 }).toBe(0)
      },
    )

    it('give way to an answer that comes early, whose upstream is not pooled', async () => {
      const { client, next, upload, proxy } = await start()
      const { wire, upstream } = await upload(large * 2)
      upstream.send('HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno!')
      const { head: got, body } = await wire.response()
      expect([body, /connection: close/i.test(got)]).toEqual(['no!', true])
      wire.socket.end()
      await expect.poll(() => upstream.over, { timeout: 4000 }).toBe(true)
      await expect.poll(() => proxy.counters.read().clients, { timeout: 4000 }).toBe(0)
      const other = client()
      other.send(get)
      await head(await next())
      expect(proxy.counters.read().connects).toBe(2)
    })

    it('are answered 502 where the upstream goes in the middle of a request', async () => {
      const { upload, policy } = await start()
      const { wire, upstream } = await upload(large * 40)
      upstream.socket.resetAndDestroy()
      expect((await wire.response()).head).toMatch(/^HTTP\/1\.1 502 /)
      expect(policy.ends).toMatchObject([{ outcome: 'broken' }])
    })

    it('are answered 408 where the client sends no more', async () => {
      const { client, next, policy } = await start({ bodyMs: 60 })
      const wire = client()
      wire.send(Buffer.concat([Buffer.from(post(large)), sample(first)]))
      await head(await next())
      wire.send(sample(relayBytes))
      expect(await wire.end()).toMatch(/^HTTP\/1\.1 408 /)
      expect(policy.ends).toMatchObject([{ outcome: 'abandoned' }])
    })

    it('are cut where the upstream sends no more', async () => {
      const { client, next, policy } = await start({ responseMs: 300 })
      const wire = client()
      wire.send(get)
      const upstream = await next()
      await head(upstream)
      await sendInTwo(upstream, wire, answer(large), sample(relayBytes))
      await wire.end()
      expect(policy.ends).toMatchObject([{ outcome: 'timeout' }])
    })

    it('are answered 504 where the upstream takes no more', async () => {
      const { client, next, policy } = await start({ responseMs: 300 })
      const wire = client()
      wire.send(Buffer.concat([Buffer.from(post(large * 40)), sample(first)]))
      const upstream = await next()
      await head(upstream)
      upstream.socket.pause()
      wire.send(sample(large * 20))
      expect(await wire.has('\r\n\r\n')).toMatch(/^HTTP\/1\.1 504 /)
      expect(policy.ends).toMatchObject([{ outcome: 'timeout' }])
    })
  })

  describe(`long tunnels over ${name}`, () => {
    const bench = new Bench(open)

    it('carry bulk both ways, words in between, and the end of each side', async () => {
      const bytes = sample(large)
      let upstream: Wire | undefined
      const { client, policy, transport } = await bench.proxy([(wire) => void (upstream = wire)], {
        relayBytes,
      })
      const relays = countRelays(transport)
      const wire = client()
      wire.send(asks)
      await expect.poll(() => upstream).toBeDefined()
      const other = upstream as unknown as Wire
      await head(other)
      other.send(agrees)
      await head(wire)
      for (const [from, to] of [
        [wire, other],
        [other, wire],
        [wire, other],
      ] as const) {
        from.send('word')
        await to.has('word')
        to.take()
        from.send(bytes)
        await to.until(() => to.bytes.length >= bytes.length)
        expect(sha(to.take())).toBe(sha(bytes))
      }
      wire.socket.end('last of the client')
      expect(await other.end()).toBe('last of the client')
      other.send(bytes).socket.end('last of the upstream')
      await wire.end()
      expect(sha(wire.take(bytes.length))).toBe(sha(bytes))
      expect([wire.text, wire.error]).toEqual(['last of the upstream', ''])
      await expect.poll(() => policy.ends).toMatchObject([{ outcome: 'completed', status: 101 }])
      expect(relays.count).toBe(transport.relay === undefined ? 0 : 2)
    })

    it.each(['client', 'upstream'])('end both where the %s resets', async (who) => {
      let upstream: Wire | undefined
      const { client, proxy } = await bench.proxy([(wire) => void (upstream = wire)], { relayBytes })
      const wire = client()
      wire.send(asks)
      await expect.poll(() => upstream).toBeDefined()
      const other = upstream as unknown as Wire
      await head(other)
      other.send(agrees)
      await head(wire)
      wire.send(sample(large))
      other.send(sample(large))
      await Promise.all([wire, other].map((each) => each.until(() => each.bytes.length === large)))
      const [one, left] = who === 'client' ? [wire, other] : [other, wire]
      one.socket.resetAndDestroy()
      await left.end()
      await expect.poll(() => proxy.counters.read().clients).toBe(0)
    })
  })
}

/** Counts the relays of a transport that has them. */
function countRelays(transport: StreamTransport): { readonly count: number } {
  const relays = { count: 0 }
  const relay = transport.relay?.bind(transport)
  if (relay !== undefined) {
    transport.relay = (from, to, bytes) => {
      relays.count++
      relay(from, to, bytes)
    }
  }
  return relays
}
