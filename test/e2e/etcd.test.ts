import { once } from 'node:events'
import { mkdtempDisposableSync, writeFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Etcd, etcdMissing } from '../../lab/etcd.ts'
import { get, named } from '../../src/gateway/gatewaySuite.ts'
import { Writer } from '../../src/sources/etcd/writer.ts'
import { followEtcd, keyOf, routeByEtcd, valueOf } from '../etcdRig.ts'
import { until } from '../../lab/until.ts'
import { request, runTorb } from '../rig.ts'
import { freePort } from '../../src/planes/freePort.ts'

const missing = etcdMissing()
/** Asks often whether all is known, so that a test does not wait for it. */
const proofMs = 100
const one = (weight = 1): string => valueOf(['127.0.0.1:9000'], [weight])

/** A line to a server that can be cut. */
async function line(
  to: string,
): Promise<{ readonly url: string; cut(isCut: boolean): void } & AsyncDisposable> {
  let isCut = false
  const sockets = new Set<Socket>()
  const { port } = new URL(to)
  const server = createServer((near) => {
    const far = connect(Number(port), '127.0.0.1')
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket
        .on('error', () => {})
        .on('close', () => {
          sockets.delete(socket)
          near.destroy()
          far.destroy()
        })
    }
    if (isCut) near.destroy()
    else near.pipe(far).pipe(near)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = (wanted: boolean): void => {
    isCut = wanted
    if (isCut) for (const socket of sockets) socket.destroy()
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut,
    [Symbol.asyncDispose]: async () => {
      cut(true)
      await once(server.close(), 'close')
    },
  }
}

describe.skipIf(missing !== null)(`etcd${missing === null ? '' : ` (skipped: ${missing})`}`, () => {
  let etcd: Etcd
  let zones = 0
  let zone = ''
  const key = (name: string): string => keyOf(name, zone)
  const put = async (pairs: Readonly<Record<string, string>>): Promise<void> =>
    etcd.putAll(Object.entries(pairs).map(([name, value]) => [key(name), value]))

  beforeAll(async () => {
    etcd = await Etcd.start()
  })
  afterAll(async () => etcd?.[Symbol.asyncDispose]())

  /** A zone that no test had before. */
  function newZone(): string {
    zone = `zone-${++zones}`
    return zone
  }
  const follow = (endpoints = etcd.urls): ReturnType<typeof followEtcd> =>
    followEtcd({ endpoints, zones: [zone], proofMs })

  it('routes by the line of the documentation, in the order of the weights, until it is deleted', async () => {
    await using a = await named('A')
    await using b = await named('B')
    await using chain = await routeByEtcd({ endpoints: etcd.urls }, { node: 'node-1' })
    await until(() => chain.state() === 'current')
    expect(await chain.gateway.get('/function/resnet')).toMatchObject({ status: 404 })
    const line = `golb/function/zone-b/resnet {"ips": ["127.0.0.1:9001"], "weights":[3]}`
    const [name = '', ...value] = line.replace('9001', String(a.port)).split(' ')
    await etcd.ctl('put', name, value.join(' '))
    await until(async () => (await chain.gateway.get('/function/resnet')).status === 200)
    expect(chain.table.function('resnet')).toMatchObject({ owner: 'etcd', zone: 'zone-b' })
    await etcd.ctl('put', name, valueOf([a.text, b.text], [3, 1]))
    await until(() => chain.functions().join() === 'resnet=3,1')
    await chain.table.published()
    expect(await chain.bodies('resnet', 400)).toBe('AAAB'.repeat(100))
    await etcd.ctl('put', name, valueOf([], []))
    await until(async () => (await chain.gateway.get('/function/resnet')).status === 503)
    await etcd.ctl('del', name)
    await until(async () => (await chain.gateway.get('/function/resnet')).status === 404)
    expect(chain.source.status()).toMatchObject({ message: '', zones: [{ held: null }] })
  })

  it('keeps zones apart whose names begin alike, and follows several', async () => {
    const [short, long] = [newZone(), `${zone}2`]
    await etcd.putAll([
      [keyOf('f', long), one(2)],
      [keyOf('g', long), one(2)],
    ])
    await using narrow = await follow()
    await using wide = await followEtcd({ endpoints: etcd.urls, zones: [short, long], proofMs })
    await until(() => narrow.state() === 'current' && wide.state() === 'current')
    await etcd.putAll([
      [keyOf('h', long), one(2)],
      [keyOf('f', short), one(1)],
    ])
    // The first of the zones decides.
    await until(() => wide.functions().join() === 'f=1,g=2,h=2')
    await until(() => narrow.functions().join() === 'f=1')
  })

  it('lists the keys that cannot be used, and goes on with their last good value', async () => {
    newZone()
    await put({ f: one(2), early: '{"ips": []' })
    await using chain = await follow()
    await until(() => chain.state() === 'current')
    const bad = {
      f: [valueOf(['127.0.0.1:1'], [1, 2]), 'give one weight for each instance'],
      'f/g': [one(), 'must be golb/function/<zone>/<name>'],
      n: [one(-1), 'must not be negative'],
      own: [valueOf(['127.0.0.1:4672'], [1]), 'API'],
    } as const
    await put(Object.fromEntries(Object.entries(bad).map(([name, [value]]) => [name, value])))
    await until(() => chain.table.rejected().length === 5)
    for (const [name, [, reason]] of Object.entries(bad)) {
      const rejected = chain.table.rejected().find((rejected) => rejected.key === key(name))
      expect(rejected).toMatchObject({ owner: 'etcd', reason: expect.stringContaining(reason) })
    }
    expect(chain.functions()).toEqual(['f=2'])
    for (const name of ['early', 'f/g', 'n', 'own']) await etcd.ctl('del', key(name))
    await put({ f: one(7) })
    await until(() => chain.functions().join() === 'f=7')
    expect(chain.table.rejected()).toEqual([])
  })

  it('is loaded in pages where it has 1,000 functions', async () => {
    newZone()
    const names = Array.from({ length: 1000 }, (_, i) => `f${String(i).padStart(4, '0')}`)
    await put(Object.fromEntries(names.map((name, i) => [name, one(i)])))
    await using chain = await follow()
    await until(() => chain.state() === 'current')
    expect(chain.functions()).toEqual(names.map((name, i) => `${name}=${i}`))
    await put(Object.fromEntries(names.map((name, i) => [name, one(i + 1)])))
    await until(() => chain.functions().every((text, i) => text === `${names[i]}=${i + 1}`))
    expect(chain.state()).toBe('current')
  })

  it('was compacted while the line to it was cut', async () => {
    newZone()
    await put({ a: one(), b: one(), c: one() })
    await using cable = await line(etcd.urls[0] ?? '')
    await using chain = await follow([cable.url])
    await until(() => chain.state() === 'current')
    cable.cut(true)
    await until(() => chain.state() === 'stale')
    expect(chain.functions()).toEqual(['a=1', 'b=1', 'c=1'])
    await etcd.ctl('del', key('a'))
    await put({ b: one(5), d: one(6) })
    await etcd.compact()
    cable.cut(false)
    await until(() => chain.state() === 'current')
    expect(chain.functions()).toEqual(['b=5', 'c=1', 'd=6'])
    await put({ e: one() })
    await until(() => chain.functions().includes('e=1'))
  })

  it('goes, and routes stay, with their age; comes back empty, and they stay until somebody confirms', async () => {
    newZone()
    await using a = await named('A')
    const value = (weight: number): string => valueOf([a.text], [weight])
    await put({ a: value(1), b: value(1), c: value(1) })
    await using chain = await routeByEtcd({ endpoints: etcd.urls, zones: [zone], proofMs }, { zones: [zone] })
    await until(() => chain.state() === 'current')
    const age = (): number => chain.source.status().zones[0]?.age ?? 0
    await etcd.empty()
    await until(() => chain.state() === 'stale')
    const [before, { currentAt } = { currentAt: 0 }] = [age(), chain.table.sources()[0]]
    expect(currentAt).toBeGreaterThan(0)
    await until(() => age() > before + 50)
    expect(chain.table.sources()).toMatchObject([{ owner: 'etcd', state: 'stale', currentAt, functions: 3 }])
    expect(chain.table.sources()[0]?.message).toMatch(/does not answer .*: start it/)
    for (const name of ['a', 'b', 'c']) expect(await chain.bodies(name, 2)).toBe('AA')

    await etcd.start()
    await until(() => chain.state() === 'held')
    for (const name of ['a', 'b', 'c']) expect(await chain.bodies(name, 2)).toBe('AA')
    expect(chain.table.sources()).toMatchObject([
      { state: 'held', message: expect.stringContaining('3 of 3 instances at once (a, b, c)') },
    ])
    await put({ a: value(4), d: value(1) })
    await until(() => chain.functions().includes('d=1'))
    expect(chain.functions()).toEqual(['a=4', 'b=1', 'c=1', 'd=1'])
    const [status] = chain.source.status().zones
    expect(status?.held).toMatchObject({ functions: ['b', 'c'], onlyByOperator: true })
    expect(chain.source.confirm()).toBe(2)
    await chain.table.published()
    expect(chain.functions()).toEqual(['a=4', 'd=1'])
    expect(chain.state()).toBe('current')
    expect(await chain.gateway.get('/function/b')).toMatchObject({ status: 404 })
  })

  it('that came back empty and went on beyond what was known is found out', async () => {
    newZone()
    await put({ a: one(), b: one() })
    await using cable = await line(etcd.urls[0] ?? '')
    await using chain = await follow([cable.url])
    await until(() => chain.state() === 'current')
    const { revision = 0 } = chain.source.status().zones[0] ?? {}
    cable.cut(true)
    await etcd.empty()
    await etcd.start()
    for (let made = 1; made <= revision; made++) await etcd.putAll([['elsewhere', String(made)]])
    cable.cut(false)
    await until(() => chain.state() === 'held')
    expect(chain.source.status().zones[0]?.held?.functions).toEqual(['a', 'b'])
    expect(chain.functions()).toEqual(['a=1', 'b=1'])
    for (const name of ['a', 'b']) await put({ [name]: one(2) })
    await until(() => chain.state() === 'current')
    expect(chain.functions()).toEqual(['a=2', 'b=2'])
  })

  it('that loses most at once is believed when it still says so after a while', async () => {
    newZone()
    await put({ a: one(), b: one(), c: one() })
    const guard = { maxLoss: 0.5, windowMs: 10_000, graceMs: 300, loads: 2 }
    await using chain = await followEtcd({ endpoints: etcd.urls, zones: [zone], proofMs, guard })
    await until(() => chain.state() === 'current')
    await etcd.ctl('del', '--prefix', key(''))
    await until(() => chain.state() === 'held')
    expect(chain.functions()).toEqual(['a=1', 'b=1', 'c=1'])
    await until(() => chain.functions().length === 0)
    await until(() => chain.state() === 'current')
  })

  it('may come later than whoever follows it', async () => {
    newZone()
    await put({ f: one() })
    await etcd.kill()
    await using chain = await follow()
    await until(() => chain.source.status().message !== '')
    expect(chain.source.status()).toMatchObject({ state: 'starting', zones: [{ revision: 0, age: null }] })
    await etcd.start()
    await until(() => chain.state() === 'current')
    expect(chain.functions()).toEqual(['f=1'])
  })

  it('is written to where the function is still what it was', async () => {
    newZone()
    await put({ f: one(1) })
    await using chain = await follow()
    await until(() => chain.state() === 'current')
    const first = chain.table.function('f')?.spec ?? { ips: [], weights: [] }
    await chain.source.write(zone, 'f', first, { ...first, weights: [2], base_weights: [1] })
    expect(chain.functions()).toEqual(['f=2'])
    expect(chain.table.function('f')?.spec.base_weights).toEqual([1])
    // What is not in force any more, and what etcd has replaced before.
    await chain.source.write(zone, 'f', first, { ...first, weights: [3] })
    using writer = new Writer([new URL(etcd.urls[0] ?? '')], { endpoints: etcd.urls })
    const { revision = 0 } = chain.source.status().zones[0] ?? {}
    expect(await writer.put(key('f'), revision - 1, one(4))).toBeNull()
    expect(chain.functions()).toEqual(['f=2'])
    expect(await writer.put(key('f'), revision, one(5))).toBe(revision + 1)
    await until(() => chain.functions().join() === 'f=5')
    await etcd.kill()
    const last = chain.table.function('f')?.spec ?? first
    await expect(chain.source.write(zone, 'f', last, first)).rejects.toThrow('does not answer')
    await etcd.start()
  })

  it('is followed over TLS with a certificate', async () => {
    await using etcd = await Etcd.start({ tls: true })
    const { ca, cert, key: tlsKey } = etcd.tls ?? { ca: '', cert: '', key: '' }
    const { urls: endpoints } = etcd
    await etcd.ctl('put', keyOf('f'), one())
    await using chain = await followEtcd({ endpoints, ca, cert, key: tlsKey })
    await using stranger = await followEtcd({ endpoints, ca })
    await using trusting = await followEtcd({ endpoints })
    await until(() => chain.state() === 'current')
    await etcd.ctl('put', keyOf('g'), one())
    await until(() => chain.functions().join() === 'f=1,g=1')
    await until(() => stranger.source.status().message !== '' && trusting.source.status().message !== '')
    expect(stranger.source.status().message).toMatch(/does not answer \(.*(certificate|bad)/)
    expect(trusting.source.status().message).toMatch(/does not answer \(.*certificate/)
    expect([...stranger.functions(), ...trusting.functions()]).toEqual([])
  })

  it('is followed by a user, whose token is renewed', async () => {
    using directory = mkdtempDisposableSync(join(tmpdir(), 'torb-etcd-'))
    const passwordFile = join(directory.path, 'password')
    writeFileSync(passwordFile, 'secret\n', { mode: 0o600 })
    await using etcd = await Etcd.start()
    await etcd.ctl('put', keyOf('f'), one())
    await etcd.enableAuth('torb', 'secret', keyOf(''))
    const { urls: endpoints } = etcd
    await using chain = await followEtcd({ endpoints, user: 'torb', passwordFile, proofMs })
    await using nobody = await followEtcd({ endpoints })
    await using wrong = await followEtcd({ endpoints, user: 'torb', password: 'guessed' })
    await using elsewhere = await followEtcd({ endpoints, user: 'torb', passwordFile, zones: ['zone-c'] })
    await until(() => chain.state() === 'current')
    const others = [nobody, wrong, elsewhere]
    await until(() => others.every(({ source }) => source.status().message !== ''))
    expect(others.map(({ source }) => source.status().message)).toEqual([
      expect.stringContaining('give a user and its password'),
      expect.stringContaining('give the right user and password'),
      expect.stringContaining('grant the user\'s role "read"'),
    ])
    expect(JSON.stringify(wrong.events)).not.toContain('guessed')
    const { spec } = chain.table.function('f') ?? { spec: { ips: [], weights: [] } }
    await expect(chain.source.write('zone-b', 'f', spec, spec)).rejects.toThrow('"readwrite"')
    // A change of users makes tokens old; a restart forgets them.
    await etcd.ctl('user', 'add', 'other:x')
    await etcd.ctl('put', keyOf('f'), one(2))
    await until(() => chain.functions().join() === 'f=2')
    await etcd.kill()
    await etcd.start()
    await etcd.ctl('put', keyOf('f'), one(3))
    await until(() => chain.functions().join() === 'f=3' && chain.state() === 'current')
  })

  it('is what torb gateway goes by: password of the environment, state, rejected keys, a loss that is confirmed', async () => {
    using data = mkdtempDisposableSync(join(tmpdir(), 'torb-etcd-'))
    await using instance = await named('A')
    await using etcd = await Etcd.start()
    await etcd.ctl('put', keyOf('f'), valueOf([instance.text], [3]))
    await etcd.ctl('put', keyOf('bad'), valueOf([], [1]))
    await etcd.enableAuth('torb', 'secret', keyOf(''))
    const port = await freePort()
    await using torb = await runTorb(
      ['gateway', '-l', '127.0.0.1:0', '--data', data.path, '--etcd-user', 'torb'],
      /^torb ready /,
      {
        eb_go_lb_zone: 'zone-b',
        eb_go_lb_etcd_host: etcd.urls.join(' '),
        eb_go_lb_handler_type: 'wrr',
        eb_go_lb_listen_port: String(port),
        TORB_ETCD_PASSWORD: 'secret',
      },
    )
    const [api = ''] = /http:\S+/.exec(torb.lines.join()) ?? []
    const state = async (): Promise<unknown> => {
      const { body } = await request(`${api}/functions`)
      const { sources } = body as { readonly sources: readonly { source: string; state: string }[] }
      return sources.find(({ source }) => source === 'etcd')?.state
    }
    const asked = async (): Promise<number> => (await get(port, '/function/f')).status
    await until(async () => (await asked()) === 200 && (await state()) === 'current')
    expect(await request(`${api}/functions?rejected`)).toMatchObject({
      status: 200,
      body: [{ source: 'etcd', key: keyOf('bad'), reason: expect.stringContaining('weights has 1 numbers') }],
    })
    await etcd.empty()
    await until(async () => (await state()) === 'stale')
    expect(await asked()).toBe(200)
    await etcd.start()
    await until(async () => (await state()) === 'held')
    expect(await asked()).toBe(200)
    const confirmed = await request(`${api}/sources/etcd/confirm`, 'POST')
    expect(confirmed).toMatchObject({ status: 200, body: { changes: 1 } })
    expect(await asked()).toBe(404)
  })
})
