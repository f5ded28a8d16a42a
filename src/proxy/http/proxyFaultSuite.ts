import { readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { answering, Bench, ok, type OpenTransport, turn, type Wire } from './proxyFixture.ts'

const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
const post = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx'

const badRequests: readonly (readonly [request: string, status: number])[] = [
  ['GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400],
  ['GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx', 400],
  ['GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n', 400],
  ['GET / HTTP/1.1\r\n\r\n', 400],
  ['GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n', 400],
  ['GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello', 400],
  ['GET / HTTP/1.1\nHost: a\n\n', 400],
  ['GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n', 400],
  ['GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n', 400],
  ['POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n', 400],
  ['GET / HTTP/2.0\r\nHost: a\r\n\r\n', 505],
  ['CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n', 501],
]

/** What goes wrong on either side. */
export function faultSuite(name: string, open: OpenTransport): void {
  describe(`faults over ${name}`, () => {
    const bench = new Bench(open)

    describe.each(badRequests)('refuses %j', (request, status) => {
      const expected = new RegExp(`^HTTP/1\\.1 ${status} [^]*\r\nConnection: close\r\n`)

      it('in one piece', async () => {
        const { client, policy } = await bench.proxy([() => undefined])
        const wire = client()
        wire.send(request)
        expect(await wire.end()).toMatch(expected)
        expect([wire.error, policy.open]).toEqual(['', 0])
      })

      it('byte by byte', async () => {
        const { client, policy } = await bench.proxy([() => undefined])
        const wire = client()
        await wire.sendBytewise(request)
        expect(await wire.end()).toMatch(expected)
        expect(policy.open).toBe(0)
      })
    })

    it('refuses heads that are too long, however they come', async () => {
      const { client } = await bench.proxy([])
      const wire = client()
      wire.send(`GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`)
      expect(await wire.end()).toMatch(/^HTTP\/1\.1 431 /)
      const slow = client()
      slow.send('GET / HTTP/1.1\r\nHost: a\r\nX: ')
      for (let index = 0; index < 20 && !slow.over; index++) {
        slow.send('x'.repeat(1000))
        await turn()
      }
      expect(await slow.end()).toMatch(/^HTTP\/1\.1 431 /)
    })

    it('refuses bodies that say they are too long', async () => {
      const { client } = await bench.proxy([], { bodyBytes: 10 })
      const wire = client()
      wire.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n')
      expect(await wire.end()).toMatch(/^HTTP\/1\.1 413 /)
    })

    it('ends slow heads, slow bodies and idle clients', async () => {
      const limits = { headMs: 20, bodyMs: 20, clientIdleMs: 20 }
      const { client, policy } = await bench.proxy([() => undefined], limits)
      const [idle, head, body] = [client(), client(), client()]
      head.send('GET / HT')
      body.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx')
      expect(await idle.end()).toBe('')
      expect(await head.end()).toMatch(/^HTTP\/1\.1 408 /)
      expect(await body.end()).toMatch(/^HTTP\/1\.1 408 /)
      expect(policy.ends).toMatchObject([{ outcome: 'abandoned', status: 408 }])
    })

    it('goes to another upstream where one refuses, whatever the method', async () => {
      const { client, policy, backends } = await bench.proxy([() => undefined, answering(() => ok('second'))])
      backends[0]?.close()
      await turn()
      const wire = client()
      for (const request of [get, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n']) {
        wire.send(request)
        expect((await wire.response()).body).toBe('second')
      }
      expect(policy.failures).toEqual([-111, -111])
      expect(policy.ends).toMatchObject([{ upstream: 1 }, { upstream: 1 }])
    })

    it('answers 502 where none can be connected, with the fields of the policy', async () => {
      const { client, policy, backends } = await bench.proxy([() => undefined])
      backends[0]?.close()
      await turn()
      const wire = client()
      wire.send(post)
      expect((await wire.response()).head).toMatch(/^HTTP\/1\.1 502 [^]*X-Final-Host: 0\r\n/)
      wire.send(get)
      expect((await wire.response()).head).toMatch(/^HTTP\/1\.1 502 /)
      expect(policy.ends).toMatchObject([{ outcome: 'refused', status: 502 }, { outcome: 'refused' }])
    })

    const answers: readonly (readonly [what: string, upstream: (wire: Wire) => void])[] = [
      ['ends', (wire) => wire.socket.end()],
      ['resets', (wire) => wire.socket.resetAndDestroy()],
      ['sends garbage', (wire) => wire.send('SSH-2.0-OpenSSH\r\n\r\n')],
      ['ends within its head', (wire) => wire.send('HTTP/1.1 200 OK\r\nContent-').socket.end()],
      ['sends too long a head', (wire) => wire.send(`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`)],
      ['sends a bad chunk', (wire) => wire.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz')],
      ['sends a bad length', (wire) => wire.send('HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nx')],
    ]
    it.each(answers)('answers 502 to a POST whose upstream %s', async (_, act) => {
      const { client, policy, proxy } = await bench.proxy([
        (wire) => void wire.has('x').then(() => act(wire)),
      ])
      const wire = client()
      for (let round = 0; round < 2; round++) {
        wire.send(post)
        expect((await wire.response()).head).toMatch(/^HTTP\/1\.1 502 /)
      }
      expect(policy.ends).toMatchObject([{ outcome: 'broken' }, { outcome: 'broken' }])
      expect(proxy.counters.read()).toMatchObject({ connects: 2, retries: 0 })
    })

    it('sends a GET again to another upstream where one ends without a word, a POST not', async () => {
      const { client } = await bench.proxy([
        (wire) => void wire.has('\r\n\r\n').then(() => wire.socket.resetAndDestroy()),
        answering(() => ok('second')),
      ])
      const wire = client()
      wire.send(get)
      expect((await wire.response()).body).toBe('second')
      wire.send(post)
      expect((await wire.response()).head).toMatch(/^HTTP\/1\.1 502 /)
    })

    it('sends a GET again where a pooled connection turns out stale, a POST not', async () => {
      let connections = 0
      const { client, proxy } = await bench.proxy([
        async (wire) => {
          connections++
          await wire.has('\r\n\r\n')
          wire.take()
          wire.send(ok('first'))
          await wire.has('\r\n\r\n')
          wire.socket.end()
        },
      ])
      const wire = client()
      for (let round = 0; round < 3; round++) {
        wire.send(get)
        expect((await wire.response()).body).toBe('first')
      }
      expect(connections).toBe(3)
      expect(proxy.counters.read()).toMatchObject({ stale: 2, retries: 0 })
      wire.send(post)
      expect((await wire.response()).head).toMatch(/^HTTP\/1\.1 502 /)
    })

    it.each([
      ['Content-Length: 100\r\n\r\npart', 'ends'],
      ['Content-Length: 100\r\n\r\npart', 'resets'],
      ['Transfer-Encoding: chunked\r\n\r\n4\r\npart\r\n', 'ends'],
      ['X-A: delimited by the end\r\n\r\npart', 'resets'],
    ])('cuts the client off where the upstream breaks within %j: it %s', async (rest, how) => {
      const { client, policy } = await bench.proxy([
        async (wire) => {
          await wire.has('\r\n\r\n')
          wire.send(`HTTP/1.1 200 OK\r\n${rest}`)
          await new Promise((resolve) => setTimeout(resolve, 30))
          if (how === 'ends') wire.socket.end()
          else wire.socket.resetAndDestroy()
        },
      ])
      const wire = client()
      wire.send(get)
      await wire.end()
      expect(wire.error).toBe('ECONNRESET')
      expect(policy.ends).toMatchObject([{ outcome: 'broken', status: 200 }])
    })

    it('answers 504 where the upstream hangs, and cuts off where it hangs within its body', async () => {
      const { client, policy } = await bench.proxy(
        [
          async (wire) => {
            if ((await wire.has('\r\n\r\n')).includes('/body'))
              wire.send('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx')
          },
        ],
        { responseMs: 300 },
      )
      const wire = client()
      wire.send(get)
      expect((await wire.response()).head).toMatch(/^HTTP\/1\.1 504 /)
      wire.send('GET /body HTTP/1.1\r\nHost: a\r\n\r\n')
      await wire.end()
      expect(wire.error).toBe('ECONNRESET')
      expect(policy.ends).toMatchObject([{ outcome: 'timeout', status: 504 }, { outcome: 'timeout' }])
    })

    it('answers 504 where an upstream hangs that was to say when to continue', async () => {
      const limits = { bodyMs: 3_600_000, responseMs: 20 }
      const { client, policy } = await bench.proxy([() => undefined], limits)
      const wire = client()
      wire.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n')
      expect(await wire.end()).toMatch(/^HTTP\/1\.1 504 /)
      expect(policy.ends).toMatchObject([{ outcome: 'timeout', status: 504 }])
    })

    it('passes over any number of interim responses where the client knows none', async () => {
      const interim = 'HTTP/1.1 100\r\n\r\n'.repeat(10_000)
      const { client } = await bench.proxy([answering(() => interim + ok('final'))])
      const wire = client()
      wire.send('GET / HTTP/1.0\r\n\r\n')
      expect(await wire.end()).toMatch(/^HTTP\/1\.1 200 [^]*\r\n\r\nfinal$/)
    })

    it('takes no answer for that of a request which could not be sent any more', async () => {
      const wires: Wire[] = []
      const { client, policy } = await bench.proxy([
        async (wire) => {
          wires.push(wire)
          await answering((head) => ok(head.split(' ')[1] ?? ''))(wire)
        },
      ])
      const wire = client()
      wire.send('GET /1 HTTP/1.1\r\nHost: a\r\n\r\n')
      expect((await wire.response()).body).toBe('/1')
      // Between the request and its way to the upstream.
      policy.decided = () => {
        wires[0]?.send(ok('of another'))
        wires[0]?.socket.resetAndDestroy()
      }
      wire.send('GET /2 HTTP/1.1\r\nHost: a\r\n\r\n')
      expect((await wire.response()).body).toBe('/2')
      expect(policy.ends).toMatchObject([{ outcome: 'completed' }, { outcome: 'completed' }])
    })

    it('does not use a connection again on which more came than the response', async () => {
      const { client, proxy } = await bench.proxy([answering(() => `${ok('fine')}HTTP/1.1 200 OK\r\n\r\n`)])
      const wire = client()
      for (let round = 0; round < 2; round++) {
        wire.send(get)
        expect((await wire.response()).body).toBe('fine')
      }
      expect(proxy.counters.read()).toMatchObject({ connects: 2, reused: 0 })
    })

    it('drops a pooled connection that speaks or ends unasked', async () => {
      const wires: Wire[] = []
      const answer = answering(() => ok('fine'))
      const { client, proxy } = await bench.proxy([(wire) => (wires.push(wire), answer(wire))])
      const wire = client()
      wire.send(get)
      await wire.response()
      wires[0]?.send(ok('poison'))
      await expect.poll(() => wires[0]?.over).toBe(true)
      wire.send(get)
      expect((await wire.response()).body).toBe('fine')
      expect(proxy.counters.read()).toMatchObject({ connects: 2, stale: 0 })
    })

    it('ends idle upstream connections', async () => {
      const wires: Wire[] = []
      const answer = answering(() => ok('fine'))
      const { client } = await bench.proxy([(wire) => (wires.push(wire), answer(wire))], {
        upstreamIdleMs: 10,
      })
      const wire = client()
      wire.send(get)
      await wire.response()
      await expect.poll(() => wires[0]?.over).toBe(true)
    })

    it('lets the upstream go when the client has gone', async () => {
      const wires: Wire[] = []
      const { client, policy } = await bench.proxy([(wire) => void wires.push(wire)])
      const wire = client()
      wire.send(get)
      await expect.poll(() => wires[0]?.text.length ?? 0).toBeGreaterThan(0)
      wire.socket.resetAndDestroy()
      await expect.poll(() => wires[0]?.over).toBe(true)
      expect(policy.ends).toMatchObject([{ outcome: 'abandoned', status: 0 }])
    })

    it('ends clients that do not take their answer', async () => {
      const body = 'x'.repeat(20_000_000)
      const { client, policy } = await bench.proxy([answering(() => ok(body))], { takeMs: 50 })
      const wire = client()
      wire.socket.pause()
      wire.send(get)
      await expect.poll(() => policy.ends, { timeout: 5000 }).toMatchObject([{ outcome: 'abandoned' }])
    })

    it('refuses the rest of a chunked body that goes wrong on its way', async () => {
      const wires: Wire[] = []
      const { client } = await bench.proxy([(wire) => void wires.push(wire)])
      const wire = client()
      wire.send('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n')
      await expect.poll(() => wires[0]?.text).toContain('abc')
      wire.send('0x3\r\nabc\r\n')
      expect(await wire.end()).toMatch(/^HTTP\/1\.1 400 /)
      await expect.poll(() => wires[0]?.over).toBe(true)
      expect(wires[0]?.text).not.toContain('0x3')
    })

    it('answers 503 where there is no slot for an upstream', async () => {
      const { client, policy } = await bench.proxy([answering(() => ok('fine'))], {}, 1)
      const wire = client()
      wire.send(get)
      expect((await wire.response()).head).toMatch(/^HTTP\/1\.1 503 [^]*Retry-After: 1\r\n/)
      // No fault of the upstream's.
      expect(policy.ends).toMatchObject([{ outcome: 'exhausted', status: 503 }])
    })

    it('serves 1,000 clients at once again and again, and leaves no descriptor', async () => {
      const count = 1000
      const before = readdirSync('/proc/self/fd').length
      const answer = answering((head) => ok(head.split(' ')[1] ?? ''))
      const { client, policy, proxy } = await bench.proxy([answer, answer, answer], {}, 2 * count + 10)
      policy.decided = (decision, _, exchange) => void (decision.upstream = exchange % 3)
      const wires = Array.from({ length: count }, () => client())
      for (let round = 0; round < 3; round++) {
        for (const [index, wire] of wires.entries())
          wire.send(`GET /${round}/${index} HTTP/1.1\r\nHost: a\r\n\r\n`)
        const bodies = await Promise.all(wires.map(async (wire) => (await wire.response()).body))
        expect(bodies).toEqual(wires.map((_, index) => `/${round}/${index}`))
      }
      expect(proxy.counters.read()).toMatchObject({ completed: 3 * count, clients: count })
      for (const wire of wires) wire.socket.end()
      await expect.poll(() => proxy.counters.read().clients).toBe(0)
      await proxy.stop(0)
      await bench.run()
      await expect.poll(() => readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(before)
    })
  })
}
