import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { ended, Rig, transports } from './rig.ts'
import { until } from '../../../lab/until.ts'
import { freePort } from '../freePort.ts'

const zero = { connections: 0, active: 0, inactive: 0, errors: 0 }

describe.each(transports)('TCP through the userspace plane ($transport)', ({ openTransport }) => {
  it('takes turns by rr and counts', async () => {
    await using rig = new Rig({ openTransport })
    const a = await rig.named()
    const b = await rig.named()
    const spec = await rig.service([a.destination, b.destination])
    const reached = []
    for (let i = 0; i < 4; i++) reached.push(await rig.reach(spec))
    expect(reached).toEqual([a.destination.id, b.destination.id, a.destination.id, b.destination.id])
    await until(async () => (await rig.counters()).active + (await rig.counters()).inactive === 0)
    const counters = await rig.counters()
    expect(counters).toMatchObject({ ...zero, connections: 4, packetsOut: 4, bytesOut: 8 })
    expect(counters.destinations.get(a.destination.id)).toMatchObject({
      ...zero,
      connections: 2,
      connect: { count: 2 },
    })
  })

  it.each([
    { name: 'IPv6', address: '::1', family: 6 as const },
    { name: 'the IPv4 wildcard', address: '0.0.0.0', family: 4 as const },
    { name: 'the IPv6 wildcard', address: '::', family: 6 as const },
  ])('listens on $name', async ({ address, family }) => {
    await using rig = new Rig({ openTransport })
    const a = await rig.named(family === 6 ? '::1' : '127.0.0.1')
    const spec = await rig.service([a.destination], { address, family })
    expect(await rig.reach({ ...spec, address: family === 6 ? '::1' : '127.0.0.9' })).toBe(a.destination.id)
  })

  it('retries a refused backend before the client sees an error, and loses no byte', async () => {
    await using rig = new Rig({ openTransport })
    const dead = rig.destination('127.0.0.1', await freePort())
    const dead2 = rig.destination('127.0.0.1', await freePort())
    const echo = await rig.server((socket) => socket.pipe(socket))
    const spec = await rig.service([dead, dead2, echo.destination])
    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, i) => {
        const client = rig.client(spec)
        // Sent before any backend has answered.
        client.end(`early words ${i}`)
        return ended(client)
      }),
    )
    expect(answers).toEqual(Array.from({ length: 6 }, (_, i) => `early words ${i}`))
    const counters = await rig.counters()
    expect(counters.destinations.get(dead.id)).toMatchObject({ connections: 0, active: 0 })
    expect(counters.errors).toBeGreaterThan(0)
  })

  it('gives up a backend that does not answer in time', async () => {
    await using rig = new Rig({ openTransport })
    const silent = await rig.silent()
    const good = await rig.named()
    const spec = await rig.service([silent, good.destination])
    const answer = rig.reach(spec)
    await until(async () => (await rig.counters()).active === 1)
    rig.pass(4)
    expect(await answer).toBe(good.destination.id)
    expect((await rig.counters()).destinations.get(silent.id)).toMatchObject({ ...zero, errors: 1 })
  })

  it('resets the client where nobody is left', async () => {
    await using rig = new Rig({ openTransport })
    const spec = await rig.service([rig.destination('127.0.0.1', await freePort())])
    expect(await ended(rig.client(spec))).toBe('ECONNRESET')
    const none = await rig.service([], { id: 'none' })
    expect(await ended(rig.client(none))).toBe('ECONNRESET')
    expect(await rig.counters('none')).toMatchObject({ ...zero, errors: 1 })
  })

  it.each(['client', 'backend'])('half-close: the %s ends first and still hears the other', async (first) => {
    await using rig = new Rig({ openTransport })
    let backend: Socket | undefined
    const server = await rig.server((socket) => (backend = socket))
    const spec = await rig.service([server.destination])
    const client = rig.client(spec)
    await until(() => backend !== undefined)
    const [early, late] = first === 'client' ? [client, backend!] : [backend!, client]
    const heardLate = ended(late)
    const heardEarly = ended(early)
    early.end('question')
    expect(await heardLate).toBe('question')
    expect(await rig.counters()).toMatchObject({ active: 0, inactive: 1 })
    late.end('answer')
    expect(await heardEarly).toBe('answer')
    await until(async () => (await rig.counters()).inactive === 0)
    expect(await rig.counters()).toMatchObject({ ...zero, connections: 1 })
  })

  it.each(['to the backend', 'to the client'])(
    'carries 32 MiB %s unchanged, at the pace of a slow reader',
    async (way) => {
      await using rig = new Rig({ openTransport })
      let backend: Socket | undefined
      const server = await rig.server((socket) => (backend = socket.pause()))
      const spec = await rig.service([server.destination])
      const client = rig.client(spec).pause()
      await until(() => backend !== undefined)
      const [from, to] = way === 'to the backend' ? [client, backend!] : [backend!, client]
      const block = randomBytes(1 << 20)
      const blocks = 32
      const sent = createHash('sha256')
      for (let i = 0; i < blocks; i++) {
        // Same bytes in another order, so that a block in the wrong place is seen.
        block.writeUInt32BE(i, 1000)
        sent.update(block)
        from.write(Buffer.from(block))
      }
      from.end()
      // Nobody reads: what the proxy takes ends at what the kernel's buffers and two of its own hold.
      let taken = -1
      await until(async () => {
        const { bytesIn, bytesOut } = await rig.counters()
        const still = taken === bytesIn + bytesOut && taken > 0
        taken = bytesIn + bytesOut
        await new Promise((resolve) => setTimeout(resolve, 20))
        return still
      })
      expect(from.bytesWritten - from.writableLength).toBeLessThan(blocks << 20)
      expect(taken).toBeLessThan(blocks << 19)
      const received = createHash('sha256')
      to.on('data', (chunk) => received.update(chunk))
      to.resume()
      await once(to, 'end')
      expect(received.digest('hex')).toBe(sent.digest('hex'))
    },
    20_000,
  )

  it('a backend that dies mid-transfer ends its own connection only, by RST', async () => {
    await using rig = new Rig({ openTransport })
    const a = await rig.named()
    const b = await rig.named()
    const spec = await rig.service([a.destination, b.destination])
    const clients = [rig.client(spec), rig.client(spec), rig.client(spec), rig.client(spec)]
    await Promise.all(clients.map((client) => once(client, 'data')))
    const victim = [...a.sockets][0]!
    const ends = Promise.race(
      clients.map((client, index) => ended(client).then((text) => [index, text] as const)),
    )
    victim.resetAndDestroy()
    const [index, text] = await ends
    expect(text).toBe('ECONNRESET')
    const rest = clients.filter((_, i) => i !== index)
    for (const client of rest) {
      client.write('still there')
      const [echo] = (await once(client, 'data')) as [Buffer]
      expect(String(echo)).toBe('still there')
    }
    expect(await rig.counters()).toMatchObject({ active: 3, errors: 1 })
  })

  it('a client that resets resets its backend', async () => {
    await using rig = new Rig({ openTransport })
    let code = ''
    const a = await rig.server((socket) => {
      socket.on('error', (error: NodeJS.ErrnoException) => (code = error.code ?? ''))
      socket.resume()
      socket.write('hello')
    })
    const spec = await rig.service([a.destination])
    const client = rig.client(spec)
    await once(client, 'data')
    client.resetAndDestroy()
    await until(() => code !== '')
    expect(code).toBe('ECONNRESET')
  })

  it('ends idle connections by tcp, half-closed ones by tcpfin, and busy ones not', async () => {
    await using rig = new Rig({ openTransport, timeouts: { tcp: 900, tcpfin: 120, udp: 300 } })
    const a = await rig.named()
    const spec = await rig.service([a.destination])
    const quiet = rig.client(spec)
    const half = rig.client(spec)
    const busy = rig.client(spec)
    await Promise.all([quiet, half, busy].map((client) => once(client, 'data')))
    const server = [...a.sockets]
    for (const socket of server) socket.unpipe(socket)
    const ends = [quiet, half, busy].map((client) => ended(client))
    half.end()
    await until(async () => (await rig.counters()).inactive === 1)
    rig.pass(100)
    expect(await rig.counters()).toMatchObject({ active: 2, inactive: 1 })
    rig.pass(30)
    expect(await ends[1]).toBe('ECONNRESET')
    expect(await rig.counters()).toMatchObject({ active: 2, inactive: 0 })
    rig.pass(600)
    const { bytesIn } = await rig.counters()
    busy.write('x')
    await until(async () => (await rig.counters()).bytesIn > bytesIn)
    rig.pass(300)
    expect(await ends[0]).toBe('ECONNRESET')
    expect(await rig.counters()).toMatchObject({ active: 1, inactive: 0 })
  })

  it('weight 0 drains: what is open goes on, nothing new comes', async () => {
    await using rig = new Rig({ openTransport })
    const a = await rig.named()
    const b = await rig.named()
    const spec = await rig.service([a.destination, b.destination])
    const open = rig.client(spec)
    await once(open, 'data')
    await rig.put({ ...spec, destinations: [{ ...a.destination, weight: 0 }, b.destination] })
    for (let i = 0; i < 4; i++) expect(await rig.reach(spec)).toBe(b.destination.id)
    open.write('on')
    expect(String(await once(open, 'data'))).toBe('on')
    await until(async () => (await rig.counters()).destinations.get(b.destination.id)?.active === 0)
    expect((await rig.counters()).destinations.get(a.destination.id)).toMatchObject({
      active: 1,
      connections: 1,
    })
  })

  it('a removed backend, then the removed service, leave open connections alone', async () => {
    await using rig = new Rig({ openTransport, closeWithinMs: 0 })
    const a = await rig.named()
    const spec = await rig.service([a.destination])
    const open = rig.client(spec)
    await once(open, 'data')
    await rig.put({ ...spec, destinations: [] })
    const counters = await rig.counters()
    expect(counters.destinations.size).toBe(0)
    expect(counters).toMatchObject({ active: 1, connections: 1, bytesOut: 2 })
    await rig.plane.withdraw(['web'])
    open.write('on')
    expect(String(await once(open, 'data'))).toBe('on')
    expect(await ended(rig.client(spec))).toBe('ECONNREFUSED')
    open.end()
    await once(open, 'end')
  })

  it('refuses beyond its descriptors and counts it', async () => {
    const complaints: string[] = []
    await using rig = new Rig({
      openTransport,
      bounds: { descriptors: 1 + 2 * 3 },
      log: { info: () => {}, warn: (_, text) => complaints.push(text) },
    })
    const a = await rig.named()
    const spec = await rig.service([a.destination])
    const clients = [rig.client(spec), rig.client(spec), rig.client(spec)]
    await Promise.all(clients.map((client) => once(client, 'data')))
    expect(await rig.reach(spec)).toBe('ECONNRESET')
    expect(await rig.counters()).toMatchObject({ active: 3, errors: 1 })
    expect(complaints).toEqual(['no file descriptors are left for another connection: clients are reset'])
    clients[0]!.end()
    await until(async () => (await rig.counters()).active === 2)
    await until(async () => (await rig.counters()).inactive === 0)
    expect(await rig.reach(spec)).toBe(a.destination.id)
  })

  it('1000 connections that come and go leave nothing', async () => {
    await using rig = new Rig({ openTransport })
    const a = await rig.named()
    const b = await rig.named()
    const spec = await rig.service([a.destination, b.destination], { scheduler: 'lc' })
    await Promise.all(
      Array.from({ length: 20 }, async (_, worker) => {
        for (let i = 0; i < 50; i++) {
          if ((worker + i) % 3 > 0) await rig.reach(spec)
          else {
            const client = rig.client(spec)
            await once(client, 'data')
            client.resetAndDestroy()
          }
        }
      }),
    )
    await until(async () => (await rig.counters()).active + (await rig.counters()).inactive === 0)
    const counters = await rig.counters()
    expect(counters.connections).toBe(1000)
    for (const { destination } of [a, b])
      expect(counters.destinations.get(destination.id)).toMatchObject({ active: 0, inactive: 0 })
  }, 20_000)

  it('says who the client is by PROXY protocol v2, before its first byte', async () => {
    await using rig = new Rig({ openTransport })
    const heard: Buffer[] = []
    const a = await rig.server((socket) => {
      socket.on('data', (chunk: Buffer) => heard.push(chunk))
      socket.on('end', () => socket.end())
    })
    const spec = await rig.service([a.destination], { proxyProtocol: true, address: '127.0.0.7' })
    const client = rig.client(spec)
    client.end('words')
    await once(client, 'connect')
    const port = client.localPort ?? 0
    await ended(client)
    const hex = (value: number): string => value.toString(16).padStart(4, '0')
    expect(Buffer.concat(heard).toString('hex')).toBe(
      `0d0a0d0a000d0a515549540a` +
        `2111000c` +
        `7f000001` +
        `7f000007` +
        hex(port) +
        hex(Number(spec.port)) +
        Buffer.from('words').toString('hex'),
    )
  })
})
