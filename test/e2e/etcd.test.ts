import { once } from 'node:events'
import { mkdtempDisposableSync, writeFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { Etcd, etcdMissing } from '../../lab/etcd.ts'
import { EventLog } from '../../src/control/events.ts'
import { FunctionTable } from '../../src/control/functionTable.ts'
import { startEtcd, type EtcdOptions, type EtcdSource } from '../../src/sources/etcd/etcd.ts'
import { MemoryStore } from '../fixtures/memoryStore.ts'

const missing = etcdMissing()
const zone = 'zone-b'
const key = (name: string, in_ = zone): string => `golb/function/${in_}/${name}`
const one = (port: number, weight = 1): string => `{"ips": ["127.0.0.1:${port}"], "weights":[${weight}]}`

/** Waits until it holds; the test's own limit ends it where it never does. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(10)
}

/** A follower of etcd, and the table that it feeds. */
interface Followed extends AsyncDisposable {
  readonly table: FunctionTable
  readonly source: EtcdSource
  readonly log: string[]
  /** `name=weights` of all functions. */
  functions(): string[]
  state(): string
}

async function follow(options: Partial<EtcdOptions> & Pick<EtcdOptions, 'endpoints'>): Promise<Followed> {
  const zones = options.zones ?? [zone]
  const table = await FunctionTable.open({
    store: new MemoryStore(),
    zones,
    target: { apply: () => Promise.resolve() },
    events: new EventLog(),
    now: Date.now,
    resolve: (name) => Promise.reject(new Error(`${name} is asked for`)),
    isOwnListener: (address, port) => address === '127.0.0.1' && port === 4672,
  })
  const log: string[] = []
  const write = (_fields: object, text: string): void => void log.push(text)
  const source = startEtcd({ ...options, zones }, table.source('etcd'), { info: write, warn: write })
  return {
    table,
    source,
    log,
    functions: () => table.names().map((name) => `${name}=${table.function(name)?.spec.weights.join()}`),
    state: () => source.status().state,
    [Symbol.asyncDispose]: async () => {
      await source.close()
      await table.close()
    },
  }
}

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
  it('has its functions in force by the line of the documentation, until they are deleted', async () => {
    await using etcd = await Etcd.start()
    await etcd.ctl('put', key('early'), one(9000))
    await using followed = await follow({ endpoints: etcd.urls })
    await until(() => followed.state() === 'current')
    expect(followed.functions()).toEqual(['early=1'])
    await etcd.ctl('put', 'golb/function/zone-b/resnet', '{"ips": ["127.0.0.1:9001"], "weights":[3]}')
    await until(() => followed.table.function('resnet') !== null)
    await followed.table.published()
    expect(followed.table.function('resnet')).toMatchObject({
      owner: 'etcd',
      zone,
      instances: [{ text: '127.0.0.1:9001', address: '127.0.0.1', port: 9001 }],
      spec: { weights: [3] },
    })
    await etcd.ctl('put', key('resnet'), one(9001, 0.5))
    await until(() => followed.functions().includes('resnet=0.5'))
    await etcd.ctl('del', key('resnet'))
    await etcd.ctl('del', key('early'))
    await until(() => followed.functions().length === 0)
    expect(followed.source.status()).toMatchObject({ message: '', zones: [{ held: null }] })
  })

  it('keeps zones apart whose names begin alike, and follows several', async () => {
    await using etcd = await Etcd.start()
    await etcd.ctl('put', key('f', 'zone-b2'), one(1, 2))
    await etcd.ctl('put', key('g', 'zone-b2'), one(1, 2))
    await using narrow = await follow({ endpoints: etcd.urls })
    await using wide = await follow({ endpoints: etcd.urls, zones: ['zone-b', 'zone-b2'] })
    await until(() => narrow.state() === 'current' && wide.state() === 'current')
    await etcd.ctl('put', key('h', 'zone-b2'), one(1, 2))
    await etcd.ctl('put', key('f'), one(1, 1))
    await until(() => narrow.functions().length === 1 && wide.functions().length === 3)
    expect(narrow.functions()).toEqual(['f=1'])
    // The first of the zones decides.
    await until(() => wide.functions().includes('f=1'))
    expect(wide.functions()).toEqual(['f=1', 'g=2', 'h=2'])
  })

  it('lists the keys that cannot be used, and goes on with their last good value', async () => {
    await using etcd = await Etcd.start()
    await etcd.ctl('put', key('f'), one(1, 2))
    await etcd.ctl('put', key('early'), '{"ips": []')
    await using followed = await follow({ endpoints: etcd.urls })
    await until(() => followed.state() === 'current')
    const bad = [
      ['f', '{"ips": ["127.0.0.1:1"], "weights": [1, 2]}', 'give one weight for each instance'],
      ['f/g', one(1), 'must be golb/function/<zone>/<name>'],
      ['n', '{"ips": ["127.0.0.1:1"], "weights": [-1]}', 'must not be negative'],
      ['own', one(4672), 'API'],
    ] as const
    for (const [name, value] of bad) await etcd.ctl('put', key(name), value)
    await until(() => followed.table.rejected().length === 5)
    for (const [name, , reason] of bad) {
      const rejected = followed.table.rejected().find((rejected) => rejected.key === key(name))
      expect(rejected?.reason).toContain(reason)
    }
    expect(followed.functions()).toEqual(['f=2'])
    for (const name of ['early', 'f/g', 'n', 'own']) await etcd.ctl('del', key(name))
    await etcd.ctl('put', key('f'), one(1, 7))
    await until(() => followed.functions().join() === 'f=7')
    expect(followed.table.rejected()).toEqual([])
  })

  it('is loaded in pages where it has 1,000 functions', async () => {
    await using etcd = await Etcd.start()
    const names = Array.from({ length: 1000 }, (_, i) => `f${String(i).padStart(4, '0')}`)
    await etcd.putAll(names.map((name, i) => [key(name), one(9000, i)] as const))
    await using followed = await follow({ endpoints: etcd.urls })
    await until(() => followed.state() === 'current')
    expect(followed.functions()).toEqual(names.map((name, i) => `${name}=${i}`))
    await etcd.putAll(names.map((name, i) => [key(name), one(9000, i + 1)] as const))
    await until(() => followed.functions().every((text, i) => text === `${names[i]}=${i + 1}`))
    expect(followed.state()).toBe('current')
  })

  it('was compacted while the line to it was cut', async () => {
    await using etcd = await Etcd.start()
    await using cable = await line(etcd.urls[0] ?? '')
    for (const name of ['a', 'b', 'c']) await etcd.ctl('put', key(name), one(1))
    await using followed = await follow({ endpoints: [cable.url] })
    await until(() => followed.state() === 'current')
    cable.cut(true)
    await until(() => followed.state() === 'stale')
    expect(followed.functions()).toEqual(['a=1', 'b=1', 'c=1'])
    await etcd.ctl('del', key('a'))
    await etcd.ctl('put', key('b'), one(1, 5))
    await etcd.ctl('put', key('d'), one(1, 6))
    await etcd.compact()
    cable.cut(false)
    await until(() => followed.state() === 'current')
    expect(followed.functions()).toEqual(['b=5', 'c=1', 'd=6'])
    await etcd.ctl('put', key('e'), one(1))
    await until(() => followed.functions().includes('e=1'))
  })

  it('loses members of a cluster of three, the leader too; without a majority functions stay', async () => {
    await using etcd = await Etcd.start({ members: 3 })
    await etcd.ctl('put', key('f'), one(1, 1))
    await using followed = await follow({ endpoints: etcd.urls })
    const inUse = (): number => {
      const endpoint = followed.source.status().zones[0]?.endpoint ?? ''
      return etcd.urls.findIndex((url) => url.endsWith(endpoint))
    }
    await until(() => followed.state() === 'current')
    for (const [weight, victim] of [
      [2, inUse],
      [3, () => etcd.leader()],
    ] as const) {
      const index = await victim()
      await etcd.kill(index)
      // During an election nothing is taken.
      while ((await etcd.ctl('put', key('f'), one(1, weight)).catch(() => null)) === null) await sleep(100)
      await until(() => followed.functions().join() === `f=${weight}` && followed.state() === 'current')
      await etcd.start(index)
    }
    // One that hangs, and does not even close its connections.
    const hung = inUse()
    etcd.pause(hung)
    await until(() => followed.state() === 'current' && inUse() !== hung)
    etcd.resume(hung)
    await etcd.kill(0)
    await etcd.kill(1)
    await until(() => followed.state() === 'stale')
    expect(followed.functions()).toEqual(['f=3'])
    await Promise.all([etcd.start(0), etcd.start(1)])
    await etcd.ctl('put', key('f'), one(1, 9))
    await until(() => followed.functions().join() === 'f=9' && followed.state() === 'current')
    expect(followed.log.filter((text) => text.includes('does not answer')).length).toBeLessThan(8)
  })

  it('that comes back empty does not empty the routes', async () => {
    await using etcd = await Etcd.start()
    for (const name of ['a', 'b', 'c']) await etcd.ctl('put', key(name), one(1))
    await using followed = await follow({ endpoints: etcd.urls })
    await until(() => followed.state() === 'current')
    await etcd.empty()
    await until(() => followed.state() === 'stale')
    await etcd.start()
    await until(() => followed.state() === 'held')
    expect(followed.functions()).toEqual(['a=1', 'b=1', 'c=1'])
    expect(followed.table.sources()).toMatchObject([
      {
        owner: 'etcd',
        state: 'held',
        message: expect.stringContaining('3 of 3 instances no more (a, b, c)'),
      },
    ])
    await etcd.ctl('put', key('a'), one(1, 4))
    await until(() => followed.functions().includes('a=4'))
    expect(followed.functions()).toEqual(['a=4', 'b=1', 'c=1'])
    expect(followed.source.status().zones[0]?.held).toMatchObject({
      functions: ['b', 'c'],
      onlyByOperator: true,
    })
    expect(followed.source.confirm()).toBe(2)
    await followed.table.published()
    expect(followed.functions()).toEqual(['a=4'])
    expect(followed.state()).toBe('current')
  })

  it('that came back empty and went on beyond what was known is found out', async () => {
    await using etcd = await Etcd.start()
    await using cable = await line(etcd.urls[0] ?? '')
    for (const name of ['a', 'b']) await etcd.ctl('put', key(name), one(1))
    await using followed = await follow({ endpoints: [cable.url] })
    await until(() => followed.state() === 'current')
    cable.cut(true)
    await etcd.empty()
    await etcd.start()
    for (let i = 0; i < 9; i++) await etcd.ctl('put', 'elsewhere', String(i))
    cable.cut(false)
    await until(() => followed.state() === 'held')
    expect(followed.source.status().zones[0]?.held?.functions).toEqual(['a', 'b'])
    expect(followed.functions()).toEqual(['a=1', 'b=1'])
    for (const name of ['a', 'b']) await etcd.ctl('put', key(name), one(1, 2))
    await until(() => followed.state() === 'current')
    expect(followed.functions()).toEqual(['a=2', 'b=2'])
  })

  it('that loses most at once is believed when it still says so after a while', async () => {
    await using etcd = await Etcd.start()
    for (const name of ['a', 'b', 'c']) await etcd.ctl('put', key(name), one(1))
    await using followed = await follow({
      endpoints: etcd.urls,
      guard: { maxLoss: 0.5, windowMs: 10_000, graceMs: 200, loads: 2 },
    })
    await until(() => followed.state() === 'current')
    await etcd.ctl('del', '--prefix', key(''))
    await until(() => followed.state() === 'held')
    expect(followed.functions()).toEqual(['a=1', 'b=1', 'c=1'])
    await until(() => followed.functions().length === 0)
    await until(() => followed.state() === 'current')
  })

  it('may come later than whoever follows it', async () => {
    await using etcd = await Etcd.start()
    await etcd.ctl('put', key('f'), one(1))
    await etcd.kill()
    await using followed = await follow({ endpoints: etcd.urls })
    await until(() => followed.source.status().message !== '')
    expect(followed.source.status()).toMatchObject({ state: 'starting', zones: [{ revision: 0, age: null }] })
    await etcd.start()
    await until(() => followed.state() === 'current')
    expect(followed.functions()).toEqual(['f=1'])
  })

  it('is followed over TLS with a certificate', async () => {
    await using etcd = await Etcd.start({ tls: true })
    const { ca, cert, key: tlsKey } = etcd.tls ?? { ca: '', cert: '', key: '' }
    await etcd.ctl('put', key('f'), one(1))
    await using followed = await follow({ endpoints: etcd.urls, ca, cert, key: tlsKey })
    await using stranger = await follow({ endpoints: etcd.urls, ca })
    await using trusting = await follow({ endpoints: etcd.urls })
    await until(() => followed.state() === 'current')
    await etcd.ctl('put', key('g'), one(1))
    await until(() => followed.functions().join() === 'f=1,g=1')
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
    await etcd.ctl('put', key('f'), one(1))
    await etcd.enableAuth('torb', 'secret', key(''))
    const { urls: endpoints } = etcd
    await using followed = await follow({ endpoints, user: 'torb', passwordFile })
    await using nobody = await follow({ endpoints })
    await using wrong = await follow({ endpoints, user: 'torb', password: 'guessed' })
    await using elsewhere = await follow({ endpoints, user: 'torb', passwordFile, zones: ['zone-c'] })
    await until(() => followed.state() === 'current')
    const others = [nobody, wrong, elsewhere]
    await until(() => others.every(({ source }) => source.status().message !== ''))
    expect(others.map(({ source }) => source.status().message)).toEqual([
      expect.stringContaining('give a user and its password'),
      expect.stringContaining('give the right user and password'),
      expect.stringContaining('grant the user\'s role "read"'),
    ])
    expect(wrong.log.join()).not.toContain('guessed')
    // A change of users makes tokens old; a restart forgets them.
    await etcd.ctl('user', 'add', 'other:x')
    await etcd.ctl('put', key('f'), one(1, 2))
    await until(() => followed.functions().join() === 'f=2')
    await etcd.kill()
    await etcd.start()
    await etcd.ctl('put', key('f'), one(1, 3))
    await until(() => followed.functions().join() === 'f=3' && followed.state() === 'current')
  })
})
