import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { ConsulAgent, ConsulRefused, ConsulUnreachable } from './agent.ts'

const never = new AbortController().signal
const registration = { ID: 'a', Name: 'a', Address: '10.0.0.1', Port: 1, Meta: { torb: 'us' } }

/** An HTTP server in the place of an agent. */
async function serving(
  listener: RequestListener,
  prefix = '',
): Promise<{ readonly url: string } & AsyncDisposable> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://${prefix}127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await once(server.close(), 'close')
    },
  }
}

describe('a Consul agent', () => {
  it('is asked with token and credentials, which are not shown, and without the path of the URL', async () => {
    const seen: Pick<IncomingMessage, 'method' | 'url' | 'headers'>[] = []
    await using server = await serving(({ method, url, headers }, answer) => {
      seen.push({ method, url, headers })
      answer.end('{}')
    }, 'me:p%40ss@')
    const agent = new ConsulAgent(`${server.url}/ui?dc=1`, 'secret')
    await agent.services(never)
    await agent.deregister('a b/ü%', never)
    expect(seen.map(({ method, url }) => [method, url])).toEqual([
      ['GET', '/v1/agent/services'],
      ['PUT', '/v1/agent/service/deregister/a%20b%2F%C3%BC%25'],
    ])
    expect(seen[0]?.headers).toMatchObject({
      'x-consul-token': 'secret',
      authorization: `Basic ${btoa('me:p@ss')}`,
    })
    expect(agent.url).toBe(server.url.replace('me:p%40ss@', ''))
  })

  it('that refuses is told with the cure', async () => {
    await using server = await serving((_request, answer) => answer.writeHead(403).end('Permission denied\n'))
    const agent = new ConsulAgent(server.url, undefined)
    const refusal = await agent.register(registration, never).catch((error: unknown) => error)
    expect(refusal).toBeInstanceOf(ConsulRefused)
    expect((refusal as Error).message).toBe(
      'Consul refuses to register "a" (403: Permission denied): set CONSUL_HTTP_TOKEN to a token with service:write for it',
    )
  })

  it('has nothing to deregister where it answers 404', async () => {
    await using server = await serving((_request, answer) => answer.writeHead(404).end('Unknown service'))
    await new ConsulAgent(server.url, undefined).deregister('a', never)
  })

  it.each(['<html>', '[]', '{"a":{"Service":"a"}}', '{"a":null}', 'null'])(
    'that answers %s is none',
    async (body) => {
      await using server = await serving((_request, answer) => answer.end(body))
      await expect(new ConsulAgent(server.url, undefined).services(never)).rejects.toThrow(
        'is no Consul agent',
      )
    },
  )

  it('that is not there is unreachable, with the cause and the cure', async () => {
    const { url, ...server } = await serving(() => undefined)
    await server[Symbol.asyncDispose]()
    const error = await new ConsulAgent(url, undefined).services(never).catch((problem: unknown) => problem)
    expect(error).toBeInstanceOf(ConsulUnreachable)
    expect((error as Error).message).toMatch(
      /^Consul at http:\/\/127\.0\.0\.1:\d+ does not answer \(connect ECONNREFUSED .*\): start its agent/,
    )
  })
})
