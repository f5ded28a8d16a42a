import { once } from 'node:events'
import { createServer, get, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { EventLog, type TorbEvent } from '../control/events.ts'
import { EventStream } from './eventStream.ts'
import { listeningApi } from '../../test/fixtures/api.ts'

const startedAt = 36 * 36
const event = (service: string): TorbEvent => ({ at: 1, type: 'service-created', service, source: 'rest' })
const text = (id: number, service: string) =>
  `id: 100-${id}\nevent: service-created\ndata: {"at":1,"type":"service-created","service":"${service}","source":"rest"}\n\n`

let server: Server | undefined
let stream: EventStream | undefined
afterEach(() => {
  stream?.close()
  server?.closeAllConnections()
  server?.close()
})

/** A server whose every request follows the log, and the response of one that does. */
async function follow(log: EventLog, service: string | null, last: string | null, heartbeatMs = 60_000) {
  const made = (stream = new EventStream(log, startedAt, heartbeatMs))
  server = createServer((_request, response) => made.add(response, { service, function: null }, last)).listen(
    0,
    '127.0.0.1',
  )
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const [response] = (await once(get({ port, host: '127.0.0.1' }), 'response')) as [IncomingMessage]
  return { response, stream: made, port }
}

/** Reads until the text ends so. */
async function read(response: IncomingMessage, end: string): Promise<string> {
  let all = ''
  for await (const chunk of response) {
    all += String(chunk)
    if (all.endsWith(end)) return all
  }
  return all
}

describe('EventStream', () => {
  it('gives a new reader what is to come, of its service', async () => {
    const log = new EventLog()
    log.record(event('before'))
    const { response } = await follow(log, 'a', null)
    expect(response.headers['content-type']).toBe('text/event-stream')
    log.record(event('a'))
    log.record(event('b'))
    log.record({ at: 1, type: 'ready', plane: 'userspace' })
    log.record(event('a'))
    expect(await read(response, text(5, 'a'))).toBe(`retry: 2000\n\n${text(2, 'a')}${text(5, 'a')}`)
  })

  it('gives the events of a function to who asks for it', async () => {
    await using api = await listeningApi()
    api.events.record(event('a'))
    for (const name of ['f', 'g'])
      api.events.record({ at: 1, type: 'function-changed', function: name, source: 'etcd' })
    const told = async (query: string) => {
      const headers = { 'last-event-id': '0' }
      const [response] = (await once(get(`${api.api.url}/events${query}`, { headers }), 'response')) as [
        IncomingMessage,
      ]
      api.events.record({ at: 1, type: 'function-changed', function: 'f', source: 'rest' })
      api.events.record(event('a'))
      const text = await read(response, '"source":"rest"}\n\n')
      response.destroy()
      return [...text.matchAll(/"(?:service|function)":"(\w+)"/g)].map(([, of]) => of)
    }
    expect(await told('?function=f')).toEqual(['f', 'f'])
    expect(await told('?function=g&service=a')).toEqual(['a', 'g', 'a'])
  })

  it.each<[string, string, string]>([
    ['resumes after the id it had', '100-1', text(2, 'b') + text(3, 'c')],
    [
      'from an earlier start: tells of the gap',
      'zz-7',
      `event: missed\ndata: {"reason":"events after an earlier start are no longer kept"}\n\n${text(1, 'a')}${text(2, 'b')}${text(3, 'c')}`,
    ],
    [
      'from something else: the same',
      'x',
      `event: missed\ndata: {"reason":"events after an earlier start are no longer kept"}\n\n${text(1, 'a')}${text(2, 'b')}${text(3, 'c')}`,
    ],
  ])('%s', async (_name, last, expected) => {
    const log = new EventLog()
    for (const service of ['a', 'b', 'c']) log.record(event(service))
    const { response } = await follow(log, null, last)
    expect(await read(response, text(3, 'c'))).toBe(`retry: 2000\n\n${expected}`)
  })

  it('tells of events that are no longer kept', async () => {
    const log = new EventLog(2)
    for (const service of ['a', 'b', 'c', 'd', 'e']) log.record(event(service))
    const { response } = await follow(log, null, '100-1')
    const all = await read(response, text(5, 'e'))
    expect(all).toContain('event: missed\ndata: {"reason":"events after that id are no longer kept"}')
    expect(all.endsWith(text(4, 'd') + text(5, 'e'))).toBe(true)
  })

  it('beats in silence, and says when it closes', async () => {
    const followed = await follow(new EventLog(), null, null, 5)
    const all = await read(followed.response, ': alive\n\n: alive\n\n')
    expect(all).toContain('retry: 2000\n\n: alive\n\n')
  })

  it('says when it closes', async () => {
    const followed = await follow(new EventLog(), null, null)
    followed.stream.close()
    expect(await read(followed.response, 'never')).toBe('retry: 2000\n\nevent: closing\ndata: {}\n\n')
  })

  it('drops a reader that does not read, with bounded memory, and no other', async () => {
    const log = new EventLog()
    const responses: ServerResponse[] = []
    const slow = await follow(log, null, null)
    server?.on('request', (_request, response: ServerResponse) => responses.push(response))
    const port = slow.port
    const [quick] = (await once(get({ port, host: '127.0.0.1' }), 'response')) as [IncomingMessage]
    const heard = { tail: '' }
    quick.on('data', (chunk: Buffer) => {
      heard.tail = (heard.tail + chunk.toString()).slice(-1000)
    })
    slow.response.pause()
    expect(slow.stream.readers).toBe(2)
    const big = 'x'.repeat(10_000)
    for (let sent = 1; slow.stream.readers === 2; sent++) {
      log.record(event(big))
      // Lets the quick one read; the slow one's kernel buffers fill up, then its backlog.
      await new Promise((done) => setImmediate(done))
      expect(responses[0]?.writableLength).toBeLessThan(1024 * 1024 + 20_000)
      expect(sent).toBeLessThan(10_000)
    }
    log.record(event('last'))
    expect(await read(slow.response, 'never')).toContain('event: dropped')
    const last = text(log.since(0).at(-1)?.id ?? 0, 'last')
    await vi.waitFor(() => expect(heard.tail.endsWith(last)).toBe(true))
    expect(slow.stream.readers).toBe(1)
  })

  it('carries what control does, over the API', async () => {
    await using rig = await listeningApi()
    const url = `${rig.api.url}/events?service=web`
    const [response] = (await once(get(url), 'response')) as [IncomingMessage]
    await rig.control.createService('other', { port: 79 }, 'rest')
    await rig.control.createService('web', { port: 80 }, 'rest')
    const all = await read(response, '"source":"rest"}\n\n')
    expect(all).toMatch(
      /^retry: 2000\n\nid: \w+-2\nevent: service-created\ndata: \{.*"service":"web".*\}\n\n$/,
    )
    response.destroy()
    expect((await fetch(`${rig.api.url}/events?servce=web`)).status).toBe(400)
  })
})
