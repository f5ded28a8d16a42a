import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { describe, expect, it } from 'vitest'
import { ringMissing } from '../../kernel/uring/probe.ts'
import { portable } from '../../proxy/portable/transport.ts'
import type { Flow, VirtualService } from '../plane.ts'
import { noRates } from './estimator.ts'
import { ended, Rig, transports } from './rig.ts'
import { until } from '../../../lab/until.ts'
import { freePort } from '../freePort.ts'

async function observed(rig: Rig): Promise<VirtualService[]> {
  const specs = []
  for await (const [, spec] of rig.plane.observe('all')) specs.push(spec)
  return specs
}

const failing = (code: string): Rig =>
  new Rig({
    openTransport: () => ({
      ...portable,
      listenTcp: () => Promise.reject(Object.assign(new Error(`listen ${code}`), { code })),
    }),
  })

describe.each(transports)('apply ($transport)', ({ openTransport }) => {
  it.each(['tcp', 'udp'] as const)(
    '%s: a taken port is refused with the cause, and nothing stays behind',
    async (protocol) => {
      await using rig = new Rig({ openTransport })
      const port = await freePort()
      const holder =
        protocol === 'tcp'
          ? createServer().listen(port, '127.0.0.1')
          : createSocket('udp4').bind(port, '127.0.0.1')
      await once(holder, 'listening')
      const refusal = await rig.service([], { protocol, port }).catch((error: unknown) => error)
      expect(refusal).toMatchObject({ code: 'refused' })
      expect(String(refusal)).toContain(
        `service web: cannot listen on ${protocol} 127.0.0.1:${port} (EADDRINUSE)`,
      )
      expect(await observed(rig)).toEqual([])
      expect((await rig.plane.counters()).size).toBe(0)
      holder.close()
      await once(holder, 'close')
      expect(await rig.service([], { protocol, port })).toMatchObject({ port })
    },
  )

  it('an address of nobody is refused with the cure', async () => {
    await using rig = new Rig({ openTransport })
    // 192.0.2.0/24 is for documentation (RFC 5737): no host has it.
    await expect(rig.service([], { address: '192.0.2.9', port: 8080 })).rejects.toThrow(
      'service web: cannot listen on tcp 192.0.2.9:8080 (EADDRNOTAVAIL): no interface of this host has the address; ' +
        'let Torb add it (-vipi lo), add it yourself (`ip address add 192.0.2.9/32 dev lo`), or give the service one that it has',
    )
    expect(await observed(rig)).toEqual([])
  })

  it.each([
    ['EACCES', 'CAP_NET_BIND_SERVICE'],
    ['EMFILE', 'ulimit -n'],
    ['ENFILE', 'fs.file-max'],
    ['EAFNOSUPPORT', 'IPv6'],
    ['EINVAL', 'listen EINVAL'],
  ])('%s names a cure', async (code, cure) => {
    await using rig = failing(code)
    await expect(rig.service([], { port: 80 })).rejects.toThrow(cure)
    expect(await observed(rig)).toEqual([])
  })

  it('no descriptor left for a listener is refused before the system is asked', async () => {
    await using rig = new Rig({ openTransport, bounds: { descriptors: 2 } })
    await rig.service([], { id: 'a' })
    await rig.service([], { id: 'b' })
    await expect(rig.service([], { id: 'c' })).rejects.toThrow('the process may have 2 file descriptors')
    await rig.plane.withdraw(['a'])
    await rig.service([], { id: 'c' })
    expect((await observed(rig)).map(({ id }) => id)).toEqual(['b', 'c'])
  })

  it.each([
    ['a firewall mark', { fwmark: 1 }],
    ['any port', { port: 'any' }],
    ['sctp', { protocol: 'sctp', port: 80 }],
    ['PROXY protocol over udp', { proxyProtocol: true, protocol: 'udp' }],
    ['attachments', { attach: { switches: [], routers: [], groups: [] } }],
  ] as const)('%s is refused', async (_, rest) => {
    await using rig = new Rig({ openTransport })
    await expect(rig.service([], rest)).rejects.toMatchObject({ code: 'refused' })
    expect(await observed(rig)).toEqual([])
  })

  it('a backend by dr, or the service itself as backend, is refused', async () => {
    await using rig = new Rig({ openTransport })
    const port = await freePort()
    await expect(
      rig.service([rig.destination('127.0.0.1', 1, { forwarding: 'dr' })], { port }),
    ).rejects.toThrow('forwarding "dr"')
    await expect(rig.service([rig.destination('127.0.0.1', port)], { port })).rejects.toThrow(
      'the service itself',
    )
  })

  it('a refused change leaves the service as it was; the others of the batch are done', async () => {
    await using rig = new Rig({ openTransport })
    const a = await rig.named()
    const spec = await rig.service([a.destination])
    const bad = { ...spec, destinations: [{ ...a.destination, forwarding: 'tunnel' as const }] }
    const other = { ...spec, id: 'other', port: await freePort() }
    const outcomes = await rig.plane.apply([
      { key: 'web', before: spec, after: bad },
      { key: 'other', before: null, after: other },
    ])
    expect(outcomes.map(({ ok }) => ok)).toEqual([false, true])
    expect(await observed(rig)).toEqual([spec, other])
    expect(await rig.reach(spec)).toBe(a.destination.id)
    expect(await rig.reach(other)).toBe(a.destination.id)
  })

  it('a service takes over the address of one that goes in the same batch', async () => {
    await using rig = new Rig({ openTransport })
    const spec = await rig.service([])
    const outcomes = await rig.plane.apply([
      { key: 'new', before: null, after: { ...spec, id: 'new' } },
      { key: 'web', before: spec, after: null },
    ])
    expect(outcomes).toEqual([{ ok: true }, { ok: true }])
    expect((await observed(rig)).map(({ id }) => id)).toEqual(['new'])
  })

  it('changes of one key in one batch happen in order', async () => {
    await using rig = new Rig({ openTransport })
    const spec = await rig.service([])
    const outcomes = await rig.plane.apply([
      { key: 'web', before: spec, after: null },
      { key: 'web', before: null, after: { ...spec, scheduler: 'lc' } },
    ])
    expect(outcomes).toEqual([{ ok: true }, { ok: true }])
    expect((await observed(rig)).map(({ scheduler }) => scheduler)).toEqual(['lc'])
  })

  it('another port: the new one listens before the old one ends, and stays where it cannot', async () => {
    await using rig = new Rig({ openTransport })
    const a = await rig.named()
    const spec = await rig.service([a.destination])
    const moved = { ...spec, port: await freePort() }
    await rig.put(moved)
    expect(await rig.reach(moved)).toBe(a.destination.id)
    expect(await rig.reach(spec)).toBe('ECONNREFUSED')
    const taken = await rig.named()
    await expect(rig.put({ ...moved, port: taken.destination.port })).rejects.toThrow('EADDRINUSE')
    expect(await rig.reach(moved)).toBe(a.destination.id)
  })

  it('observes and counts only the keys asked for', async () => {
    await using rig = new Rig({ openTransport })
    const a = rig.destination('127.0.0.1', 9)
    const web = await rig.service([a])
    await rig.service([], { id: 'other' })
    const found = []
    for await (const entry of rig.plane.observe(['web', 'nobody'])) found.push(entry)
    expect(found).toEqual([['web', web]])
    const counters = await rig.plane.counters(['web', 'nobody'])
    expect([...counters.keys()]).toEqual(['web'])
    expect(counters.get('web')).toMatchObject({ connections: 0, active: 0 })
    expect(counters.get('web')?.destinations.get(a.id)).toEqual({
      connections: 0,
      packetsIn: 0,
      packetsOut: 0,
      bytesIn: 0,
      bytesOut: 0,
      active: 0,
      inactive: 0,
      errors: 0,
      rates: noRates,
    })
  })

  it('knows how much passes a second: service and backends, also one that left', async () => {
    await using rig = new Rig({ openTransport })
    const [a, b] = [await rig.named(), await rig.named()]
    const spec = await rig.service([a.destination, b.destination])
    await Promise.all([1, 2, 3, 4].map(() => rig.reach(spec)))
    await until(async () => (await rig.counters()).active + (await rig.counters()).inactive === 0)
    rig.pass(2)
    const { rates = noRates, destinations } = await rig.counters()
    expect(rates).toMatchObject({ connections: expect.closeTo(rates.packetsOut), packetsIn: 0, bytesIn: 0 })
    expect(rates.bytesOut).toBeCloseTo(2 * rates.connections)
    expect(rates.connections).toBeGreaterThan(0)
    for (const { id } of spec.destinations)
      expect(destinations.get(id)?.rates?.connections).toBeCloseTo(rates.connections / 2)

    await rig.put({ ...spec, destinations: [b.destination] })
    expect((await rig.counters()).rates).toEqual(rates)
    await rig.plane.zero(['web'])
    expect(await rig.counters()).toMatchObject({ connections: 0, bytesOut: 0, rates: noRates })
    await rig.reach(spec)
    rig.pass(1000)
    rig.pass(1000)
    expect(await rig.counters()).toMatchObject({ connections: 1, rates: noRates })
  })
})

it.each(transports)('facts tell what carries TCP: $transport', async ({ transport, openTransport }) => {
  await using rig = new Rig({ openTransport })
  expect(await rig.plane.facts()).toEqual(
    transport === 'ring' ? { tcp: 'io_uring' } : { tcp: 'node:net', io_uring: 'not asked for' },
  )
})

it('facts tell why the ring was not taken: also where the probe had one', async () => {
  const lines: string[] = []
  await using rig = new Rig({
    openRing: () => Promise.reject(new Error('no memory for a ring of this size')),
    log: { info: (text) => lines.push(text), warn: () => {} },
  })
  const why = (await ringMissing()) ?? 'no memory for a ring of this size'
  expect(await rig.plane.facts()).toEqual({ tcp: 'node:net', io_uring: why })
  expect(lines).toEqual([expect.stringContaining(why)])
})

it('tells the log which transport it took, and why no better one', async () => {
  const lines: string[] = []
  await using rig = new Rig({ log: { info: (text) => lines.push(text), warn: () => {} } })
  await rig.plane.open()
  const { tcp } = await rig.plane.facts()
  expect(lines).toHaveLength(1)
  expect(lines[0]).toContain(`TCP goes over ${String(tcp)}`)
})

describe.each(transports)('close ($transport)', ({ openTransport }) => {
  it('lets connections finish, then ends the rest', async () => {
    const rig = new Rig({ openTransport, closeWithinMs: 60_000 })
    const a = await rig.named()
    const spec = await rig.service([a.destination])
    const client = rig.client(spec)
    await once(client, 'data')
    const closing = rig.plane.close()
    await until(async () => (await rig.reach(spec)) === 'ECONNREFUSED')
    client.write('last words')
    expect(String(await once(client, 'data'))).toBe('last words')
    client.end()
    await closing
    await expect(rig.put(spec)).rejects.toThrow('closing')
    await rig[Symbol.asyncDispose]()
  })

  it('resets what is open beyond the limit', async () => {
    const rig = new Rig({ openTransport, closeWithinMs: 0 })
    const a = await rig.named()
    const spec = await rig.service([a.destination])
    const client = rig.client(spec)
    await once(client, 'data')
    const end = ended(client)
    await rig.plane.close()
    expect(await end).toBe('ECONNRESET')
    await rig[Symbol.asyncDispose]()
  })
})

describe.each(transports)('explain ($transport)', ({ openTransport }) => {
  const flow = (spec: VirtualService, rest: Partial<Flow> = {}): Flow => ({
    protocol: 'tcp',
    source: '127.0.0.1',
    sourcePort: 40_000,
    destination: spec.address,
    destinationPort: Number(spec.port),
    ...rest,
  })

  it('says which backend and why, and moves nothing', async () => {
    await using rig = new Rig({ openTransport })
    const a = await rig.named()
    const b = await rig.named()
    const spec = await rig.service(
      [{ ...a.destination, weight: 0 }, b.destination, { ...b.destination, id: 'b9', weight: 1 }],
      {
        scheduler: 'wlc',
      },
    )
    const { address, port } = b.destination
    expect(await rig.plane.explain(flow(spec))).toEqual({
      service: 'web',
      backend: b.destination.id,
      steps: [
        `Service web listens on tcp 127.0.0.1:${spec.port}.`,
        `backend b0 (127.0.0.1:${a.destination.port}) takes no new connections: its weight is 0.`,
        `Scheduler wlc chooses backend b1 (${address}:${port}) of 2: weight 100, 0 active and 0 inactive connections.`,
      ],
    })
  })

  it('foretells what the next client gets', async () => {
    await using rig = new Rig({ openTransport })
    const destinations = [
      (await rig.named()).destination,
      (await rig.named()).destination,
      (await rig.named()).destination,
    ]
    for (const scheduler of ['rr', 'wrr', 'twos', 'lc', 'sh', 'fo'] as const) {
      const spec = await rig.service(destinations, { scheduler, id: scheduler })
      for (let i = 0; i < 4; i++) {
        const first = await rig.plane.explain(flow(spec))
        expect((await rig.plane.explain(flow(spec))).backend).toBe(first.backend)
        expect(await rig.reach(spec)).toBe(first.backend)
        await until(
          async () => (await rig.counters(scheduler)).active + (await rig.counters(scheduler)).inactive === 0,
        )
      }
    }
  })

  it('knows affinity, the wildcard, limits and nobody', async () => {
    await using rig = new Rig({ openTransport })
    const a = await rig.named()
    const spec = await rig.service([{ ...a.destination, maxConnections: 1 }], {
      address: '0.0.0.0',
      persistence: { timeout: 60, prefix: 24 },
    })
    const asked = flow(spec, { destination: '127.0.0.1' })
    expect((await rig.plane.explain(asked)).steps[1]).toBe(
      'Affinity knows nothing of 127.0.0.0/24 yet; it will stay where it goes now.',
    )
    const client = rig.client({ ...spec, address: '127.0.0.1' })
    await once(client, 'data')
    const { backend, steps } = await rig.plane.explain(asked)
    expect(backend).toBe(null)
    expect(steps.slice(1)).toEqual([
      `Affinity has 127.0.0.0/24 at backend b0 (127.0.0.1:${a.destination.port}), which takes no new connections.`,
      `backend b0 (127.0.0.1:${a.destination.port}) takes no new connections: it has 1 of at most 1 connections.`,
      'No backend is left; a client is refused.',
    ])
    client.end()
    await until(async () => (await rig.counters()).active + (await rig.counters()).inactive === 0)
    expect((await rig.plane.explain(asked)).backend).toBe('b0')
    expect(await rig.plane.explain({ ...asked, protocol: 'udp' })).toEqual({
      service: null,
      backend: null,
      steps: [`No service listens on udp 127.0.0.1:${spec.port}.`],
    })
  })
})
