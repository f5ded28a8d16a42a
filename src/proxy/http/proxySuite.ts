import { describe, expect, it } from 'vitest'
import { prepareAnswer } from './policy.ts'
import { answering, Bench, ok, type OpenTransport } from './proxyFixture.ts'
import { type AccessRecord, readRecord } from './proxyLog.ts'

/** Forwarding as such: heads, keep-alive, pools, policy. */
export function forwardingSuite(name: string, open: OpenTransport): void {
  describe(`forwarding over ${name}`, () => {
    const bench = new Bench(open)

    it('rewrites the head of the request and of the response', async () => {
      const heads: string[] = []
      const { client, policy, backends } = await bench.proxy([
        answering((head) => {
          heads.push(head)
          return ok('hello', 'X-Kept: 1\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n')
        }),
      ])
      policy.decided = (decision) => {
        decision.targetSkip = '/function/a'.length
        decision.targetPrefix = Buffer.from('/b')
      }
      const wire = client()
      wire.send(
        'GET /function/a/c?d=1 HTTP/1.1\r\nHost: front\r\nX-Forwarded-For: 6.6.6.6\r\nAccept: */*\r\n' +
          'Connection: keep-alive, x-secret\r\nX-Secret: 1\r\nX-Own: 1\r\n\r\n',
      )
      const { head, body } = await wire.response()
      expect(heads).toEqual([
        `GET /b/c?d=1 HTTP/1.1\r\nHost: 127.0.0.1:${backends[0]?.port}\r\nAccept: */*\r\n` +
          'X-Forwarded-For: 127.0.0.1\r\n\r\n',
      ])
      expect(head).toBe('HTTP/1.1 200 OK\r\nX-Final-Host: 0\r\nContent-Length: 5\r\nX-Kept: 1\r\n\r\n')
      expect(body).toBe('hello')
      expect(policy.ends).toMatchObject([{ upstream: 0, outcome: 'completed', status: 200, requestBytes: 0 }])
      expect(policy.open).toBe(0)
    })

    it('keeps both connections and uses them again', async () => {
      let connections = 0
      const answer = answering((head) => ok(head.split(' ')[1] ?? ''))
      const { client, proxy, policy } = await bench.proxy([(wire) => (connections++, answer(wire))])
      const wire = client()
      for (let index = 0; index < 200; index++) {
        wire.send(`GET /${index} HTTP/1.1\r\nHost: a\r\nX-Padding: ${'x'.repeat(index)}\r\n\r\n`)
        expect((await wire.response()).body).toBe(`/${index}`)
      }
      expect(connections).toBe(1)
      expect(proxy.counters.read()).toMatchObject({ requests: 200, completed: 200, connects: 1, reused: 199 })
      expect(policy.ends).toHaveLength(200)
    })

    it('answers pipelined requests in their order, one after the other', async () => {
      const { client } = await bench.proxy([answering((head) => ok(head.split(' ')[1] ?? ''))])
      const targets = Array.from({ length: 300 }, (_, index) => `/${index}`)
      const wire = client()
      wire.send(targets.map((target) => `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`).join(''))
      for (const target of targets) expect((await wire.response()).body).toBe(target)
    })

    it('answers byte by byte as in one piece', async () => {
      const { client } = await bench.proxy([
        async (wire) => {
          await wire.has('\r\n\r\n12345')
          await wire.sendBytewise(ok('slowly', 'X-A: b\r\n'))
        },
      ])
      const wire = client()
      await wire.sendBytewise('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345')
      const { head, body } = await wire.response()
      expect([head.includes('X-A: b'), body]).toEqual([true, 'slowly'])
    })

    it('lets the policy answer by itself, also with a body', async () => {
      const { client, policy } = await bench.proxy([])
      policy.decided = (decision) => {
        decision.action = 'refuse'
        decision.answer = prepareAnswer(404, 'Not Found', 'no such thing\n', { 'X-Why': 'because' })
      }
      const wire = client()
      wire.send(
        'GET /a HTTP/1.1\r\nHost: a\r\n\r\nHEAD /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n',
      )
      const { head, body } = await wire.response()
      expect(head).toMatch(/^HTTP\/1\.1 404 Not Found\r\n/)
      expect(head).toContain('X-Why: because\r\n')
      expect(head).not.toMatch(/connection/i)
      expect(body).toBe('no such thing\n')
      expect((await wire.response(true)).head).toBe(head)
      expect(await wire.response()).toEqual({ head, body })
      expect(policy.ends).toEqual([])
    })

    it('shows the policy the request', async () => {
      const seen: unknown[] = []
      const { client, policy } = await bench.proxy([answering(() => ok(''))])
      policy.decided = (_, request) => {
        const text = (from: number, to: number): string =>
          Buffer.from(request.bytes.subarray(from, to)).toString('latin1')
        const fields = [0, 1].map((index) => {
          const values: string[] = []
          for (let isThere = request.find(index); isThere; isThere = request.findNext())
            values.push(text(request.valueAt, request.valueEnd))
          return values
        })
        seen.push([
          text(request.methodAt, request.methodEnd),
          text(request.targetAt, request.targetEnd),
          ...fields,
        ])
      }
      const wire = client()
      wire.send('PATCH http://a/b?c HTTP/1.1\r\nHost: a\r\nx-WATCHED:  yes \r\n\r\n')
      await wire.response()
      wire.send('GET /d HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4, 5.6.7.8\r\n\r\n')
      await wire.response()
      wire.send('GET /e HTTP/1.1\r\nX-Watched: a\r\nHost: a\r\nX-Watched:\r\nx-watched: b\r\n\r\n')
      await wire.response()
      expect(seen).toEqual([
        ['PATCH', '/b?c', [], ['yes']],
        ['GET', '/d', ['1.2.3.4, 5.6.7.8'], []],
        ['GET', '/e', [], ['a', '', 'b']],
      ])
    })

    it('lets requests wait until the policy resumes them', async () => {
      const { client, policy, proxy } = await bench.proxy([answering(() => ok('done'))])
      const waiting: number[] = []
      policy.decided = (decision, _, exchange) => {
        if (policy.open > 0 && !waiting.includes(exchange)) {
          waiting.push(exchange)
          decision.action = 'wait'
          decision.waitMs = 60_000
        }
      }
      policy.open = 1
      const wire = client()
      wire.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
      await expect.poll(() => waiting).toHaveLength(1)
      proxy.resume(waiting[0] ?? -1)
      expect((await wire.response()).body).toBe('done')
    })

    it('answers those whose wait is over, and tells of those that went meanwhile', async () => {
      const { client, policy } = await bench.proxy([])
      policy.decided = (decision, request) => {
        decision.action = 'wait'
        decision.waitMs = request.bytes[request.targetAt + 1] === 0x61 ? 1 : 60_000
        decision.answer = prepareAnswer(503, 'Service Unavailable', '', { 'Retry-After': '3' })
      }
      const wire = client()
      wire.send('GET /a HTTP/1.1\r\nHost: a\r\n\r\n')
      expect((await wire.response()).head).toContain('Retry-After: 3\r\n')
      expect(policy.ends).toMatchObject([{ outcome: 'expired', status: 503, upstream: -1 }])
      wire.send('GET /b HTTP/1.1\r\nHost: a\r\n\r\n')
      await expect.poll(() => policy.open).toBe(1)
      wire.socket.resetAndDestroy()
      await expect.poll(() => policy.ends).toHaveLength(2)
      expect(policy.ends[1]).toMatchObject({ outcome: 'abandoned', status: 0 })
    })

    it('ends the pooled connections of a retired upstream', async () => {
      const wires: { over: boolean }[] = []
      const answer = answering(() => ok('x'))
      const { client, proxy } = await bench.proxy([(wire) => (wires.push(wire), answer(wire))])
      const wire = client()
      wire.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
      await wire.response()
      proxy.retire(0)
      await expect.poll(() => wires.map(({ over }) => over)).toEqual([true])
      wire.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
      await wire.response()
      expect(wires).toHaveLength(2)
    })

    it('logs what it did', async () => {
      const { client, log } = await bench.proxy([answering(() => ok('abc'))], { logEvery: 2 })
      const wire = client()
      for (const target of ['/1', '/2', '/3', '/4']) {
        wire.send(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`)
        await wire.response()
      }
      wire.send('bad\r\n\r\n')
      await wire.end()
      const records: AccessRecord[] = []
      log.drain((record) => records.push(readRecord(record)))
      expect(records.map(({ target }) => target)).toEqual(['/1', '/3'])
      expect(records[0]).toMatchObject({
        client: '127.0.0.1',
        method: 'GET',
        status: 200,
        outcome: 'completed',
      })
    })

    it('stops in order: idle clients at once, the others after their answer', async () => {
      const release: (() => void)[] = []
      const { client, proxy, policy } = await bench.proxy([
        async (wire) => {
          await wire.has('\r\n\r\n')
          release.push(() => void wire.send(ok('late')))
        },
      ])
      const idle = client()
      const busy = client()
      busy.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
      await expect.poll(() => release.length).toBe(1)
      const stopped = proxy.stop(60_000)
      expect(await idle.end()).toBe('')
      idle.socket.end()
      release[0]?.()
      const text = await busy.end()
      expect(text).toContain('Connection: close\r\n')
      expect(text.endsWith('late')).toBe(true)
      busy.socket.end()
      await stopped
      expect(policy.ends).toMatchObject([{ outcome: 'completed' }])
    })

    it('resets what is left when the grace is over', async () => {
      const { client, proxy, policy } = await bench.proxy([() => undefined])
      const wire = client()
      wire.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
      await expect.poll(() => policy.open).toBe(1)
      await proxy.stop(1)
      await wire.end()
      expect([wire.error, policy.open]).toEqual(['ECONNRESET', 0])
    })
  })
}
