import { describe, expect, it } from 'vitest'
import { sample } from './proxyBodySuite.ts'
import { Bench, ok, type OpenTransport, type Wire } from './proxyFixture.ts'

type Deliver = (wire: Wire, text: string) => Promise<void>

const ways: Readonly<Record<string, Deliver>> = {
  'in one piece': async (wire, text) => void wire.send(text),
  'byte by byte': (wire, text) => wire.sendBytewise(text),
}

const chunked = (body: string, trailer = ''): string =>
  `${body.length.toString(16)}\r\n${body}\r\n0\r\n${trailer}\r\n`

/** What a client asks, what the upstream answers, and what each gets, however the bytes of both come. */
interface Trap {
  readonly what: string
  readonly asks: string
  /** Of each request in turn; '' for an upstream that ends without a word. */
  readonly answers: readonly string[]
  /** The upstream ends behind its last answer. */
  readonly ends?: boolean
  /** What the client got, without the fields of the policy. */
  readonly gets: string
  /** What the upstream got: the parts of each of its connections, without Host and the policy's fields. */
  readonly upstream?: readonly string[]
  /** Whether the client's connection is ended. */
  readonly closes: boolean
}

const get = (target: string, fields = ''): string => `GET ${target} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`
const got = (target: string): string => `GET ${target} HTTP/1.1\r\n\r\n`

const traps: readonly Trap[] = [
  {
    what: 'Connection: close is answered by Connection: close, and the end',
    asks: get('/a', 'Connection: close\r\n'),
    answers: [ok('x')],
    gets: 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx',
    closes: true,
  },
  {
    what: "an upstream's Connection: close is its own",
    asks: get('/a') + get('/b'),
    answers: [ok('x', 'Connection: close\r\n'), ok('y')],
    gets: ok('x') + ok('y'),
    upstream: [got('/a'), got('/b')],
    closes: false,
  },
  {
    what: 'fields named by Connection end here, both ways',
    asks: get('/a', 'Connection: keep-alive, X-Secret\r\nX-Secret: 1\r\nKeep-Alive: 5\r\nX-Kept: 1\r\n'),
    answers: [ok('x', 'Connection: x-hop\r\nX-Hop: 1\r\nX-Kept: 2\r\n')],
    gets: ok('x', 'X-Kept: 2\r\n'),
    upstream: ['GET /a HTTP/1.1\r\nX-Kept: 1\r\n\r\n'],
    closes: false,
  },
  {
    what: 'of a length and chunks in a response the chunks stay, and that connection is not used again',
    asks: get('/a') + get('/b'),
    answers: [
      `HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n${chunked('abcdef')}`,
      ok('y'),
    ],
    gets: `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked('abcdef')}${ok('y')}`,
    upstream: [got('/a'), got('/b')],
    closes: false,
  },
  {
    what: 'a response to HEAD, 204 and 304 has no body, whatever it says',
    asks:
      'HEAD /a HTTP/1.1\r\nHost: a\r\n\r\nHEAD /b HTTP/1.1\r\nHost: a\r\n\r\n' +
      get('/c') +
      get('/d') +
      get('/e'),
    answers: [
      'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
      'HTTP/1.1 204 No Content\r\n\r\n',
      'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n',
      ok('last'),
    ],
    gets:
      'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 200 OK\r\n\r\n' +
      'HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n' +
      ok('last'),
    upstream: [`HEAD /a HTTP/1.1\r\n\r\nHEAD /b HTTP/1.1\r\n\r\n${got('/c')}${got('/d')}${got('/e')}`],
    closes: false,
  },
  {
    what: 'interim responses are passed on before the final one',
    asks: get('/a') + get('/b'),
    answers: [
      `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n${ok('x')}`,
      ok('y'),
    ],
    gets: `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n${ok('x')}${ok('y')}`,
    upstream: [got('/a') + got('/b')],
    closes: false,
  },
  {
    what: 'a body that only the end delimits ends the client too',
    asks: get('/a'),
    answers: ['HTTP/1.1 200 OK\r\n\r\nuntil the end'],
    ends: true,
    gets: 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end',
    closes: true,
  },
  {
    what: 'trailers are passed on, both ways',
    asks: `POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${chunked('in', 'X-Sum: 1\r\n')}`,
    answers: [`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked('out', 'X-Sum: 2\r\n')}`],
    gets: `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked('out', 'X-Sum: 2\r\n')}`,
    upstream: [`POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n${chunked('in', 'X-Sum: 1\r\n')}`],
    closes: false,
  },
  {
    what: 'pipelined requests, with and without bodies, are answered in their order',
    asks:
      get('/1') +
      'POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc' +
      `PUT /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${chunked('def')}` +
      get('/4'),
    answers: [ok('1'), ok('2'), ok('3'), ok('4')],
    gets: ok('1') + ok('2') + ok('3') + ok('4'),
    upstream: [
      `${got('/1')}POST /2 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc` +
        `PUT /3 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n${chunked('def')}${got('/4')}`,
    ],
    closes: false,
  },
  {
    what: 'a request is sent again, once and only where that does no harm, when a kept connection turns out stale',
    asks: get('/a') + get('/b') + 'POST /c HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n',
    answers: [ok('x'), '', ok('y'), ''],
    gets: `${ok('x')}${ok('y')}HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n`,
    upstream: [got('/a') + got('/b'), `${got('/b')}POST /c HTTP/1.1\r\nContent-Length: 0\r\n\r\n`],
    closes: false,
  },
]

/** Without what the policy of the fixture adds, and without Host, whose port is another one each time. */
const plain = (text: string): string =>
  text
    .replaceAll(/(?:X-Final-Host|X-Forwarded-For|Host): [^\r]*\r\n/g, '')
    .replaceAll(closeFirst, closeSecond)
/** Where Connection stands among the fields does not matter. */
const closeFirst = /((?:[A-Za-z-]+: [^\r]*\r\n)+)Connection: close\r\n/g
const closeSecond = 'Connection: close\r\n$1'

/** Length of the first request in a text, head and body; 0: not whole yet. */
function requestLength(text: string): number {
  const headEnd = text.indexOf('\r\n\r\n') + 4
  if (headEnd < 4) return 0
  const head = text.slice(0, headEnd)
  if (/^transfer-encoding: chunked/im.test(head)) {
    const last = text.indexOf('0\r\n', headEnd)
    const end = last < 0 ? -1 : text.indexOf('\r\n\r\n', last)
    return end < 0 ? 0 : end + 4
  }
  const length = headEnd + Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0)
  return text.length < length ? 0 : length
}

/** What proxies are known to get wrong, each sent in one piece and byte by byte, by client and upstream. */
export function trapSuite(name: string, open: OpenTransport): void {
  describe.each(Object.entries(ways))(`traps over ${name}, %s`, (_, deliver) => {
    const bench = new Bench(open)

    it.each(traps)('$what', async ({ asks, answers, ends, gets, upstream, closes }) => {
      const connections: string[] = []
      const left = [...answers]
      const { client } = await bench.proxy([
        async (wire) => {
          const own = connections.push('') - 1
          for (;;) {
            const came = await wire.until((text) => requestLength(text) > 0).catch(() => '')
            if (came === '') return
            connections[own] += wire.take(requestLength(came)).toString('latin1')
            const answer = left.shift() ?? ''
            await deliver(wire, answer)
            if (answer === '' || (ends === true && left.length === 0)) wire.socket.end()
          }
        },
      ])
      const wire = client()
      await deliver(wire, asks)
      if (closes) await wire.end()
      else await wire.until((text) => plain(text).length >= gets.length)
      expect(plain(wire.text)).toBe(plain(gets))
      expect([wire.over, wire.error]).toEqual([closes, ''])
      if (upstream !== undefined) expect(connections.map(plain)).toEqual(upstream)
    })

    it('gives a half-closed client its answer', async () => {
      const { client } = await bench.proxy([
        async (wire) => {
          await wire.has('\r\n\r\n')
          await deliver(wire, ok('late'))
        },
      ])
      const wire = client()
      await deliver(wire, get('/a'))
      wire.socket.end()
      expect((await wire.end()).endsWith('late')).toBe(true)
      expect(wire.error).toBe('')
    })

    it('makes a tunnel of a 101, with what came behind the heads', async () => {
      const { client } = await bench.proxy([
        async (wire) => {
          await wire.has('\r\n\r\n')
          await deliver(
            wire,
            'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nGET / HTTP/1.1\r\n\r\n',
          )
          await wire.has('\0no HTTP\r\n\r\n')
          await deliver(wire, 'bye')
          wire.socket.end()
        },
      ])
      const wire = client()
      await deliver(wire, `${get('/a', 'Connection: upgrade\r\nUpgrade: echo\r\n')}\0no HTTP\r\n\r\n`)
      expect(await wire.end()).toMatch(
        /^HTTP\/1\.1 101 [^]*\r\nUpgrade: echo\r\n\r\nGET \/ HTTP\/1\.1\r\n\r\nbye$/,
      )
      expect(wire.error).toBe('')
    })

    it('never keeps an upstream to which the request is still being sent', async () => {
      const seen: Wire[] = []
      const { client, proxy } = await bench.proxy([
        async (wire) => {
          seen.push(wire)
          await wire.has('\r\n\r\n')
          await deliver(wire, 'HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno!')
        },
      ])
      const wire = client()
      await deliver(wire, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc')
      expect(await wire.response()).toMatchObject({ body: 'no!' })
      await wire.end()
      expect(wire.error).toBe('')
      await expect.poll(() => seen[0]?.over).toBe(true)
      const other = client()
      await deliver(other, get('/b'))
      expect(await other.response()).toMatchObject({ body: 'no!' })
      expect(proxy.counters.read()).toMatchObject({ connects: 2, reused: 0 })
    })

    it('ends so that the answer is read, though more is on its way to it', async () => {
      const { client } = await bench.proxy([])
      const wire = client()
      await deliver(wire, 'GET / HTTP/1.1\r\n\r\n')
      wire.send(sample(200_000))
      expect(await wire.end()).toMatch(/^HTTP\/1\.1 400 [^]*Host is missing/)
      expect(wire.error).toBe('')
    })
  })
}
