import { setTimeout as sleep } from 'node:timers/promises'
import { Etcd, etcdMissing } from '../../lab/etcd.ts'
import { named, type Instance } from '../../src/gateway/gatewaySuite.ts'
import { keyOf, routeByEtcd, valueOf, type RoutedChain } from '../etcdRig.ts'
import { quantile } from '../rig.ts'
import type { Figures, Show } from './show.ts'

const limitMs = 30_000
const targetMs = 50

/** A cluster of three loses members, its majority, its memory: requests never notice, changes are in force at once. */
export const etcd: Show = {
  about:
    'functions from an etcd of three members: a change routes within 50 ms; members killed, hung, all gone, compacted, back empty, and no request fails',
  missing: etcdMissing,
  async run(size) {
    const isFull = size === 'full'
    await using a = await named('A')
    await using b = await named('B')
    await using cluster = await Etcd.start({ members: 3 })
    await cluster.putAll([[keyOf('steady'), valueOf([a.text, b.text], [1, 1])]])
    const proofMs = isFull ? undefined : 200
    await using chain = await routeByEtcd(
      { endpoints: cluster.urls, proofMs },
      { transport: 'auto', workers: 0 },
    )
    const world: World = { cluster, chain, a, b }
    await reached(chain, 'what etcd has', () => chain.state() === 'current')
    await using client = new Client(chain)

    const changed = await changes(world, isFull ? 200 : 20)
    const byLine = await commandLine(world, isFull ? 20 : 1)
    await weighted(world)
    const killed = await membersKilled(world, isFull ? 6 : 1)
    const hung = isFull ? await memberHung(world) : {}
    if (isFull) await majorityGone(world)
    const away = await allGone(world, isFull ? 120_000 : 200)
    const empty = isFull ? await backEmpty(world) : {}

    const requests = await client.end()
    return { ...changed, ...byLine, ...killed, ...hung, ...away, ...empty, ...requests }
  },
}

interface World {
  readonly cluster: Etcd
  readonly chain: RoutedChain
  readonly a: Instance
  readonly b: Instance
}

/** From before the put is sent until the first answer by the new route, with one request after the other. */
async function changes({ cluster, chain, a, b }: World, count: number): Promise<Figures> {
  const [took, acknowledged]: [number[], number[]] = [[], []]
  for (let i = 0; i < count; i++) {
    const [wanted, { text }] = i % 2 === 0 ? ['A', a] : ['B', b]
    const begin = performance.now()
    const put = cluster
      .putAll([[keyOf('changed'), valueOf([text], [3])]])
      .then(() => acknowledged.push(performance.now() - begin))
    await reached(chain, `the route to ${wanted}`, async () => (await chain.bodies('changed', 1)) === wanted)
    took.push(performance.now() - begin)
    await put
  }
  const p50 = quantile(took, 0.5)
  if (count >= 100 && p50 > targetMs) throw new Error(`a change takes ${p50.toFixed(1)} ms until it routes`)
  return {
    'put to first request by the new route, p50 / p99 / max': milliseconds(took),
    "of that etcd's own answer to the put": milliseconds(acknowledged),
  }
}

/** The line of the documentation; etcdctl takes a moment itself. */
async function commandLine({ cluster, chain, a, b }: World, count: number): Promise<Figures> {
  const after: number[] = []
  for (let i = 0; i < count; i++) {
    const [wanted, { port }] = i % 2 === 0 ? ['A', a] : ['B', b]
    let done = Infinity
    const put = cluster
      .ctl('put', 'golb/function/zone-b/resnet', `{"ips": ["127.0.0.1:${port}"], "weights":[3]}`)
      .then(() => (done = performance.now()))
    await reached(chain, `the route to ${wanted}`, async () => (await chain.bodies('resnet', 1)) === wanted)
    const routed = performance.now()
    await put
    // The request may come back before etcdctl has ended.
    after.push(Math.max(0, routed - done))
  }
  return { 'end of etcdctl put to first request by the new route, p50 / p99 / max': milliseconds(after) }
}

/** Weights 3 and 1 in the order of the edgerun balancer. */
async function weighted({ cluster, chain, a, b }: World): Promise<void> {
  await cluster.putAll([[keyOf('resnet'), valueOf([a.text, b.text], [3, 1])]])
  await reached(chain, 'both instances', () => chain.functions().includes('resnet=3,1'))
  await chain.table.published()
  const order = await chain.bodies('resnet', 400)
  if (order !== 'AAAB'.repeat(100)) throw new Error(`3:1 over 400 requests came as ${order}`)
}

/** Each time the leader, then the member that is followed. */
async function membersKilled(world: World, count: number): Promise<Figures> {
  const { cluster } = world
  const took: number[] = []
  for (let i = 0; i < count; i++) {
    const victim = i % 2 === 0 ? await cluster.leader() : followed(world)
    await cluster.kill(victim)
    took.push(await reweighed(world, i + 1))
    await cluster.start(victim)
  }
  return {
    'members killed, the leader among them': count,
    'kill to a new weight in force, election included, max': `${(Math.max(...took) / 1000).toFixed(1)} s`,
  }
}

/** One that hangs does not even close its connections. */
async function memberHung(world: World): Promise<Figures> {
  const { cluster, chain } = world
  const hung = followed(world)
  const begin = performance.now()
  cluster.pause(hung)
  await reached(chain, 'another member', () => chain.state() === 'current' && followed(world) !== hung)
  const took = performance.now() - begin
  cluster.resume(hung)
  await reweighed(world, 50)
  return { 'hung member left after': `${(took / 1000).toFixed(1)} s` }
}

/** The one that is left answers nothing. */
async function majorityGone({ cluster, chain }: World): Promise<void> {
  const before = chain.functions()
  await cluster.kill(0)
  await cluster.kill(1)
  await reached(chain, 'that a majority is gone', () => chain.state() === 'stale')
  if (chain.functions().join() !== before.join()) throw new Error('functions went with the majority')
}

/** What changes afterwards is compacted away. */
async function allGone(world: World, awayMs: number): Promise<Figures> {
  const { cluster, chain } = world
  const before = chain.functions()
  await cluster.kill()
  await reached(chain, 'that all are gone', () => chain.state() === 'stale')
  await sleep(awayMs)
  const { age = null, state } = chain.source.status().zones[0] ?? {}
  if (chain.functions().join() !== before.join()) throw new Error('functions went with etcd')
  if (state !== 'stale' || age === null || age < awayMs)
    throw new Error(`${awayMs} ms after etcd went, the age is ${age} ms and the state ${state}`)
  const begin = performance.now()
  await cluster.start()
  await reweighed(world, 60, () => cluster.compact())
  return {
    'etcd gone for': `${(awayMs / 1000).toFixed(1)} s`,
    'age shown at its end': `${(age / 1000).toFixed(1)} s`,
    'start of etcd to a new weight in force': `${((performance.now() - begin) / 1000).toFixed(1)} s`,
  }
}

async function backEmpty({ cluster, chain }: World): Promise<Figures> {
  const before = chain.functions()
  await cluster.empty()
  await cluster.start()
  await reached(chain, 'that etcd is empty', () => chain.state() === 'held')
  await sleep(5000)
  if (chain.functions().join() !== before.join()) throw new Error('functions went with the memory of etcd')
  // Filled again, one by one.
  for (const name of chain.table.names()) {
    const { ips = [], weights = [] } = chain.table.function(name)?.spec ?? {}
    await cluster.putAll([[keyOf(name), valueOf(ips, weights)]])
  }
  await reached(chain, 'all functions', () => chain.state() === 'current')
  if (chain.functions().join() !== before.join()) throw new Error('functions changed while etcd was filled')
  return { 'functions kept while etcd was empty': before.length }
}

/** Puts a new weight, again while there is no leader. @returns milliseconds until it is in force */
async function reweighed(
  { cluster, chain, a, b }: World,
  weight: number,
  behind: () => Promise<void> = () => Promise.resolve(),
): Promise<number> {
  const begin = performance.now()
  const value = valueOf([a.text, b.text], [weight, weight])
  await reached(chain, 'a leader', () =>
    cluster.ctl('--command-timeout=1s', 'put', keyOf('steady'), value).then(
      () => true,
      () => false,
    ),
  )
  await behind()
  await reached(
    chain,
    `weight ${weight}`,
    () => chain.functions().includes(`steady=${weight},${weight}`) && chain.state() === 'current',
  )
  return performance.now() - begin
}

/** Index of the member that is followed. */
function followed({ cluster, chain }: World): number {
  const endpoint = chain.source.status().zones[0]?.endpoint ?? ''
  return cluster.urls.findIndex((url) => url.endsWith(endpoint))
}

/** @throws Error with what the source says, where it does not come */
async function reached(
  { source }: RoutedChain,
  what: string,
  holds: () => boolean | Promise<boolean>,
): Promise<void> {
  const deadline = performance.now() + limitMs
  while (!(await holds())) {
    if (performance.now() > deadline) {
      throw new Error(`not within ${limitMs / 1000} s: ${what}; ${JSON.stringify(source.status())}`)
    }
    await sleep(1)
  }
}

/** Asks all the time for a function that always has instances. */
class Client implements AsyncDisposable {
  readonly #running: Promise<void>
  #isEnded = false
  #requests = 0
  readonly #failures: string[] = []

  constructor(chain: RoutedChain) {
    this.#running = this.#run(chain)
  }

  async end(): Promise<Figures> {
    await this[Symbol.asyncDispose]()
    if (this.#failures.length > 0)
      throw new Error(`${this.#failures.length} of ${this.#requests} requests failed: ${this.#failures[0]}`)
    return { 'requests meanwhile': this.#requests, 'of these failed': 0 }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnded = true
    await this.#running
  }

  async #run({ gateway }: RoutedChain): Promise<void> {
    while (!this.#isEnded) {
      this.#requests++
      try {
        const { status, body } = await gateway.get('/function/steady')
        if (status !== 200 || !'AB'.includes(body)) this.#failures.push(`${status} ${body}`)
      } catch (error) {
        this.#failures.push(String(error))
      }
      await sleep(1)
    }
  }
}

const milliseconds = (took: readonly number[]): string =>
  `${[0.5, 0.99, 1].map((part) => quantile(took, part).toFixed(1)).join(' / ')} ms`
