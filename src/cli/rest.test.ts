import { spawnSync } from 'node:child_process'
import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { readGatewayFacts } from './doctorGateway.ts'
import { CommandError } from './exit.ts'
import { listening } from './listening.ts'
import { openRest, restOf } from './rest.ts'

const pem = selfSigned()
if (pem === null) console.warn('skipped: a certificate that is not believed: there is no openssl to make one')

/** A key and its certificate in one PEM text; null without openssl. */
function selfSigned(): string | null {
  const request =
    'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout - -subj /CN=localhost'
  const { status, stdout } = spawnSync('openssl', request.split(' '), { encoding: 'utf8' })
  return status === 0 ? stdout : null
}

async function answering(listener: RequestListener) {
  const server = createServer(listener)
  const place = await listening(server, '127.0.0.1', 0)
  return {
    api: `http://${place}`,
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
}

async function errorOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => null,
    (reason: unknown) => reason,
  )
  if (!(error instanceof CommandError)) throw new TypeError('a CommandError was expected', { cause: error })
  return `${error.code} ${error.message}`
}

it('sends JSON with its length and the token, and reads JSON or nothing', async () => {
  const seen: IncomingMessage['headers'][] = []
  await using server = await answering((request, response) => {
    seen.push(request.headers)
    response.end(request.method === 'GET' ? '["0"]' : '')
  })
  const rest = openRest(`${server.api}/`, 'secret')
  expect(await rest.request('GET', '/service')).toEqual(['0'])
  expect(await rest.request('PUT', '/service/ü', { a: 'ü' })).toBeUndefined()
  expect(seen[0]).toMatchObject({ authorization: 'Bearer secret' })
  expect(seen[0]).not.toHaveProperty('content-type')
  expect(seen[1]).toMatchObject({ 'content-type': 'application/json', 'content-length': '10' })
})

it.each([
  [404, '{"error":"no x"}', '1 GET /x: no x (status 404)'],
  [
    404,
    '404 page not found\n',
    '1 API has no /x: say with --api where a Torb answers, without a path, such as http://127.0.0.1:4672',
  ],
  [502, '<html>\nno', '1 GET /x: <html> (status 502)'],
  [500, '', '1 GET /x: no reason given (status 500)'],
  [
    401,
    '{"error":"no token"}',
    '1 API wants a token: give --token-file (DATA/token of the daemon) or TORB_TOKEN (no token)',
  ],
  [200, '<html>', '1 API/x answers something that is not JSON: is that a Torb?'],
])('tells a status %d in one sentence', async (status, body, sentence) => {
  await using server = await answering((_, response) => response.writeHead(status).end(body))
  const told = await errorOf(openRest(server.api, null).request('GET', '/x'))
  expect(told.replace(server.api, 'API')).toBe(sentence)
})

it.each([
  ['GET', '/service/a%22b', 'there is no service "a"b"'],
  ['POST', '/counters/zero/web', 'there is no service "web"'],
  ['DELETE', '/service/web/%C3%BC?drain=1s', 'there is no backend "ü" of a service "web"'],
])('names what is not there: %s %s', async (method, path, what) => {
  await using server = await answering((_, response) =>
    response.writeHead(404).end('{"error":"unable to locate specified object"}'),
  )
  expect(await errorOf(openRest(server.api, null).request(method, path))).toBe(
    `1 ${what}: "torb services" lists those there are`,
  )
})

it('says how to start a Torb where none answers', async () => {
  const server = await answering(() => {})
  await server[Symbol.asyncDispose]()
  expect(await errorOf(openRest(server.api, null).request('GET', '/service'))).toMatch(
    /^69 no Torb answers at http:\S+ \(connect ECONNREFUSED \S+\): start it with "torb serve", or say where it is with --api URL$/,
  )
})

it('says that what listens there has no TLS, in one line', async () => {
  await using server = await answering((_, response) => response.end('[]'))
  const api = server.api.replace('http:', 'https:')
  expect(await errorOf(openRest(api, null).request('GET', '/service'))).toBe(
    `69 no Torb answers at ${api} (EPROTO): what listens there does not speak TLS: give --api with http://`,
  )
})

it('says so where the connection breaks in the middle of an answer', async () => {
  await using server = await answering((_, response) => {
    response.writeHead(200, { 'content-length': 100 }).write('[', () => response.destroy())
  })
  expect(await errorOf(openRest(server.api, null).request('GET', '/service'))).toMatch(
    /^69 no Torb answers at/,
  )
})

it.skipIf(pem === null)('says that a certificate is not believed, and doctor says so too', async () => {
  const server = createTlsServer({ key: pem ?? '', cert: pem ?? '' }, (_, response) => response.end('[]'))
  const rest = openRest(`https://${await listening(server, '127.0.0.1', 0)}`, null)
  expect(await errorOf(rest.request('GET', '/service'))).toMatch(
    /^69 the certificate of https:\S+ is not believed \(self-signed .*\): name its authority in NODE_EXTRA_CA_CERTS, and/,
  )
  expect((await readGatewayFacts(rest, false)).failure).toMatchObject({ level: 'note' })
  server.close()
})

it('names what was asked for without its query', async () => {
  await using server = await answering((_, response) => response.writeHead(400).end('{"error":"no"}'))
  expect(await errorOf(openRest(server.api, null).request('GET', '/x?y=%2F'))).toBe(
    '1 GET /x: no (status 400)',
  )
})

it('refuses what is not a URL of HTTP', () => {
  expect(() => openRest('localhost:4672', null)).toThrow(
    '--api cannot be "localhost:4672": it takes a URL such as http://127.0.0.1:4672',
  )
})

it('takes the token from a file before the environment', async () => {
  const tokens: (string | undefined)[] = []
  await using server = await answering((request, response) => {
    tokens.push(request.headers.authorization)
    response.end('[]')
  })
  const directory = await mkdtemp(join(tmpdir(), 'torb-rest-'))
  const file = join(directory, 'token')
  await writeFile(file, 'of-the-file\n')
  const env = { TORB_TOKEN: 'of-the-environment' }
  const flags = { api: server.api, json: false }
  await restOf({ ...flags, 'token-file': file }, { env }).request('GET', '/')
  await restOf({ ...flags, 'token-file': undefined }, { env }).request('GET', '/')
  await restOf({ ...flags, 'token-file': undefined }, { env: {} }).request('GET', '/')
  expect(tokens).toEqual(['Bearer of-the-file', 'Bearer of-the-environment', undefined])
  await writeFile(file, ' \n')
  expect(() => restOf({ ...flags, 'token-file': file }, { env })).toThrow(`${file} holds no token: it is`)
  expect(() => restOf({ ...flags, 'token-file': undefined }, { env: { TORB_TOKEN: 'a\nb' } })).toThrow(
    'TORB_TOKEN holds no token: it is',
  )
  await rm(directory, { recursive: true })
  expect(() => restOf({ ...flags, 'token-file': file }, { env })).toThrow(
    `cannot read the token (ENOENT: no such file or directory, open '${file}'): name its file`,
  )
})

it('follows events until the signal', async () => {
  const end = new AbortController()
  await using server = await answering((_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write('event: ready\ndata: {}\n\n')
  })
  const types: string[] = []
  const following = (async () => {
    for await (const { type } of openRest(server.api, null).events(end.signal)) {
      types.push(type)
      end.abort()
    }
  })()
  await expect(following).rejects.toThrow(/abort/i)
  expect(types).toEqual(['ready'])
})
