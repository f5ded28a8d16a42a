import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { answering, Bench, ok, type OpenTransport, type Wire } from './proxyFixture.ts'

/** Bytes that differ from place to place. */
export function sample(bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes)
  for (let index = 0; index < bytes; index++) buffer[index] = (index * 131 + (index >> 8) * 7) & 0xff
  return buffer
}

const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

function chunks(body: Buffer, size: number, trailer = ''): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; at < body.length; at += size) {
    const part = body.subarray(at, at + size)
    parts.push(Buffer.from(`${part.length.toString(16)};ext=1\r\n`), part, Buffer.from('\r\n'))
  }
  return Buffer.concat([...parts, Buffer.from(`0\r\n${trailer}\r\n`)])
}

/** Reads one request head. */
async function head(wire: Wire): Promise<string> {
  const text = await wire.has('\r\n\r\n')
  return wire.take(text.indexOf('\r\n\r\n') + 4).toString('latin1')
}

const large = 3_000_000

/** Bodies both ways, interim responses, and HTTP/1.0. */
export function bodySuite(name: string, open: OpenTransport): void {
  describe(`bodies over ${name}`, () => {
    const bench = new Bench(open)

    it.each([0, 1, 1000, 20_000, 70_000, large])('passes on %s bytes by length, both ways', async (size) => {
      const body = sample(size)
      const { client, policy, proxy } = await bench.proxy([
        async (wire) => {
          for (;;) {
            await head(wire)
            await wire.until(() => wire.bytes.length >= size)
            wire.send(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`).send(wire.take(size))
          }
        },
      ])
      const wire = client()
      for (const round of [1, 2]) {
        wire.send(`POST /${round} HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`).send(body)
        await wire.has('\r\n\r\n')
        const headEnd = wire.text.indexOf('\r\n\r\n') + 4
        await wire.until(() => wire.bytes.length >= headEnd + size)
        expect(wire.take(headEnd).toString()).not.toMatch(/connection/i)
        expect(sha(wire.take(size))).toBe(sha(body))
      }
      expect(policy.ends).toMatchObject([{ requestBytes: size }, { requestBytes: size }])
      expect(proxy.counters.read().completed).toBe(2)
    })

    it.each([7, 5000, 100_000])(
      'passes on chunks of %s bytes as they are, both ways, with trailers',
      async (size) => {
        const coded = chunks(sample(300_000), size, 'X-Sum: 1\r\n')
        const { client, proxy } = await bench.proxy([
          async (wire) => {
            for (;;) {
              expect(await head(wire)).toContain('Transfer-Encoding: chunked\r\n')
              await wire.until(() => wire.bytes.length >= coded.length)
              wire.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n').send(wire.take(coded.length))
            }
          },
        ])
        const wire = client()
        for (let round = 0; round < 2; round++) {
          wire.send('PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n').send(coded)
          await head(wire)
          await wire.until(() => wire.bytes.length >= coded.length)
          expect(sha(wire.take(coded.length))).toBe(sha(coded))
        }
        expect(proxy.counters.read()).toMatchObject({ completed: 2, connects: 1 })
      },
    )

    it('passes on chunks byte by byte, both ways', async () => {
      const coded = chunks(sample(40), 9, 'X-Sum: 1\r\n').toString('latin1')
      const { client } = await bench.proxy([
        async (wire) => {
          await head(wire)
          await wire.until((text) => text.length >= coded.length)
          expect(wire.text).toBe(coded)
          await wire.sendBytewise(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${coded}`)
        },
      ])
      const wire = client()
      await wire.sendBytewise(`PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${coded}`)
      await head(wire)
      await wire.until((text) => text.length >= coded.length)
      expect(wire.text).toBe(coded)
    })

    it('answers the request behind a chunked one', async () => {
      const { client } = await bench.proxy([
        async (wire) => {
          await wire.has('0\r\n\r\n')
          wire.take()
          wire.send(ok('first'))
          await head(wire)
          wire.send(ok('second'))
        },
      ])
      const wire = client()
      wire.send(
        'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n',
      )
      expect([(await wire.response()).body, (await wire.response()).body]).toEqual(['first', 'second'])
    })

    it('ends the connection behind a body that only the end delimits', async () => {
      const body = sample(large)
      const { client, policy } = await bench.proxy([
        async (wire) => {
          await head(wire)
          wire.send('HTTP/1.1 200 OK\r\n\r\n').send(body).socket.end()
        },
      ])
      const wire = client()
      wire.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
      await wire.end()
      expect(await head(wire)).toContain('Connection: close\r\n')
      expect([sha(wire.bytes), wire.error]).toEqual([sha(body), ''])
      expect(policy.ends).toMatchObject([{ outcome: 'completed' }])
    })

    it.each([
      ['HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n'],
      ['HEAD', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'],
      ['GET', 'HTTP/1.1 204 No Content\r\n\r\n'],
      ['GET', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n'],
    ])('knows that a response has no body: %s, %j', async (method, answer) => {
      const { client, proxy } = await bench.proxy([answering(() => answer)])
      const wire = client()
      for (let round = 0; round < 3; round++) {
        wire.send(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`)
        expect((await wire.response(true)).head).toMatch(/^HTTP\/1\.1 (200|204|304) /)
      }
      expect(proxy.counters.read().connects).toBe(1)
    })

    it('drops the length beside chunks, and does not use that connection again', async () => {
      const both =
        'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n'
      const { client, proxy } = await bench.proxy([answering(() => both)])
      const wire = client()
      for (let round = 0; round < 2; round++) {
        wire.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
        await wire.has('0\r\n\r\n')
        expect(wire.take().toString()).not.toMatch(/content-length/i)
      }
      expect(proxy.counters.read().connects).toBe(2)
    })

    it('passes on interim responses, several in one piece with the final one too', async () => {
      const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'
      const { client } = await bench.proxy([answering(() => hints + hints + ok('final'))])
      const wire = client()
      wire.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
      expect([await head(wire), await head(wire)]).toEqual([hints, hints])
      expect((await wire.response()).body).toBe('final')
      const old = client()
      old.send('GET / HTTP/1.0\r\n\r\n')
      expect(await old.end()).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    })

    it('lets the upstream say when to continue', async () => {
      const { client } = await bench.proxy([
        async (wire) => {
          expect(await head(wire)).toContain('Expect: 100-continue\r\n')
          wire.send('HTTP/1.1 100 Continue\r\n\r\n')
          await wire.has('body')
          wire.send(ok('thanks'))
        },
      ])
      const wire = client()
      wire.send('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n')
      expect(await head(wire)).toBe('HTTP/1.1 100 Continue\r\n\r\n')
      wire.send('body')
      expect((await wire.response()).body).toBe('thanks')
    })

    it('closes where the answer came instead of a 100', async () => {
      const { client, proxy } = await bench.proxy([answering(() => ok('no'))])
      const wire = client()
      wire.send('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n')
      const text = await wire.end()
      expect(text).toContain('Connection: close\r\n')
      expect(text.endsWith('no')).toBe(true)
      expect(wire.error).toBe('')
      await expect.poll(() => proxy.counters.read().clients, { timeout: 4000 }).toBe(0)
    })

    it('passes on an answer that comes before the body is sent, and never pools that upstream', async () => {
      const wires: Wire[] = []
      const { client, proxy } = await bench.proxy([
        async (wire) => {
          wires.push(wire)
          await head(wire)
          wire.send('HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno!')
        },
      ])
      const wire = client()
      wire.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${large}\r\n\r\n`).send(sample(100_000))
      expect((await wire.response()).head).toContain('Connection: close\r\n')
      await wire.end()
      expect(wire.error).toBe('')
      await expect.poll(() => wires[0]?.over).toBe(true)
      client().send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
      await expect.poll(() => proxy.counters.read().connects).toBe(2)
    })

    it('gives a half-closed client its answer', async () => {
      const { client } = await bench.proxy([answering(() => ok('still here'))])
      const wire = client()
      wire.socket.end('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
      expect((await wire.end()).endsWith('still here')).toBe(true)
      expect(wire.error).toBe('')
    })

    it('speaks HTTP/1.0: closes unless asked otherwise, and takes chunks apart', async () => {
      const body = sample(200_000)
      const answer = Buffer.concat([
        Buffer.from('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'),
        chunks(body, 3000, 'X-Sum: 1\r\n'),
      ])
      const { client } = await bench.proxy([
        async (wire) => {
          for (;;) wire.send((await head(wire)).startsWith('GET /chunks') ? answer : ok('plain'))
        },
      ])
      const plain = client()
      plain.send('GET / HTTP/1.0\r\n\r\n')
      expect(await plain.end()).toContain('Connection: close\r\n')
      const kept = client()
      for (let round = 0; round < 2; round++) {
        kept.send('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')
        expect((await kept.response()).head).toContain('Connection: keep-alive\r\n')
      }
      kept.send('GET /chunks HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')
      await kept.end()
      expect(await head(kept)).not.toMatch(/transfer-encoding|keep-alive/i)
      expect(sha(kept.bytes)).toBe(sha(body))
    })
  })
}
