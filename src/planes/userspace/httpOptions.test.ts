import { existsSync, mkdtempDisposableSync, readFileSync, renameSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Destination } from '../plane.ts'
import { backend, Client, type Answer } from './httpRig.ts'
import { Rig, transports } from './rig.ts'
import { until } from '../../../lab/until.ts'

describe.each(transports)('options of http services ($transport)', ({ openTransport }) => {
  const http = { protocol: 'http' } as const

  it('each request is in the access log with service and backend, also after the file was moved away', async () => {
    using place = mkdtempDisposableSync(join(tmpdir(), 'torb-log-'))
    const path = join(place.path, 'access.log')
    {
      await using rig = new Rig({ openTransport, accessLog: { path, every: 2 } })
      await rig.service([], { id: 'raw' })
      expect(existsSync(path)).toBe(false)
      const a = await backend(rig)
      const spec = await rig.service([a], { ...http, id: 'a shop' })
      const client = new Client(rig, spec)
      await client.reach(4)
      await until(() => readFileSync(path, 'utf8').split('\n').length === 3)
      renameSync(path, `${path}.1`)
      await rig.plane.reopenLog()
      await rig.put({ ...spec, destinations: [] })
      expect(await client.reach(2)).toEqual(['503', '503'])
      const shown = `${path}.1`
      expect(readFileSync(shown, 'utf8')).toMatch(
        /^(\S+Z 127\.0\.0\.1 GET \/ a%20shop\/b0 200 completed \d+\.\d{3} 0 \d+\n){2}$/,
      )
    }
    expect(readFileSync(path, 'utf8')).toMatch(
      /^\S+Z 127\.0\.0\.1 GET \/ a%20shop\/- 503 answered \d+\.\d{3} 0 0\n$/,
    )
  })

  it('an access log that cannot be written is refused with the service, by a sentence', async () => {
    await using rig = new Rig({ openTransport, accessLog: { path: '/none/log', every: 1 } })
    await expect(rig.service([], http)).rejects.toThrow(
      /the access log \/none\/log cannot be written \(ENOENT.*name another file with --access-log$/,
    )
    await rig.service([])
  })

  it('of a trusted proxy is believed who asks, and for what; affinity goes by that', async () => {
    using place = mkdtempDisposableSync(join(tmpdir(), 'torb-log-'))
    const path = join(place.path, 'access.log')
    await using rig = new Rig({ openTransport, accessLog: { path, every: 1 } })
    const trusted = { trusted_proxies: ['127.0.0.2/31', '10.0.0.0/8'] }
    const spec = await rig.service([await backend(rig), await backend(rig)], {
      ...http,
      http: trusted,
      persistence: { timeout: 60, prefix: 32 },
    })
    const told = {
      'x-forwarded-for': '9.9.9.9, 192.0.2.7, 10.1.2.3',
      'x-forwarded-host': 'shop.example',
      'x-forwarded-proto': 'https',
    }
    const proxy = new Client(rig, spec, '127.0.0.2')
    expect(JSON.parse((await proxy.ask('/head', told)).body)).toMatchObject({
      ...told,
      'x-forwarded-for': '9.9.9.9, 192.0.2.7, 10.1.2.3, 127.0.0.2',
    })
    const from = async (client: string): Promise<string> =>
      (await proxy.ask('/', { 'x-forwarded-for': client })).body
    const [first, second] = [await from('192.0.2.8'), await from('192.0.2.9')]
    expect(second).not.toBe(first)
    expect([await from('192.0.2.8'), await from('192.0.2.9')]).toEqual([first, second])
    // Nothing told: the proxy itself asks. And whoever is not trusted tells nothing.
    expect(JSON.parse((await proxy.ask('/head', { host: 'a' })).body)).toMatchObject({
      'x-forwarded-for': '127.0.0.2',
      'x-forwarded-host': 'a',
      'x-forwarded-proto': 'http',
    })
    const stranger = await new Client(rig, spec, '127.0.0.4').ask('/head', told)
    expect(JSON.parse(stranger.body)).toMatchObject({
      'x-forwarded-for': '127.0.0.4',
      'x-forwarded-proto': 'http',
    })
    await rig.put({ ...spec, http: {} })
    const { body } = await proxy.ask('/head', told)
    expect(JSON.parse(body)).toMatchObject({ 'x-forwarded-for': '127.0.0.2', 'x-forwarded-proto': 'http' })

    // And the access log names who asks, also where it is a request that nobody gets.
    await rig.put({ ...spec, http: trusted, destinations: [] })
    const ipv6 = '2001:db8:1111:2222:3333:4444:5555:6666'
    expect((await proxy.ask('/nobody', { 'x-forwarded-for': `[${ipv6}]:80` })).status).toBe(503)
    const logged = (): string[] => readFileSync(path, 'utf8').split('\n').slice(0, -1)
    await until(() => logged().length === 9)
    expect(logged().map((line) => line.split(' ').slice(1, 4).join(' '))).toEqual([
      '192.0.2.7 GET /head',
      ...['192.0.2.8', '192.0.2.9', '192.0.2.8', '192.0.2.9'].map((client) => `${client} GET /`),
      '127.0.0.2 GET /head',
      '127.0.0.4 GET /head',
      '127.0.0.2 GET /head',
      `${ipv6} GET /nobody`,
    ])
  })

  it('where all are full as many wait as the queue has places; beyond it, or after the wait, it is 503', async () => {
    using place = mkdtempDisposableSync(join(tmpdir(), 'torb-log-'))
    const path = join(place.path, 'access.log')
    await using rig = new Rig({ openTransport, accessLog: { path, every: 1 } })
    const waiting: ServerResponse[] = []
    const elsewhere: ServerResponse[] = []
    const a = { ...(await backend(rig, waiting)), maxConnections: 1 }
    const b = await backend(rig, elsewhere)
    const spec = await rig.service([a], { ...http, http: { queue: 1, wait: '60s' } })
    const ask = (): Promise<Answer> => new Client(rig, spec).ask('/wait')
    /** The backend is busy with it. */
    const busy = async (): Promise<{ asked: Promise<Answer>; answer: ServerResponse | undefined }> => {
      const before = waiting.length
      const asked = ask()
      await until(() => waiting.length === before + 1)
      return { asked, answer: waiting.at(-1) }
    }
    const queue = async () => (await rig.counters()).queue
    /** Two ask for the one place in the queue. */
    const two = async () => {
      const both = [ask(), ask()]
      const refused = await Promise.race(both.map(async (asked, index) => ({ index, answer: await asked })))
      return { refused: refused.answer, queued: both[1 - refused.index] }
    }

    const first = await busy()
    const { refused, queued } = await two()
    expect(await queue()).toEqual({ waiting: 1, overloaded: 1, expired: 0 })
    expect([refused.status, refused.headers['retry-after']]).toEqual([503, '1'])
    first.answer?.end('one')
    expect((await first.asked).body).toBe('one')
    await until(() => waiting.length === 2)
    waiting[1]?.end('two')
    expect(await queued).toMatchObject({ status: 200, body: 'two' })

    // Who goes while he waits leaves his place in the queue.
    const second = await busy()
    const sockets = [rig.client(spec), rig.client(spec)]
    let isRefused = false
    for (const [index, socket] of sockets.entries()) {
      socket.write('GET /wait HTTP/1.1\r\nHost: a\r\n\r\n')
      socket.once('data', (chunk) => {
        isRefused = String(chunk).startsWith('HTTP/1.1 503 ')
        sockets[1 - index]?.resetAndDestroy()
      })
    }
    await until(() => isRefused)
    second.answer?.end()
    await second.asked
    await until(async () => (await rig.counters()).active === 0)
    expect((await rig.counters()).errors).toBe(2)

    const third = await busy()
    const again = await two()
    expect(again.refused.status).toBe(503)
    // A further backend is a place for who waits.
    await rig.put({ ...spec, destinations: [a, b] })
    await until(() => elsewhere.length === 1)
    elsewhere[0]?.end('b')
    expect(await again.queued).toMatchObject({ status: 200, body: 'b' })

    await rig.put({ ...spec, http: { queue: 1 } })
    expect((await ask()).status).toBe(503)
    expect((await rig.counters()).errors).toBe(4)
    expect(await queue()).toEqual({ waiting: 0, overloaded: 3, expired: 1 })
    await rig.plane.zero()
    expect(await queue()).toEqual({ waiting: 0, overloaded: 0, expired: 0 })
    third.answer?.end('three')
    expect((await third.asked).body).toBe('three')

    // Whose they were that went to no backend is in the log.
    const unserved = (): string[] =>
      [...readFileSync(path, 'utf8').matchAll(/ web\/- (\d+ \w+) /g)].map(([, how = '']) => how)
    await until(() => unserved().length === 5)
    expect(unserved()).toEqual([
      '503 answered',
      '503 answered',
      '000 abandoned',
      '503 answered',
      '503 expired',
    ])
  })

  it('by a hash each waits for his own backend, and nobody for whoever is before him', async () => {
    await using rig = new Rig({ openTransport })
    const waiting = new Map<string, ServerResponse[]>()
    const some = async (): Promise<Destination> => {
      const asked: ServerResponse[] = []
      const one = await backend(rig, asked)
      waiting.set(one.id, asked)
      return { ...one, maxConnections: 1 }
    }
    const [a, b] = [await some(), await some()]
    const spec = await rig.service([a, b], { ...http, scheduler: 'sh', http: { queue: 9, wait: '60s' } })
    const flow = { protocol: 'http', sourcePort: 1, destination: spec.address } as const
    const sources = new Map<string | null, string>()
    for (let host = 1; sources.size < 2; host++) {
      const source = `127.0.0.${host}`
      const told = await rig.plane.explain({ ...flow, source, destinationPort: Number(spec.port) })
      sources.set(told.backend, source)
    }
    const ask = (of: Destination): Promise<Answer> => new Client(rig, spec, sources.get(of.id)).ask('/wait')
    const has = (of: Destination, count: number) => until(() => waiting.get(of.id)?.length === count)
    const end = (of: Destination, index: number): void => void waiting.get(of.id)?.[index]?.end(of.id)

    const first = [ask(a), ask(b)]
    await Promise.all([has(a, 1), has(b, 1)])
    const before = ask(a)
    // Most likely one waits once somebody else has been served.
    const idle = await rig.service([await backend(rig)], { ...http, id: 'idle' })
    await new Client(rig, idle).reach(3)
    const behind = ask(b)
    await new Client(rig, idle).reach(3)
    end(b, 0)
    await has(b, 2)
    end(b, 1)
    expect((await behind).body).toBe(b.id)
    end(a, 0)
    await has(a, 2)
    end(a, 1)
    expect((await before).body).toBe(a.id)
    expect((await Promise.all(first)).map(({ body }) => body)).toEqual([a.id, b.id])
  })
})
