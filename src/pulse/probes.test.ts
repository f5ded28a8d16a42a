import { execFileSync } from 'node:child_process'
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer as createHttpServer, type RequestListener, type Server as HttpServer } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import type { CheckResult, CheckSpec, Pulse, Schedule, Undecided } from './check.ts'
import { hostHeader, http } from './http.ts'
import { none } from './none.ts'
import { makePulse } from './pulse.ts'
import { failure } from './reasons.ts'
import { isItself, tcp } from './tcp.ts'
import { udp } from './udp.ts'

type HttpSpec = Extract<CheckSpec, { kind: 'http' }>

/** A label above 63 bytes (RFC 1035 §2.3.4): refused without asking a name server. */
const unresolvable = `${'a'.repeat(64)}.invalid`

const endings: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of endings.splice(0)) await end()
})

async function listen(server: Server | HttpServer, host = '127.0.0.1'): Promise<number> {
  const open = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    open.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => open.delete(socket))
  })
  server.listen(0, host)
  await once(server, 'listening')
  endings.push(async () => {
    for (const socket of open) socket.destroy()
    if (server.listening) await new Promise((resolve) => server.close(resolve))
  })
  return (server.address() as AddressInfo).port
}

const web = (answer: RequestListener): Promise<number> => listen(createHttpServer(answer))

/** A server of raw bytes. */
const raw = (serve: (socket: Socket) => void): Promise<number> => listen(createServer(serve))

const probeTcp = (port: number, address = '127.0.0.1'): Promise<CheckResult | Undecided> =>
  new Promise((resolve) => tcp({ kind: 'tcp', address, port, timeoutMs: 5000 }, resolve))

const httpSpec = (port: number, more: Partial<HttpSpec> = {}): HttpSpec => ({
  kind: 'http',
  scheme: 'http',
  address: '127.0.0.1',
  port,
  host: '',
  method: 'GET',
  path: '/',
  expect: 200,
  timeoutMs: 2000,
  ...more,
})

const probeHttp = (port: number, more: Partial<HttpSpec> = {}): Promise<CheckResult | Undecided> =>
  new Promise((resolve) => http(httpSpec(port, more), resolve))

const up = { up: true, reason: '' }
const downBy = (reason: string): CheckResult => ({ up: false, reason })

// GORB: TestNopDriver
describe('none', () => {
  it('is always up, and says so later', async () => {
    let told = false
    const result = new Promise((resolve) => {
      none({ kind: 'none' }, (verdict) => {
        told = true
        resolve(verdict)
      })
    })
    expect(told).toBe(false)
    expect(await result).toEqual(up)
  })

  it('tells nothing once cancelled', async () => {
    let told = false
    none({ kind: 'none' }, () => (told = true)).cancel()
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect(told).toBe(false)
  })
})

describe('tcp', () => {
  // GORB: TestTCPDriver
  it('is up while something listens and down after it closed', async () => {
    const server = createServer((socket) => socket.end())
    const port = await listen(server)
    expect(await probeTcp(port)).toEqual(up)
    await new Promise((resolve) => server.close(resolve))
    expect(await probeTcp(port)).toEqual(downBy('connection refused'))
  })

  it('resets the connection, and leaves nothing open', async () => {
    const server = createServer()
    const ended = new Promise((resolve) => {
      server.on('connection', (socket) =>
        socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code)).resume(),
      )
    })
    expect(await probeTcp(await listen(server))).toEqual(up)
    expect(await ended).toBe('ECONNRESET')
  })

  it('speaks IPv6', async () => {
    expect(await probeTcp(await listen(createServer(), '::1'), '::1')).toEqual(up)
  })

  it('resolves a name', async () => {
    expect(await probeTcp(await listen(createServer(), '127.0.0.1'), 'localhost')).toEqual(up)
  })

  it.each([
    [0, '127.0.0.1'],
    [70_000, '127.0.0.1'],
    [80, unresolvable],
  ])('is down, and not an exception, at port %i of %s', async (port, address) => {
    expect(await probeTcp(port, address)).toMatchObject({ up: false, reason: expect.stringMatching(/\w/) })
  })

  it('knows a connection of a socket with itself, which is no server', async () => {
    const server = createServer()
    const port = await listen(server)
    const other = connect(port, '127.0.0.1')
    await once(other, 'connect')
    expect(isItself(other)).toBe(false)
    other.destroy()
    await new Promise((resolve) => server.close(resolve))
    const self = connect({ host: '127.0.0.1', port, localAddress: '127.0.0.1', localPort: port })
    await once(self, 'connect')
    expect(isItself(self)).toBe(true)
    self.resetAndDestroy()
  })

  it('ends without a word when cancelled', async () => {
    const port = await raw(() => {})
    let told = false
    tcp({ kind: 'tcp', address: '127.0.0.1', port, timeoutMs: 5000 }, () => (told = true)).cancel()
    await probeTcp(port)
    expect(told).toBe(false)
  })
})

describe('udp', () => {
  const probe = (port: number, address = '127.0.0.1', waitMs = 50): Promise<CheckResult | Undecided> =>
    new Promise((resolve) => udp({ kind: 'udp', address, port, waitMs }, resolve))
  const bind = async (address: string, answers: boolean): Promise<UdpSocket> => {
    const socket = createSocket(address === '::1' ? 'udp6' : 'udp4')
    socket.on('message', (_, { port, address: from }) => answers && socket.send('here', port, from))
    socket.bind(0, address)
    await once(socket, 'listening')
    return socket
  }

  it.each([
    ['127.0.0.1', true],
    ['127.0.0.1', false],
    ['::1', true],
  ])('is up where a socket of %s is bound, answering: %s; down after it closed', async (address, answers) => {
    const server = await bind(address, answers)
    const { port } = server.address()
    expect(await probe(port, address)).toEqual(up)
    server.close()
    await once(server, 'close')
    expect(await probe(port, address, 5000)).toEqual(downBy('connection refused'))
  })

  it('resolves a name', async () => {
    const server = await bind('127.0.0.1', true)
    expect(await probe(server.address().port, 'localhost')).toEqual(up)
    server.close()
  })

  it.each([
    [0, '127.0.0.1'],
    [70_000, '127.0.0.1'],
    [80, unresolvable],
  ])('is down, and not an exception, at port %i of %s', async (port, address) => {
    expect(await probe(port, address, 5000)).toMatchObject({ up: false, reason: expect.stringMatching(/\w/) })
  })

  it('ends without a word when cancelled', async () => {
    let told = false
    udp({ kind: 'udp', address: '127.0.0.1', port: 9, waitMs: 1 }, () => (told = true)).cancel()
    await probe(9)
    expect(told).toBe(false)
  })
})

describe('http', () => {
  // GORB: TestGETDriver
  it.each([
    [404, 'status 404, expected 200'],
    [302, 'status 302, expected 200'],
    [500, 'status 500, expected 200'],
    [201, 'status 201, expected 200'],
    [200, ''],
  ])('status %i: "%s"', async (status, reason) => {
    const port = await web((_request, response) =>
      response.writeHead(status, { location: '/elsewhere' }).end('body'),
    )
    expect(await probeHttp(port)).toEqual({ up: reason === '', reason })
  })

  it('does not follow a redirect to where all is well', async () => {
    const asked: (string | undefined)[] = []
    const port = await web((request, response) => {
      asked.push(request.url)
      response.writeHead(request.url === '/' ? 302 : 200, { location: '/fine' }).end()
    })
    expect(await probeHttp(port)).toEqual(downBy('status 302, expected 200'))
    expect(asked).toEqual(['/'])
  })

  it.each([204, 302, 503])('expects %i exactly', async (status) => {
    const port = await web((_request, response) => response.writeHead(status).end())
    expect(await probeHttp(port, { expect: status })).toEqual(up)
  })

  it('expects 101 where it says so', async () => {
    const port = await raw((socket) =>
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'),
    )
    expect(await probeHttp(port, { expect: 101 })).toEqual(up)
    expect(await probeHttp(port)).toEqual(downBy('status 101, expected 200'))
  })

  // GORB: TestGETDriverWithPort
  it('asks with the method, path, query and Host given', async () => {
    const asked: unknown[] = []
    const port = await web(({ method, url, headers }, response) => {
      asked.push([method, url, headers.host, headers.connection])
      response.end()
    })
    expect(
      await probeHttp(port, { method: 'HEAD', path: '/health?full=1&x=%20', host: 'shop.example' }),
    ).toEqual(up)
    expect(await probeHttp(port)).toEqual(up)
    expect(asked).toEqual([
      ['HEAD', '/health?full=1&x=%20', `shop.example:${port}`, 'close'],
      ['GET', '/', `127.0.0.1:${port}`, 'close'],
    ])
  })

  it.each([
    ['http', '10.0.0.1', '', 80, '10.0.0.1'],
    ['http', '10.0.0.1', '', 443, '10.0.0.1:443'],
    ['https', '10.0.0.1', '', 443, '10.0.0.1'],
    ['https', '10.0.0.1', '', 80, '10.0.0.1:80'],
    ['http', '10.0.0.1', 'a.example', 8080, 'a.example:8080'],
    ['http', '2001:db8::1', '', 8080, '[2001:db8::1]:8080'],
    ['http', '2001:db8::1', '[::1]', 80, '[::1]'],
    ['http', 'fe80::1%eth0', '', 80, '[fe80::1]'],
  ] as const)('%s to %s as "%s" at %i says Host: %s', (scheme, address, host, port, header) => {
    expect(hostHeader(httpSpec(port, { scheme, address, host }))).toBe(header)
  })

  it.each(['::1', '[::1]'])('connects to %s', async (address) => {
    const port = await listen(
      createHttpServer((_request, response) => response.end()),
      '::1',
    )
    expect(await probeHttp(port, { address })).toEqual(up)
  })

  it('connects to a name, resolved at the check', async () => {
    const port = await web((_request, response) => response.end())
    expect(await probeHttp(port, { address: 'localhost', host: 'localhost' })).toEqual(up)
  })

  // GORB: TestGETDriverNoConnection
  it('is down without a connection', async () => {
    const server = createServer()
    const port = await listen(server)
    await new Promise((resolve) => server.close(resolve))
    expect(await probeHttp(port)).toEqual(downBy('connection refused'))
  })

  // GORB: TestGETDriverInvalidURL
  it.each([
    [{ address: unresolvable }],
    [{ address: '%' }],
    [{ host: 'two\r\nlines' }],
    [{ path: '/a b\u0000' }],
    [{ method: 'G E T' }],
    [{ port: 0 }],
    [{ port: 70_000 }],
  ] as [Partial<HttpSpec>][])('is down, and not an exception, with %o', async (more) => {
    const port = await web((_request, response) => response.end())
    const result = await probeHttp(port, more)
    expect(result.up).toBe(false)
    expect(result.reason).toMatch(/\w/)
  })

  it.each([
    ['garbage', 'SSH-2.0-OpenSSH_9.2\r\n', 'not an HTTP answer'],
    ['an endless header', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(100_000)}`, 'header too large'],
    ['many header lines', `HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(20_000)}`, 'header too large'],
    [
      'interim answers without end',
      'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(100),
      'too many interim answers',
    ],
  ])('is down by %s, and closes', async (_name, bytes, reason) => {
    let closed = (): void => {}
    const ended = new Promise<void>((resolve) => (closed = resolve))
    const port = await raw((socket) => {
      socket.on('close', closed)
      socket.on('error', () => {})
      socket.resume().write(bytes)
    })
    expect(await probeHttp(port)).toEqual(downBy(reason))
    await ended
  })

  it('reads no more of a 1 GB header than the limit', async () => {
    let sent = 0
    let closed = (): void => {}
    const ended = new Promise<void>((resolve) => (closed = resolve))
    const line = `X: ${'x'.repeat(65_532)}\r\n`
    const port = await raw((socket) => {
      socket.on('error', () => {})
      socket.on('close', closed)
      socket.write('HTTP/1.1 200 OK\r\n')
      const pour = (): void => {
        while (sent < 2 ** 30 && !socket.destroyed) {
          sent += line.length
          if (!socket.write(line)) {
            socket.once('drain', pour)
            return
          }
        }
      }
      pour()
    })
    expect(await probeHttp(port)).toEqual(downBy('header too large'))
    await ended
    expect(sent).toBeLessThan(2 ** 26)
  })

  it('needs no end of the body, and closes', async () => {
    let closed = (): void => {}
    const ended = new Promise<void>((resolve) => (closed = resolve))
    const port = await web((_request, response) => {
      response.on('close', closed)
      response.write('for ever')
    })
    expect(await probeHttp(port)).toEqual(up)
    await ended
  })

  it('takes the final status after interim ones', async () => {
    const port = await raw((socket) =>
      socket.write('HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n'),
    )
    expect(await probeHttp(port)).toEqual(up)
  })

  it('is down where the connection closes without an answer', async () => {
    const port = await raw((socket) => socket.end())
    expect((await probeHttp(port)).up).toBe(false)
  })

  it('holds on to a server that hangs until cancelled, then closes', async () => {
    let accepted = (): void => {}
    let closed = (): void => {}
    const began = new Promise<void>((resolve) => (accepted = resolve))
    const ended = new Promise<void>((resolve) => (closed = resolve))
    const port = await raw((socket) => {
      socket.on('close', closed)
      socket.resume()
      accepted()
    })
    let told = false
    const running = http(httpSpec(port), () => (told = true))
    await began
    running.cancel()
    await ended
    expect(told).toBe(false)
  })
})

describe('https', () => {
  const pem = selfSigned()

  it.skipIf(pem === null)('takes any certificate, which openssl is there to make', async () => {
    const names: unknown[] = []
    const server = createHttpsServer({ key: pem ?? '', cert: pem ?? '' }, (request, response) => {
      names.push([request.headers.host, (request.socket as { servername?: string | false }).servername])
      response.writeHead(request.url === '/fine' ? 200 : 503).end()
    })
    const port = await listen(server)
    expect(await probeHttp(port, { scheme: 'https', path: '/fine', host: 'shop.example' })).toEqual(up)
    expect(await probeHttp(port, { scheme: 'https' })).toEqual(downBy('status 503, expected 200'))
    expect(names).toEqual([
      [`shop.example:${port}`, 'shop.example'],
      [`127.0.0.1:${port}`, false],
    ])
  })

  it('is down where no TLS is spoken', async () => {
    const port = await web((_request, response) => response.end())
    const result = await probeHttp(port, { scheme: 'https' })
    expect(result).toMatchObject({ up: false, reason: expect.stringMatching(/^no TLS/) })
  })
})

describe('a pulse over real sockets', () => {
  const schedule = (check: CheckSpec): Schedule => ({
    check,
    intervalMs: 10,
    fastIntervalMs: 10,
    backoffMs: 0,
    firstWithinMs: 10,
  })

  /** Checks one target until a result is as wanted; gives all that came. */
  async function until(check: CheckSpec, wanted: (result: CheckResult) => boolean): Promise<CheckResult[]> {
    const results: CheckResult[] = []
    let pulse: Pulse<string> | undefined
    await new Promise<void>((resolve) => {
      pulse = makePulse<string>({
        onResult: (_key, result) => {
          results.push(result)
          if (wanted(result)) resolve()
        },
      })
      pulse.set('target', schedule(check))
    })
    pulse?.close()
    return results
  }

  it('goes from up to down when the listener closes', async () => {
    const server = createServer()
    const port = await listen(server)
    let count = 0
    const results = await until({ kind: 'tcp', address: '127.0.0.1', port, timeoutMs: 5000 }, ({ up }) => {
      if (++count === 3) server.close()
      return !up
    })
    expect(results.slice(0, 3)).toEqual([up, up, up])
    expect(results.at(-1)).toEqual(downBy('connection refused'))
  })

  it('gives up on a server that hangs, and closes the connection', async () => {
    let closed = (): void => {}
    const ended = new Promise<void>((resolve) => (closed = resolve))
    const port = await raw((socket) => socket.on('close', closed).resume())
    expect(await until(httpSpec(port, { timeoutMs: 50 }), () => true)).toEqual([
      downBy('no answer within 0.05 s'),
    ])
    await ended
  })
})

describe('reasons', () => {
  it.each(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'])('%s says nothing of the target', (code) => {
    expect(failure(Object.assign(new Error('connect'), { code })).up).toBeNull()
  })

  it.each([
    ['EHOSTUNREACH', 'no route to host'],
    ['ENOTFOUND', 'name not found'],
    ['HPE_INVALID_CONSTANT', 'not an HTTP answer'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'no TLS: wrong version number'],
    ['ESOMETHING', 'ESOMETHING'],
  ])('%s is "%s"', (code, reason) => {
    const error = Object.assign(new Error('connect'), { code })
    expect(failure(error)).toEqual(downBy(reason))
    expect(failure(new AggregateError([error]))).toEqual(downBy(reason))
  })
})

/** A key and its certificate in one PEM text, or null without openssl. */
function selfSigned(): string | null {
  const program = 'openssl'
  const wanted =
    'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=test -days 1 -keyout - -out -'
  try {
    return execFileSync(program, wanted.split(' '), {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
  } catch {
    return null
  }
}
