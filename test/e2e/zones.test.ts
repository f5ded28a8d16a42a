import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { EventLog } from '../../src/control/events.ts'
import { FunctionTable } from '../../src/control/functionTable.ts'
import type { GatewayOptions } from '../../src/gateway/gateway.ts'
import {
  named,
  startInstance,
  startTestGateway,
  type Instance,
  type TestGateway,
} from '../../src/gateway/gatewaySuite.ts'
import { nodeMark, signHop } from '../../src/gateway/hop.ts'
import { ringMissing } from '../../src/kernel/uring/probe.ts'
import { MemoryStore } from '../fixtures/memoryStore.ts'
import { freePort } from '../../src/planes/freePort.ts'

const key = Buffer.alloc(32, 'k')
const now = (): number => Math.floor(Date.now() / 1000)

const noRing = await ringMissing()
if (noRing !== null) console.warn(`zones are not tested on io_uring: ${noRing}`)

/** What came to an instance. */
interface Seen {
  readonly url: string | undefined
  readonly headers: NodeJS.Dict<string | string[]>
}

/** An instance that tells what came to it. */
async function telling(): Promise<Instance> {
  return await startInstance((request, response) => {
    request.resume()
    response.setHeader('X-Final-Host', 'its own')
    response.end(JSON.stringify({ url: request.url, headers: request.headers } satisfies Seen))
  })
}

interface Fleet extends AsyncDisposable {
  readonly all: readonly TestGateway[]
  /** As instances of functions. */
  readonly texts: readonly string[]
}

/** Gateways named node-1, node-2 and so on, of zone-1, zone-2 and so on, that know each other and `further` ones. */
async function gateways(
  count: number,
  options: Partial<GatewayOptions> = {},
  further: readonly string[] = [],
): Promise<Fleet> {
  const ports = await Promise.all(Array.from({ length: count }, () => freePort()))
  const texts = ports.map((port) => `127.0.0.1:${port}`)
  const all = await Promise.all(
    ports.map((port, n) =>
      startTestGateway({
        port,
        zones: [`zone-${n + 1}`],
        node: `node-${n + 1}`,
        gateways: [...texts, ...further],
        hopKey: key,
        ...options,
      }),
    ),
  )
  const end = async (): Promise<void> => {
    await Promise.all(all.map((gateway) => gateway[Symbol.asyncDispose]()))
  }
  return { all, texts, [Symbol.asyncDispose]: end }
}

/** From the first gateway over the second one to an instance. */
async function forwards(fleet: Fleet): Promise<void> {
  await using instance = await telling()
  const [near, far] = fleet.all as [TestGateway, TestGateway]
  await near.put('f', { ips: fleet.texts.slice(1), weights: [1] })
  await far.put('f', { ips: [instance.text], weights: [1] })
  const answer = await near.get('/function/f/a%2Fb/c?x=/1', {
    'X-Forwarded-For': '192.0.2.66',
    'X-Final-Host': 'made up',
    Via: '1.1 kept',
  })
  expect(answer.status).toBe(200)
  const { url, headers } = JSON.parse(answer.body) as Seen
  expect(url).toBe('/a%2Fb/c?x=/1')
  expect(headers).toMatchObject({
    host: instance.text,
    'x-forwarded-for': 'node-2, node-1, 127.0.0.1',
    'x-final-host': instance.text,
    'x-forwarded-host-node-1': expect.stringMatching(/^\d{10}\.\d{7}$/),
    'x-forwarded-host-node-2': expect.stringMatching(/^\d{10}\.\d{7}$/),
    via: expect.stringContaining('1.1 kept'),
  })
  expect(headers).not.toHaveProperty('x-torb-hop')
  const values = (name: string): string[] =>
    answer.rawHeaders.flatMap((text, i) =>
      i % 2 === 0 && text.toLowerCase() === name ? [answer.rawHeaders[i + 1] ?? ''] : [],
    )
  // The outer value first.
  expect(values('x-forwarded-for')).toEqual(['node-1', 'node-2'])
  expect(values('x-final-host')).toEqual([fleet.texts[1], instance.text, 'its own'])
  expect(values('x-forwarded-host-node-1')).toEqual([headers['x-forwarded-host-node-1']])
  expect(values('x-forwarded-host-node-2')).toEqual([headers['x-forwarded-host-node-2']])
}

it.skipIf(noRing !== null)('zones on io_uring forward to each other', async () => {
  await using fleet = await gateways(2, { transport: 'ring' })
  await forwards(fleet)
})

describe('zones', () => {
  const stop = new AsyncDisposableStack()
  let fleet: Fleet
  let near: TestGateway
  /** The one is known as a gateway, the other is not. */
  let other: Instance
  let local: Instance

  beforeAll(async () => {
    other = stop.use(await telling())
    local = stop.use(await telling())
    fleet = stop.use(await gateways(3, {}, [other.text]))
    ;[near] = fleet.all as [TestGateway]
  })
  afterAll(() => stop.disposeAsync())

  it('forwards to the gateway of another zone, with the headers of the edgerun balancer', async () => {
    await forwards(fleet)
  })

  it('leaves path and query to the other gateway, and signs the hop', async () => {
    await near.put('path', { ips: [other.text], weights: [1] })
    const { url, headers } = JSON.parse((await near.get('/function/path/a?b')).body) as Seen
    expect(url).toBe('/function/path/a?b')
    expect(headers['host']).toBe(other.text)
    expect(headers['x-torb-hop']).toMatch(new RegExp(`^${nodeMark('node-1')};\\d+;[\\w-]{43}$`))
  })

  it('shares each of two zones out over both; what came from the other zone stays, or ends with 508', async () => {
    await using a = await named('A')
    await using b = await named('B')
    const [one, two, three] = fleet.all as [TestGateway, TestGateway, TestGateway]
    const [first = '', second = '', third = ''] = fleet.texts
    await one.put('f', { ips: [a.text, second], weights: [2, 1] })
    await two.put('f', { ips: [b.text, first], weights: [2, 1] })
    expect(await bodies(one, 30)).toBe('AAB'.repeat(10))
    expect(await bodies(two, 30)).toBe('BBA'.repeat(10))
    // One further gateway it may pass, not two.
    await one.put('far', { ips: [second], weights: [1] })
    await two.put('far', { ips: [third], weights: [1] })
    await three.put('far', { ips: [a.text], weights: [1] })
    expect((await two.get('/function/far')).body).toBe('A')
    expect(await one.get('/function/far')).toMatchObject({
      status: 508,
      body: 'error selecting server: only gateways have this function, and the request has passed as many as it may - in zone-2',
    })
  })

  it.each([
    { told: 'signed, up to the limit', count: 3, options: { hopLimit: 2 }, ends: 'zone-3' },
    { told: 'signed, back where it began', count: 2, options: { hopLimit: 8 }, ends: 'zone-1' },
    { told: 'not signed', count: 2, options: { hopLimit: 8, hopKey: null }, ends: 'zone-1' },
    {
      told: 'bare and believed',
      count: 2,
      options: { hopLimit: 8, hopKey: null, unsignedPeers: ['127.0.0.1'] },
      ends: 'zone-1',
    },
  ])('ends a loop of $count gateways with 508, hops being $told', async ({ count, options, ends }) => {
    await using fleet = await gateways(count, options)
    for (const [n, gateway] of fleet.all.entries())
      await gateway.put('f', { ips: [fleet.texts[(n + 1) % count] ?? ''], weights: [1] })
    const answer = await fleet.all[0]?.get('/function/f')
    expect(answer?.status).toBe(508)
    expect(answer?.body).toMatch(new RegExp(`- in ${ends}$`))
    const loops = fleet.all.map(({ gateway }) => gateway.state('f')?.loops)
    expect(loops).toEqual(fleet.all.map((_, n) => (ends === `zone-${n + 1}` ? 1 : 0)))
  })

  it('ends a loop also where keys differ', async () => {
    const ports = [await freePort(), await freePort()]
    const texts = ports.map((port) => `127.0.0.1:${port}`)
    const common = { gateways: texts, hopLimit: 8 }
    await using one = await startTestGateway({ ...common, port: ports[0] ?? 0, hopKey: key })
    const other = { node: 'node-2', hopKey: Buffer.alloc(32, 'x') }
    await using two = await startTestGateway({ ...common, ...other, port: ports[1] ?? 0 })
    await one.put('f', { ips: texts.slice(1), weights: [1] })
    await two.put('f', { ips: texts.slice(0, 1), weights: [1] })
    expect((await one.get('/function/f')).status).toBe(508)
    expect([one, two].map(({ gateway }) => gateway.state('f')?.loops)).toEqual([1, 0])
  })

  describe('a header that says that a gateway has forwarded the request', () => {
    const path = '/function/f/x?y'
    const request = `GET\n${path}`
    const mark = nodeMark('node-9')
    const sign = (change: { key?: Buffer; of?: string; at?: number } = {}): string =>
      signHop(change.key ?? key, [mark], now() + (change.at ?? 0), change.of ?? request)
    const forged: Readonly<Record<string, () => Record<string, string>>> = {
      bare: () => ({ 'X-Forwarded-For': 'node-9, 192.0.2.1' }),
      'of another key': () => ({ 'X-Torb-Hop': sign({ key: Buffer.alloc(32, 'x') }) }),
      'of another path': () => ({ 'X-Torb-Hop': sign({ of: 'GET\n/function/f/z' }) }),
      'of another method': () => ({ 'X-Torb-Hop': sign({ of: `POST\n${path}` }) }),
      'too old': () => ({ 'X-Torb-Hop': sign({ at: -60 }) }),
      'of the future': () => ({ 'X-Torb-Hop': sign({ at: 60 }) }),
      'with further hops': () => ({ 'X-Torb-Hop': sign().replace(mark, `${mark}.${mark}`) }),
      'of no form': () => ({ 'X-Torb-Hop': `${sign()}=` }),
      empty: () => ({ 'X-Torb-Hop': '', 'X-Forwarded-For': '' }),
    }

    const seenBy = async (gateway: TestGateway, headers: Record<string, string>): Promise<Seen> =>
      JSON.parse((await gateway.get(path, headers)).body) as Seen
    const chain = { 'X-Forwarded-For': 'node-9, 192.0.2.1' }

    it('is passed over where nobody vouches for it', async () => {
      await near.put('f', { ips: [other.text, local.text], weights: [1, 1] })
      for (const [what, headers] of Object.entries(forged)) {
        expect([what, (await seenBy(near, headers())).headers['host']]).toEqual([what, other.text])
        const seen = await seenBy(near, headers())
        expect([what, seen.headers['host']]).toEqual([what, local.text])
        expect([what, seen.headers['x-forwarded-for']]).toEqual([what, 'node-1, 127.0.0.1'])
        expect(seen.headers).not.toHaveProperty('x-torb-hop')
      }
    })

    it('keeps it from further gateways where it is signed', async () => {
      await near.put('f', { ips: [other.text, local.text], weights: [1, 1] })
      for (let n = 0; n < 4; n++) {
        const { headers } = await seenBy(near, { ...chain, 'X-Torb-Hop': sign() })
        expect(headers).toMatchObject({ host: local.text, 'x-forwarded-for': 'node-1, node-9, 192.0.2.1' })
        expect(headers).not.toHaveProperty('x-torb-hop')
      }
    })

    it.each([
      { who: 'a gateway that does not sign', isBelieved: true, peer: '127.0.0.1' },
      { who: 'somebody else', isBelieved: false, peer: '192.0.2.9' },
    ])('is believed bare: $isBelieved, where it comes from $who', async ({ isBelieved, peer }) => {
      await using gateway = await startTestGateway({ gateways: [other.text], unsignedPeers: [peer] })
      await gateway.put('f', { ips: [other.text, local.text], weights: [1, 1] })
      const [first, second] = [await seenBy(gateway, chain), await seenBy(gateway, chain)]
      expect([first, second].map(({ headers }) => headers['host'])).toEqual([
        isBelieved ? local.text : other.text,
        local.text,
      ])
      const told = isBelieved ? 'node-9, 192.0.2.1' : '127.0.0.1'
      expect(second.headers['x-forwarded-for']).toBe(`node-1, ${told}`)
    })
  })

  it.each([
    { zones: ['zone-a', 'zone-b'], decides: 'A' },
    { zones: ['zone-b', 'zone-a'], decides: 'B' },
  ])('serves several zones, of which the first that has a function decides: $zones', async (given) => {
    const { zones, decides } = given
    await using a = await named('A')
    await using b = await named('B')
    const table = await FunctionTable.open({
      store: new MemoryStore(),
      zones,
      target: near.gateway,
      events: new EventLog(),
      now: Date.now,
      resolve: (name) => Promise.reject(new Error(`${name} is asked for`)),
      isOwnListener: () => false,
    })
    const source = table.source('etcd')
    const put = (zone: string, name: string, { text }: Instance): void =>
      source.put(`golb/function/${zone}/${name}`, zone, name, { ips: [text], weights: [1] })
    put('zone-a', 'both', a)
    put('zone-b', 'both', b)
    put('zone-a', 'a', a)
    put('zone-b', 'b', b)
    await table.published()
    const answers = await Promise.all(['both', 'a', 'b'].map((name) => near.get(`/function/${name}`)))
    expect(answers.map(({ body }) => body)).toEqual([decides, 'A', 'B'])
    const [first = '', second = ''] = zones
    source.remove(`golb/function/${first}/both`, first, 'both')
    await table.published()
    expect((await near.get('/function/both')).body).toBe(decides === 'A' ? 'B' : 'A')
    source.remove(`golb/function/${second}/both`, second, 'both')
    await table.published()
    expect((await near.get('/function/both')).status).toBe(404)
    await table.close()
  })
})

async function bodies(gateway: TestGateway, count: number): Promise<string> {
  let all = ''
  for (let i = 0; i < count; i++) all += (await gateway.get('/function/f')).body
  return all
}
