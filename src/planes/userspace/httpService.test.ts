import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { describe, expect, it } from 'vitest'
import type { Destination } from '../plane.ts'
import { backend, Client } from './httpRig.ts'
import { HttpUnserved } from './httpUnserved.ts'
import { HttpUpstreams } from './httpUpstreams.ts'
import { Rig, transports } from './rig.ts'
import { until } from '../../../lab/until.ts'
import { freePort } from '../freePort.ts'

const closedPort = (rig: Rig): Promise<Destination> =>
  freePort().then((port) => rig.destination('127.0.0.1', port))

describe.each(transports)('http services ($transport)', ({ openTransport }) => {
  const http = { protocol: 'http' } as const

  it('each request of one kept-alive connection is scheduled, by weight', async () => {
    await using rig = new Rig({ openTransport })
    const [a, b] = [await backend(rig), await backend(rig)]
    const spec = await rig.service(
      [
        { ...a, weight: 3 },
        { ...b, weight: 1 },
      ],
      { ...http, scheduler: 'wrr' },
    )
    const client = new Client(rig, spec)
    const reached = await client.reach(16)
    expect(reached.filter((id) => id === a.id)).toHaveLength(12)
    expect(reached.filter((id) => id === b.id)).toHaveLength(4)
    expect(client.connections).toBe(1)
    const { destinations, connections } = await rig.counters()
    expect(connections).toBe(16)
    // Connections to backends are kept too.
    expect(destinations.get(a.id)).toMatchObject({ connections: 12, active: 0, connect: { count: 1 } })
  })

  it('Host stays, and what is said of the client is Torb’s', async () => {
    await using rig = new Rig({ openTransport })
    const spec = await rig.service([await backend(rig)], http)
    const lies = { 'x-forwarded-for': '9.9.9.9', 'x-forwarded-host': 'evil', 'x-forwarded-proto': 'gopher' }
    const { body } = await new Client(rig, spec).ask('/head', { host: 'shop.example:8080', ...lies })
    expect(JSON.parse(body)).toMatchObject({
      host: 'shop.example:8080',
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-host': 'shop.example:8080',
      'x-forwarded-proto': 'http',
    })
  })

  it.each([
    ['an absolute target', 'GET http://shop/head HTTP/1.0\r\n\r\n', 'shop'],
    ['no Host', 'GET /head HTTP/1.0\r\n\r\n', ''],
  ])('with %s the backend gets the host that is asked for', async (_, head, host) => {
    await using rig = new Rig({ openTransport })
    const spec = await rig.service([await backend(rig)], http)
    const socket = rig.client(spec)
    socket.write(head)
    let text = ''
    socket.on('data', (chunk) => (text += String(chunk)))
    await until(() => text.includes('}'))
    const told = JSON.parse(text.slice(text.indexOf('{'), text.indexOf('}') + 1)) as Record<string, string>
    expect(told['host']).toBe(host)
    expect(told['x-forwarded-host'] ?? '').toBe(host)
  })

  it('a backend at weight 0 finishes its requests and gets no new ones', async () => {
    await using rig = new Rig({ openTransport })
    const waiting: ServerResponse[] = []
    const a = await backend(rig, waiting)
    const b = await backend(rig)
    const spec = await rig.service([a], http)
    const client = new Client(rig, spec)
    const asked = client.ask('/wait')
    await until(() => waiting.length === 1)
    const draining = { ...spec, destinations: [{ ...a, weight: 0 }, b] }
    await rig.put(draining)
    expect((await rig.counters()).destinations.get(a.id)?.active).toBe(1)
    expect(new Set(await new Client(rig, draining).reach(4))).toEqual(new Set([b.id]))
    waiting[0]?.end('done')
    expect(await asked).toMatchObject({ status: 200, body: 'done' })
    expect(await client.reach(2)).toEqual([b.id, b.id])
    expect((await rig.counters()).destinations.get(a.id)?.active).toBe(0)
  })

  it('backends come and go under load and no request fails', async () => {
    await using rig = new Rig({ openTransport })
    const all = await Promise.all([backend(rig), backend(rig), backend(rig), backend(rig)])
    const spec = await rig.service(all, http)
    const load = { going: true }
    const clients = Array.from({ length: 6 }, async () => {
      const client = new Client(rig, spec)
      const reached: string[] = []
      while (load.going) reached.push(...(await client.reach(1)))
      return reached
    })
    for (let turn = 0; turn < 60; turn++) {
      await rig.put({ ...spec, destinations: all.filter((_, index) => index !== turn % 4) })
      await new Client(rig, spec).reach(2)
    }
    load.going = false
    const reached = (await Promise.all(clients)).flat()
    expect(new Set(reached)).toEqual(new Set(all.map(({ id }) => id)))
    const { active, errors, connections } = await rig.counters()
    expect({ active, errors }).toEqual({ active: 0, errors: 0 })
    expect(connections).toBe(reached.length + 120)
  })

  it('a backend that was removed and one that came for it are never taken for each other', async () => {
    await using rig = new Rig({ openTransport })
    const waiting: ServerResponse[] = []
    const a = await backend(rig, waiting)
    const spec = await rig.service([a], http)
    const first = new Client(rig, spec)
    const asked = first.ask('/wait')
    await until(() => waiting.length === 1)
    for (let turn = 0; turn < 3; turn++) {
      const next = await backend(rig)
      await rig.put({ ...spec, destinations: [next] })
      expect(await new Client(rig, spec).reach(2)).toEqual([next.id, next.id])
    }
    waiting[0]?.end('done')
    expect((await asked).body).toBe('done')
    const last = await backend(rig)
    await rig.put({ ...spec, destinations: [last] })
    expect(await first.reach(3)).toEqual([last.id, last.id, last.id])
  })

  it('max_connections are requests under way; beyond them it is 503', async () => {
    await using rig = new Rig({ openTransport })
    const waiting: ServerResponse[] = []
    const a = { ...(await backend(rig, waiting)), maxConnections: 2 }
    const spec = await rig.service([a], http)
    const clients = [new Client(rig, spec), new Client(rig, spec), new Client(rig, spec)]
    // Idle connections count for nothing.
    for (const client of clients) expect(await client.reach(1)).toEqual([a.id])
    const asked = clients.slice(0, 2).map((client) => client.ask('/wait'))
    await until(() => waiting.length === 2)
    expect(await clients[2]?.reach(1)).toEqual(['503'])
    expect((await rig.counters()).errors).toBe(1)
    for (const answer of waiting) answer.end('done')
    await Promise.all(asked)
    expect(await clients[2]?.reach(1)).toEqual([a.id])
  })

  it('affinity keeps a client’s network on its backend', async () => {
    await using rig = new Rig({ openTransport })
    const spec = await rig.service([await backend(rig), await backend(rig)], {
      ...http,
      persistence: { timeout: 60, prefix: 32 },
    })
    const first = await new Client(rig, spec).reach(3)
    const again = await new Client(rig, spec).reach(3)
    expect(new Set([...first, ...again]).size).toBe(1)
    const other = await new Client(rig, spec, '127.0.0.2').reach(3)
    expect(new Set(other).size).toBe(1)
    expect(other[0]).not.toBe(first[0])
  })

  it('a backend that refuses is counted, and another one asked, also for a POST', async () => {
    await using rig = new Rig({ openTransport })
    const dead = await closedPort(rig)
    const alive = await backend(rig)
    const spec = await rig.service([dead, alive], http)
    const client = new Client(rig, spec)
    expect(await client.reach(4)).toEqual(Array(4).fill(alive.id))
    expect((await client.ask('/', {}, 'x'.repeat(1000))).body).toBe(alive.id)
    const { destinations, connections } = await rig.counters()
    expect(connections).toBe(5)
    expect(destinations.get(dead.id)).toMatchObject({ connections: 0, active: 0 })
    expect(destinations.get(dead.id)?.errors).toBeGreaterThan(0)
    expect(destinations.get(alive.id)).toMatchObject({ connections: 5, active: 0, errors: 0 })
  })

  it('502 where all refuse, 504 where one does not answer the connect, 503 where there is none', async () => {
    await using rig = new Rig({ openTransport, connectTimeoutMs: 50 })
    const spec = await rig.service([await closedPort(rig)], http)
    const client = new Client(rig, spec)
    expect(await client.reach(1)).toEqual(['502'])
    await rig.put({ ...spec, destinations: [await rig.silent()] })
    expect(await client.reach(1)).toEqual(['504'])
    await rig.put({ ...spec, destinations: [] })
    expect(await client.reach(1)).toEqual(['503'])
    expect(await rig.counters()).toMatchObject({ active: 0, errors: 3, connections: 0 })
  })

  it('a backend that ends without an answer is an error, a client that goes is none', async () => {
    await using rig = new Rig({ openTransport })
    const waiting: ServerResponse[] = []
    const spec = await rig.service([await backend(rig, waiting)], http)
    const asked = new Client(rig, spec).ask('/wait')
    await until(() => waiting.length === 1)
    waiting[0]?.destroy()
    expect(await asked).toMatchObject({ status: 502 })
    expect(await rig.counters()).toMatchObject({ connections: 1, active: 0, errors: 1 })
    const gone = rig.client(spec)
    gone.write('GET /wait HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(() => waiting.length === 2)
    gone.resetAndDestroy()
    await until(async () => (await rig.counters()).active === 0)
    expect(await rig.counters()).toMatchObject({ connections: 2, errors: 1 })
  })

  it('clients beyond the descriptors set aside are reset and counted; those that go make room', async () => {
    await using rig = new Rig({ openTransport, bounds: { descriptors: 40 } })
    const a = await backend(rig)
    const spec = await rig.service([a], http)
    const clients = Array.from({ length: 30 }, () => rig.client(spec))
    await until(async () => (await rig.counters()).errors >= 11)
    for (const client of clients) client.resetAndDestroy()
    await until(async () => {
      const answer = await new Client(rig, spec).ask().catch(() => null)
      return answer?.body === a.id
    })
  })

  it('a WebSocket passes, is active as long as it lasts, and outlives its backend’s removal', async () => {
    await using rig = new Rig({ openTransport })
    const spec = await rig.service([await backend(rig)], http)
    const socket = rig.client(spec)
    let text = ''
    socket.on('data', (chunk) => (text += String(chunk)))
    socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
    await until(() => text.includes('\r\n\r\n'))
    expect(text).toMatch(/^HTTP\/1.1 101 /)
    await rig.put({ ...spec, destinations: [] })
    expect((await rig.counters()).active).toBe(1)
    socket.write('still here')
    await until(() => text.endsWith('still here'))
    socket.end()
    await until(async () => (await rig.counters()).active === 0)
    const { bytesIn, bytesOut } = await rig.counters()
    expect(bytesIn).toBeGreaterThan(10)
    expect(bytesOut).toBeGreaterThan(10)
  })

  it('bytes are those of heads and bodies', async () => {
    await using rig = new Rig({ openTransport })
    const a = await backend(rig)
    const spec = await rig.service([a], http)
    const body = 'x'.repeat(300_000)
    await new Client(rig, spec).ask('/', {}, body)
    const { bytesIn, bytesOut, packetsIn, packetsOut } = await rig.counters()
    expect(bytesIn).toBeGreaterThan(body.length + 50)
    expect(bytesIn).toBeLessThan(body.length + 500)
    expect(bytesOut).toBeGreaterThan(a.id.length + 50)
    expect({ packetsIn, packetsOut }).toEqual({ packetsIn: 1, packetsOut: 1 })
  })

  it('of a service that is removed, requests are finished and idle clients let go; its address is free', async () => {
    await using rig = new Rig({ openTransport })
    const waiting: ServerResponse[] = []
    const a = await backend(rig, waiting)
    const spec = await rig.service([a], http)
    const idle = rig.client(spec)
    let text = ''
    idle.on('data', (chunk) => (text += String(chunk)))
    idle.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(() => text.endsWith(a.id))
    // Its next head is on its way: it is still answered, and then told to go.
    const asking = rig.client(spec)
    let answer = ''
    asking.on('data', (chunk) => (answer += String(chunk)))
    asking.write('GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n')
    await until(() => answer.endsWith(a.id))
    const asked = new Client(rig, spec).ask('/wait')
    await until(() => waiting.length === 1)
    const ended = once(idle, 'end')
    await rig.plane.withdraw(['web'])
    await ended
    asking.write('Host: a\r\n\r\n')
    await once(asking, 'end')
    expect(answer.match(/HTTP\/1.1 200/g)).toHaveLength(2)
    expect(answer).toContain('Connection: close')
    waiting[0]?.end('done')
    expect(await asked).toMatchObject({ status: 200, body: 'done', headers: { connection: 'close' } })
    const again = await rig.service([a], { ...http, address: spec.address, port: Number(spec.port) })
    expect(await new Client(rig, again).reach(1)).toEqual([a.id])
  })

  it('an address that a tcp service has is refused, and the other way round', async () => {
    await using rig = new Rig({ openTransport })
    const tcp = await rig.service([], { id: 'raw' })
    await expect(rig.service([], { ...http, port: tcp.port })).rejects.toThrow(
      `service web: cannot listen on http 127.0.0.1:${tcp.port} (EADDRINUSE)`,
    )
    const { port } = await rig.service([], { ...http, id: 'site' })
    await expect(rig.service([], { port })).rejects.toThrow('(EADDRINUSE)')
  })

  it.each([
    ['PROXY protocol', { proxyProtocol: true }, 'PROXY protocol over http'],
    ['one-packet', { flags: 4 }, 'the flag one-packet over http'],
  ])('%s is refused', async (_, rest, text) => {
    await using rig = new Rig({ openTransport })
    await expect(rig.service([], { ...http, ...rest })).rejects.toThrow(text)
  })

  it('too few descriptors are refused by a sentence, and more of them help', async () => {
    await using rig = new Rig({ openTransport, bounds: { descriptors: 40 } })
    for (let n = 0; n < 9; n++) await rig.service([], { id: `tcp${n}` })
    await expect(rig.service([], http)).rejects.toThrow('of 40 file descriptors too few are left for http')
    await rig.plane.withdraw(['tcp1', 'tcp2'])
    await rig.service([], http)
  })

  it.each(['tcp', 'http'] as const)(
    'explain of %s finds it and foretells the next request',
    async (protocol) => {
      await using rig = new Rig({ openTransport })
      const spec = await rig.service([await backend(rig), await backend(rig)], http)
      const flow = { protocol, source: '127.0.0.1', sourcePort: 1, destination: spec.address }
      const told = await rig.plane.explain({ ...flow, destinationPort: Number(spec.port) })
      expect(told.service).toBe('web')
      expect(told.steps.join('\n')).toContain('Each request is scheduled for itself')
      expect(await new Client(rig, spec).reach(1)).toEqual([told.backend])
    },
  )
})

it('what is unserved has the name of its service in the log until the number is another one’s', () => {
  const unserved = new HttpUnserved(10, 2)
  expect([unserved.add('a/-'), unserved.add('b/-'), unserved.add('c/-')]).toEqual([10, 11, -1])
  unserved.remove(10)
  expect(unserved.nameOf(10)).toBe('a/-')
  expect([unserved.add('c/-'), unserved.nameOf(10), unserved.nameOf(9)]).toEqual([10, 'c/-', null])
})

it('a number is given to another backend only after the last request by it', () => {
  const retired: number[] = []
  const upstreams = new HttpUpstreams(2, (number) => retired.push(number))
  const at = (port: number) => ({ address: '127.0.0.1', port })
  expect([upstreams.add(at(1), ''), upstreams.add(at(2), ''), upstreams.add(at(3), '')]).toEqual([0, 1, -1])
  upstreams.begun(0)
  upstreams.remove(0)
  expect([upstreams.add(at(3), ''), retired]).toEqual([-1, [0]])
  upstreams.ended(0)
  // Once more, for connections that came into the pool in between.
  expect([upstreams.add(at(3), ''), retired]).toEqual([0, [0, 0]])
  expect(upstreams.get(0)).toMatchObject(at(3))
})
