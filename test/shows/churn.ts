import { setTimeout as sleep } from 'node:timers/promises'
import { quantile, seeded, startDaemon, type RunningDaemon } from '../rig.ts'
import { converse, LineServer } from './lineServers.ts'
import type { Show } from './show.ts'
import { freePort } from '../../src/planes/freePort.ts'

const clients = 64
const names = ['b1', 'b2', 'b3', 'b4', 'b5', 'b6']

/** 64 reconnecting clients while weights change, backends come, drain and go: nobody notices but in the counts. */
export const churn: Show = {
  about:
    '64 clients under 1000 changes with at least 50 drains: zero failed requests, every new weight in the counts',
  async run(size) {
    const [changes, seconds] = size === 'full' ? [1000, 60] : [60, 0]
    const seed = Number(process.env['TORB_SEED'] ?? Date.now() % 1e9)
    const random = seeded(seed)
    const [vip, port] = [await freePort(), await freePort()]
    const servers = new Map<string, LineServer>()
    for (const [i, name] of names.entries())
      servers.set(name, await LineServer.listen(name, `127.0.2.${i + 1}`, port))
    await using daemon = await startDaemon()
    const world = new World(daemon, servers, port, random)
    await world.ask('PUT', '', { host: '127.0.0.1', port: vip, method: 'wrr' })
    for (const name of names.slice(0, 4)) await world.add(name)

    const load = new AbortController()
    let requests = 0
    const failures: string[] = []
    const client = async (): Promise<void> => {
      while (!load.signal.aborted) {
        const count = 1 + Math.floor(Math.random() * 100)
        await converse('127.0.0.1', vip, count).then(
          () => (requests += count),
          (error: Error) => failures.push(error.message),
        )
      }
    }
    const clientsDone = Promise.all(Array.from({ length: clients }, client))
    const begin = performance.now()
    try {
      while (world.changes < changes || performance.now() - begin < seconds * 1000) {
        await world.change()
        if (failures.length > 0) throw new Error(`seed ${seed}: a request failed: ${failures[0]}`)
        // Spread over the time, so that there is load to notice each.
        const due = begin + (world.changes / changes) * seconds * 1000
        await sleep(Math.max(0, due - performance.now()))
      }
      await world.drained()
    } finally {
      load.abort()
      await clientsDone
      for (const server of servers.values()) await server.close()
    }
    if (failures.length > 0)
      throw new Error(`seed ${seed}: ${failures.length} requests failed: ${failures[0]}`)
    if (size === 'full' && world.drains < 50) throw new Error(`only ${world.drains} drains were completed`)
    return {
      requests,
      'failed requests': failures.length,
      changes: world.changes,
      'drains completed': world.drains,
      'weight changes seen in the counts': world.visible.length,
      'until seen, p50 / max': `${quantile(world.visible, 0.5).toFixed(0)} / ${Math.max(...world.visible).toFixed(0)} ms`,
      seed,
    }
  },
}

/** The service under change, and what it should look like. */
class World {
  changes = 0
  drains = 0
  readonly visible: number[] = []
  readonly #weights = new Map<string, number>()
  readonly #draining = new Set<string>()
  readonly #daemon: RunningDaemon
  readonly #servers: ReadonlyMap<string, LineServer>
  readonly #port: number
  readonly #random: () => number

  constructor(
    daemon: RunningDaemon,
    servers: ReadonlyMap<string, LineServer>,
    port: number,
    random: () => number,
  ) {
    this.#daemon = daemon
    this.#servers = servers
    this.#port = port
    this.#random = random
  }

  async ask(method: string, path: string, body?: object): Promise<unknown> {
    const answer = await this.#daemon.api(method, `/service/churn${path}`, body)
    if (answer.status !== 200)
      throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    return answer.body
  }

  async add(name: string): Promise<void> {
    const weight = this.#weight()
    await this.ask('PUT', `/${name}`, {
      host: `127.0.2.${names.indexOf(name) + 1}`,
      port: this.#port,
      weight,
      pulse: { interval: '1s' },
    })
    this.#weights.set(name, weight)
  }

  async change(): Promise<void> {
    await this.#collectDrained()
    const present = [...this.#weights.keys()]
    const one = present[Math.floor(this.#random() * present.length)]
    const other = names.find((name) => !this.#weights.has(name) && !this.#draining.has(name))
    const kind = this.#random()
    if (other !== undefined && (kind < 0.15 || present.length < 3)) await this.add(other)
    else if (one !== undefined && present.length > 2 && kind < 0.3) {
      await this.ask('DELETE', `/${one}?drain=30s`)
      this.#weights.delete(one)
      this.#draining.add(one)
    } else if (one !== undefined && present.length > 2 && kind < 0.4) {
      await this.ask('DELETE', `/${one}`)
      this.#weights.delete(one)
    } else if (one !== undefined) {
      const weight = this.#weight()
      await this.ask('PATCH', `/${one}`, { weight })
      const moved = this.#weights.get(one) !== weight
      this.#weights.set(one, weight)
      if (moved) await this.#see()
    }
    this.changes++
  }

  async drained(): Promise<void> {
    for (let i = 0; this.#draining.size > 0; i++) {
      if (i > 300) throw new Error(`drains do not end: ${[...this.#draining].join(', ')}`)
      await sleep(100)
      await this.#collectDrained()
    }
  }

  #weight(): number {
    return 1 + Math.floor(this.#random() * 4)
  }

  async #collectDrained(): Promise<void> {
    if (this.#draining.size === 0) return
    const { backends } = (await this.ask('GET', '')) as { backends: string[] }
    for (const name of this.#draining) {
      if (backends.includes(name)) continue
      this.#draining.delete(name)
      this.drains++
    }
  }

  /** Waits until the new connections of three whole rounds are shared out by the weights as they are now. */
  async #see(): Promise<void> {
    const begin = performance.now()
    const weights = new Map(this.#weights)
    const round = [...weights.values()].reduce((sum, weight) => sum + weight, 0)
    const counts = () => new Map([...this.#servers].map(([name, server]) => [name, server.accepted]))
    const before = counts()
    for (;;) {
      await sleep(2)
      const now = counts()
      const fresh = [...now].map(([name, count]) => [name, count - (before.get(name) ?? 0)] as const)
      const total = fresh.reduce((sum, [, count]) => sum + count, 0)
      if (total < 3 * round) continue
      // Two either way: connections that were on their way when the change came, and the round under way.
      const wrong = fresh.find(
        ([name, count]) =>
          Math.abs(count - ((weights.get(name) ?? 0) * total) / round) > 2 + (total - 3 * round),
      )
      if (wrong === undefined) break
      if (performance.now() - begin > 5000) {
        throw new Error(
          `weights ${JSON.stringify([...weights])} not seen within 5 s: ${JSON.stringify(fresh)}`,
        )
      }
    }
    this.visible.push(performance.now() - begin)
  }
}
