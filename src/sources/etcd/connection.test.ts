import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'
import { EtcdConnection } from './connection.ts'

const never = new AbortController().signal

/** An HTTP server in the place of a member. */
async function serving(
  answer: (path: string, body: string, response: ServerResponse, request: IncomingMessage) => void,
): Promise<{ readonly url: URL } & AsyncDisposable> {
  const server = createServer((request, response) => {
    void text(request).then((body) => answer(request.url ?? '', body, response, request))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await once(server.close(), 'close')
    },
  }
}

const refuse = (response: ServerResponse, status: number, error: string, code: number): void =>
  void response.writeHead(status).end(JSON.stringify({ error, message: error, code }))

describe('a connection to etcd', () => {
  it('renews a token that is known no more, once', async () => {
    const seen: string[] = []
    let tokens = 0
    await using server = await serving((path, body, response, { headers }) => {
      seen.push(`${path} ${headers.authorization ?? '-'}`)
      if (path === '/v3/auth/authenticate') {
        expect(JSON.parse(body)).toEqual({ name: 'me', password: 'secret' })
        response.end(JSON.stringify({ token: `t${++tokens}` }))
      } else if (headers.authorization === 't2') response.end('{"ok":1}')
      else refuse(response, 401, 'etcdserver: invalid auth token', 16)
    })
    const access = { endpoints: [], user: 'me', password: 'secret' }
    using connection = await EtcdConnection.open(server.url, access, never)
    expect(await connection.call('/v3/kv/range', {}, never)).toEqual({ ok: 1 })
    expect(seen).toEqual([
      '/v3/auth/authenticate -',
      '/v3/kv/range t1',
      '/v3/auth/authenticate -',
      '/v3/kv/range t2',
    ])
    tokens = 5
    await expect(connection.call('/v3/kv/range', {}, never)).resolves.toEqual({ ok: 1 })
  })

  it.each([
    [200, '<html>', 'what came is no JSON'],
    [404, 'Not Found', 'is no etcd 3.4 or later (status 404): give the client URL of a member'],
    [403, '{"error":"etcdserver: permission denied","code":7}', "grant the user's role"],
    [400, '{"error":"etcdserver: user name is empty","code":3}', 'give a user and its password'],
  ])('that answers %i %s says so', async (status, body, reason) => {
    await using server = await serving((_path, _body, response) => void response.writeHead(status).end(body))
    using connection = await EtcdConnection.open(server.url, { endpoints: [] }, never)
    await expect(connection.call('/v3/kv/range', {}, never)).rejects.toThrow(reason)
    await expect(Array.fromAsync(connection.stream('/v3/watch', {}, never))).rejects.toThrow(reason)
  })

  it('that is wrong about the password does not show it', async () => {
    await using server = await serving((_path, _body, response) => {
      refuse(response, 400, 'etcdserver: authentication failed, invalid user ID or password', 3)
    })
    const access = { endpoints: [], user: 'me', password: 'secret' }
    const opened = expect(EtcdConnection.open(server.url, access, never)).rejects
    await opened.toThrow('give the right user and password')
    await opened.not.toThrow('secret')
  })

  it('that is not there, or breaks in the middle, says so', async () => {
    const gone = await serving(() => {})
    await gone[Symbol.asyncDispose]()
    using none = await EtcdConnection.open(gone.url, { endpoints: [] }, never)
    await expect(none.call('/v3/kv/range', {}, never)).rejects.toThrow(
      /does not answer \(connect ECONNREFUSED/,
    )
    await using server = await serving((_path, _body, response) => {
      response.write('{"result":\n', () => response.destroy())
    })
    using connection = await EtcdConnection.open(server.url, { endpoints: [] }, never)
    await expect(connection.call('/v3/kv/range', {}, never)).rejects.toThrow('the connection broke')
  })

  it('gives the messages of a stream as they come, until it is ended', async () => {
    await using server = await serving((_path, _body, response) => {
      response.write('{"n":1}\n{"n"')
      response.write(':2}\n')
    })
    const ended = new AbortController()
    using connection = await EtcdConnection.open(server.url, { endpoints: [] }, never)
    const seen: unknown[] = []
    const reading = (async () => {
      for await (const message of connection.stream('/v3/watch', {}, ended.signal)) {
        if (seen.push(message) === 2) ended.abort()
      }
    })()
    await expect(reading).rejects.toThrow('does not answer')
    expect(seen).toEqual([{ n: 1 }, { n: 2 }])
  })
})
