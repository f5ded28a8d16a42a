import { Resolver } from 'node:dns/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { Consul, consulMissing } from '../../lab/consul.ts'
import { quantile, seeded, startDaemon, type RunningDaemon } from '../rig.ts'
import type { Show } from './show.ts'
import { freePort } from '../../src/planes/freePort.ts'

const limitMs = 10_000

/** Consul dies, writes go on, Consul comes back with an empty memory: what it then holds is what it should. */
export const consul: Show = {
  about:
    'Consul away for a minute under writes and back without its memory: the API unaffected, registrations right within 10 s',
  missing: consulMissing,
  async run(size) {
    const awayMs = size === 'full' ? 60_000 : 3000
    const seed = Number(process.env['TORB_SEED'] ?? Date.now() % 1e9)
    await using agent = await Consul.start()
    await using daemon = await startDaemon({ args: ['-c', agent.url] })
    const world = new World(daemon, await freePort(), seeded(seed))
    for (let i = 0; i < 20; i++) await world.create()
    await reached(agent, world, daemon, seed)

    await agent.stop()
    const begin = performance.now()
    const took: number[] = []
    while (performance.now() - begin < awayMs) {
      const asked = performance.now()
      await world.change()
      took.push(performance.now() - asked)
      await sleep(100)
    }
    await agent.start()
    const back = performance.now()
    await reached(agent, world, daemon, seed)
    const right = performance.now() - back
    if (right > limitMs)
      throw new Error(`seed ${seed}: right only ${(right / 1000).toFixed(1)} s after Consul was back`)
    const complaints = daemon.errors().match(/does not answer/g)?.length ?? 0
    if (complaints !== 1) throw new Error(`seed ${seed}: that Consul is away was logged ${complaints} times`)

    await daemon.end()
    const left = Object.keys(await agent.services())
    if (left.length > 0) throw new Error(`seed ${seed}: still registered after SIGTERM: ${left.join(', ')}`)
    return {
      'writes while Consul was away': took.length,
      'failed writes': 0,
      'a write took, p50 / p99': `${quantile(took, 0.5).toFixed(1)} / ${quantile(took, 0.99).toFixed(1)} ms`,
      'log lines about it': complaints,
      'services at the end': world.services.size,
      'registrations right after': `${(right / 1000).toFixed(2)} s`,
      'registered after SIGTERM': left.length,
    }
  },
}

/** Waits until agent, its DNS and `GET /plane` agree with the services. @throws Error with the difference after a while */
async function reached(agent: Consul, world: World, daemon: RunningDaemon, seed: number): Promise<void> {
  const [address = '', port = ''] = daemon.url.replace('http://', '').split(':')
  const wanted = { ...Object.fromEntries(world.services), gorb: `${address}:${port}` }
  const deadline = performance.now() + 3 * limitMs
  let held = await agent.services()
  while (!isDeepStrictEqual(held, wanted)) {
    if (performance.now() > deadline) {
      throw new Error(`seed ${seed}: Consul has ${JSON.stringify(held)} instead of ${JSON.stringify(wanted)}`)
    }
    await sleep(20)
    held = await agent.services()
  }
  const resolver = new Resolver()
  resolver.setServers([agent.dns])
  const [[id = '', place] = []] = world.services
  // The agent tells the catalogue, which DNS answers from, a moment later.
  let answers = await resolver.resolveSrv(`${id}.service.consul`).catch(() => [])
  while (answers.length === 0 && performance.now() < deadline) {
    await sleep(20)
    answers = await resolver.resolveSrv(`${id}.service.consul`).catch(() => [])
  }
  const [srv] = answers
  const [ip] = srv === undefined ? [] : await resolver.resolve4(srv.name)
  if (`${ip}:${srv?.port}` !== place) throw new Error(`seed ${seed}: DNS has ${ip}:${srv?.port} for ${id}`)
}

/** Services that come and go, by REST. */
class World {
  /** "address:port" by id. */
  readonly services = new Map<string, string>()
  readonly #daemon: RunningDaemon
  readonly #port: number
  readonly #random: () => number
  #next = 0

  constructor(daemon: RunningDaemon, port: number, random: () => number) {
    this.#daemon = daemon
    this.#port = port
    this.#random = random
  }

  async create(): Promise<void> {
    const number = this.#next++
    const [id, host] = [`nginx-${number}-tcp`, `127.0.${100 + (number >> 8)}.${number & 0xff}`]
    await this.#ask('PUT', id, { host, port: this.#port })
    this.services.set(id, `${host}:${this.#port}`)
  }

  /** As many come as go, so that some that Consul knew are gone afterwards. */
  async change(): Promise<void> {
    const ids = [...this.services.keys()]
    const id = ids[Math.floor(this.#random() * ids.length)]
    if (id === undefined || this.#random() < 0.5) return this.create()
    await this.#ask('DELETE', id)
    this.services.delete(id)
  }

  async #ask(method: string, id: string, body?: object): Promise<void> {
    const { status, body: said } = await this.#daemon.api(method, `/service/${id}`, body)
    if (status !== 200) throw new Error(`${method} /service/${id}: ${status} ${JSON.stringify(said)}`)
  }
}
