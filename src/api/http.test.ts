import { once } from 'node:events'
import { Agent, createServer, get, request as httpRequest } from 'node:http'
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { boundConnections, connectionLimit } from './connections.ts'
import { listeningApi, testToken, type ListeningApi } from '../../test/fixtures/api.ts'

let rig: ListeningApi
beforeAll(async () => {
  rig = await listeningApi()
})
afterAll(async () => rig[Symbol.asyncDispose]())

/** Sends bytes and gives all that comes back until the server closes. */
async function exchange(...pieces: (string | Buffer)[]): Promise<string> {
  const socket = connect(rig.api.port, '127.0.0.1')
  let answer = ''
  socket.on('data', (chunk: Buffer) => {
    answer += chunk.toString('latin1')
  })
  socket.on('error', () => {})
  for (const piece of pieces) socket.write(piece)
  await once(socket, 'close')
  return answer
}

const close = 'Host: localhost\r\nConnection: close\r\n'

describe('over a socket', () => {
  it('GET by a plain client', async () => {
    const answer = await exchange(`GET /service HTTP/1.1\r\n${close}\r\n`)
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\ncontent-type: application\/json\r\ncontent-length: 2\r\n/)
    expect(answer.endsWith('\r\n\r\n[]')).toBe(true)
  })

  it.each([
    ['no Host', 'GET /service HTTP/1.1\r\nConnection: close\r\n\r\n', 400],
    ['no Host in HTTP/1.0', 'GET /service HTTP/1.0\r\n\r\n', 401],
    [
      'two Hosts',
      `GET /service HTTP/1.1\r\nHost: localhost\r\nHost: evil.test\r\nConnection: close\r\n\r\n`,
      401,
    ],
    ['a foreign Host', 'GET /service HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n', 401],
    ['an absolute target', `GET http://localhost/service HTTP/1.1\r\n${close}\r\n`, 400],
    ['a forwarded request', `GET /service HTTP/1.1\r\nX-Forwarded-Proto: https\r\n${close}\r\n`, 401],
    ['the same by RFC 7239', `GET /service HTTP/1.1\r\nforwarded: for=1.2.3.4\r\n${close}\r\n`, 401],
    ['a foreign origin', `DELETE /service/0 HTTP/1.1\r\nOrigin: http://evil.test\r\n${close}\r\n`, 403],
    [
      'both lengths',
      `PUT /service/0 HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n${close}\r\n{}`,
      400,
    ],
    ['no HTTP', 'hello\r\n\r\n', 400],
    ['large headers', `GET /service HTTP/1.1\r\nX: ${'x'.repeat(20_000)}\r\n${close}\r\n`, 431],
    [
      'a chunked text',
      `PUT /service/0 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n${close}\r\n2\r\n{}\r\n0\r\n\r\n`,
      415,
    ],
  ])('%s: answered and closed', async (_name, text, status) => {
    const answer = await exchange(text)
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
  })

  it('a chunked body without end is cut at 1 MiB with an answer', async () => {
    const chunk = `10000\r\n${' '.repeat(65_536)}\r\n`
    const head = `PUT /service/0 HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nHost: localhost\r\n\r\n`
    const answer = await exchange(head, ...Array.from({ length: 17 }, () => chunk))
    expect(answer).toContain('400 Bad Request')
    expect(answer).toContain('larger than 1 MiB')
  })

  it('a body of 1 MiB is taken', async () => {
    const body = '{"port":81,"host":"10.9.9.9"}'.padEnd(1024 * 1024)
    const answer = await exchange(
      `PUT /service/big HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n${close}\r\n`,
      body,
    )
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    await rig.control.deleteService('big', 'rest')
  })

  it('pipelined requests are answered in order', async () => {
    const answer = await exchange(
      `GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /service HTTP/1.1\r\nHost: localhost\r\n\r\nGET /nowhere HTTP/1.1\r\n${close}\r\n`,
    )
    expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 404'])
  })

  it('a stale token is 401 and says where the right one is; the right one passes from anywhere', async () => {
    const bearer = (token: string) =>
      `GET /service HTTP/1.1\r\nAuthorization: Bearer ${token}\r\nVia: x\r\n${close}\r\n`
    const stale = await exchange(bearer('old'))
    expect(stale).toMatch(/^HTTP\/1\.1 401 /)
    expect(stale).toContain('www-authenticate: Bearer')
    expect(stale).toContain('the environment variable TORB_TOKEN')
    expect(await exchange(bearer(testToken))).toMatch(/^HTTP\/1\.1 200 /)
  })
})

describe('starting', () => {
  it('says why it cannot listen', async () => {
    await expect(listeningApi({ listen: `127.0.0.1:${rig.api.port}` })).rejects.toThrow(
      'another program has that port',
    )
    await expect(listeningApi({ listen: '192.0.2.1:0' })).rejects.toThrow(
      'this host does not have that address',
    )
    await expect(listeningApi({ listen: '4672' })).rejects.toThrow('is not [HOST]:PORT')
    await expect(listeningApi({ tls_client_ca: '/nowhere' })).rejects.toThrow(
      'give both --tls-cert and --tls-key',
    )
    await expect(listeningApi({ tls_cert: '/nowhere', tls_key: '/nowhere' })).rejects.toThrow(
      'see --tls-cert',
    )
  })

  it('without a host listens on all addresses, and knows itself there', async () => {
    await using all = await listeningApi({ listen: ':0' })
    expect(all.api.url).toBe(`http://127.0.0.1:${all.api.port}`)
    expect(await (await fetch(`${all.api.url}/service`)).text()).toBe('[]')
    expect(all.api.isOwnListener('127.3.3.3', all.api.port)).toBe(true)
    expect(all.api.isOwnListener('127.3.3.3', all.api.port === 1 ? 2 : 1)).toBe(false)
    expect(all.api.isOwnListener('192.0.2.1', all.api.port)).toBe(false)
  })

  it('a closed API finishes the request in work', async () => {
    const closing = await listeningApi()
    const { promise, resolve } = Promise.withResolvers<void>()
    const { promise: inWork, resolve: begin } = Promise.withResolvers<void>()
    const explain = closing.plane.explain.bind(closing.plane)
    closing.plane.explain = async () => {
      begin()
      await promise
      return explain()
    }
    const answer = fetch(`${closing.api.url}/explain?source=1.2.3.4&destination=10.0.0.1:80`)
    await inWork
    const closed = closing[Symbol.asyncDispose]()
    resolve()
    expect((await answer).status).toBe(200)
    await closed
    await expect(fetch(closing.api.url)).rejects.toThrow()
  })
})

describe('local trust of the same user', () => {
  it('lets in who runs as we do', async () => {
    await using same = await listeningApi({ local_trust: 'same-user' })
    expect((await fetch(`${same.api.url}/service`)).status).toBe(200)
  })

  it('goes by the names it was given', async () => {
    await using named = await listeningApi({ host_names: ['LB.test'] })
    const status = (host: string) =>
      new Promise((resolve, reject) => {
        const url = `${named.api.url}/service`
        get(url, { headers: { host }, agent: false }, (response) => resolve(response.resume().statusCode)).on(
          'error',
          reject,
        )
      })
    expect([await status('lb.test:4672'), await status('lb.test.evil.test')]).toEqual([200, 401])
  })

  it('none asks everybody', async () => {
    await using none = await listeningApi({ local_trust: 'none' })
    expect((await fetch(`${none.api.url}/service`)).status).toBe(401)
    expect((await fetch(`${none.api.url}/healthz`)).status).toBe(200)
    const headers = { authorization: `Bearer ${testToken}` }
    expect((await fetch(`${none.api.url}/service`, { headers })).status).toBe(200)
  })
})

describe('connections', () => {
  it('are limited to three fifths of the descriptors', () => {
    expect([20_000, 1024, 10, 10_000_000].map(connectionLimit)).toEqual([12_000, 614, 16, 65_536])
  })

  it('at the limit the one idle for longest goes, never one at work', async () => {
    const { promise: answerIt, resolve: answer } = Promise.withResolvers<void>()
    const server = createServer((request, response) => {
      if (request.url === '/slow') void answerIt.then(() => response.end('slow'))
      else response.end('quick')
    })
    boundConnections(server, 4)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    const slow = new Promise<string>((resolve, reject) => {
      get({ port, path: '/slow' }, (response) =>
        response.on('data', (text: Buffer) => resolve(text.toString())),
      ).on('error', reject)
    })
    await once(server, 'request')
    const idle: Socket[] = []
    const gone: number[] = []
    for (let i = 0; i < 8; i++) {
      const socket = connect(port, '127.0.0.1')
      socket.on('error', () => {})
      socket.once('close', () => gone.push(i))
      socket.resume()
      await once(server, 'connection')
      idle.push(socket)
    }
    const agent = new Agent()
    const [quick] = (await once(httpRequest({ port, agent }).end(), 'response')) as [AsyncIterable<Buffer>]
    for await (const text of quick) expect(text.toString()).toBe('quick')
    answer()
    expect(await slow).toBe('slow')
    expect(gone.slice(0, 5)).toEqual([0, 1, 2, 3, 4])
    for (const socket of idle) socket.destroy()
    server.closeAllConnections()
    server.close()
  })
})
