import { setTimeout as sleep } from 'node:timers/promises'
import { quantile, seeded } from '../../rig.ts'
import type { Figures, Show } from '../show.ts'
import type { LoadReport } from './load.actor.ts'
import { startGateway, startInstances, startLoad, overTransports, type RunningGateway } from './processes.ts'

interface Size {
  readonly milliseconds: number
  readonly killEveryMs: number
  /** Until a killed instance is started again. */
  readonly downMs: number
  readonly shortClients: number
  readonly longClients: number
}

const sizes: Readonly<Record<'full' | 'reduced', Size>> = {
  full: { milliseconds: 60_000, killEveryMs: 5000, downMs: 1000, shortClients: 24, longClients: 8 },
  reduced: { milliseconds: 1500, killEveryMs: 800, downMs: 200, shortClients: 6, longClients: 6 },
}
const changesPerSecond = 100

/** Instances on addresses of their own, so that nobody takes the port of one that is down. */
const names = ['A', 'B', 'C']
const addressOf = (name: string): string => `127.0.3.${names.indexOf(name) + 1}`

const cut = 'of these cut, seen as cut'

/** Weights change a hundred times a second while instances are killed: no short idempotent request notices. */
export const gatewayChurn: Show = {
  about:
    'function gateway: 100 weight changes a second and an instance killed every 5 s; no idempotent request fails, no body is wrong',
  async run(size) {
    const seed = Number(process.env['TORB_SEED'] ?? Date.now() % 1e9)
    const figures = await overTransports(size, async (transport) => {
      await using gateway = await startGateway({ transport, workers: transport === 'ring' ? 2 : 1 })
      const figures = await churned(gateway, sizes[size], seeded(seed))
      // With fewer clients it may be that none is in the middle of a long answer at that moment.
      if (size === 'full' && figures[cut] === 0)
        throw new Error('no long answer was under way when an instance was killed: nothing is shown')
      return figures
    }).catch((error: Error) => {
      throw new Error(`seed ${seed}: ${error.message}`, { cause: error })
    })
    return { ...figures, seed }
  },
}

async function churned(
  gateway: RunningGateway,
  { milliseconds, killEveryMs, downMs, shortClients, longClients }: Size,
  random: () => number,
): Promise<Figures> {
  await using fleet = await Fleet.start()
  await gateway.actor.put('f', { ips: fleet.ips, weights: [1, 1, 1] })
  const ending = new AbortController()
  await using clients = await startLoad()
  await clients.actor.begin(gateway.port, shortClients, longClients)
  let changes = 0
  const changing = (async () => {
    const begin = performance.now()
    while (!ending.signal.aborted) {
      await gateway.actor.put('f', { ips: fleet.ips, weights: weights(random) })
      changes++
      const due = begin + (changes / changesPerSecond) * 1000
      await sleep(Math.max(0, due - performance.now()))
    }
  })()
  const end = performance.now() + milliseconds
  try {
    for (let next = performance.now() + killEveryMs / 2; next < end; next += killEveryMs) {
      await sleep(Math.max(0, next - performance.now()))
      const name = names[fleet.kills % names.length] ?? 'A'
      await fleet.kill(name)
      await sleep(downMs)
      await fleet.restart(name)
    }
    await sleep(Math.max(0, end - performance.now()))
  } finally {
    ending.abort()
    await changing
  }
  const load = await clients.actor.end()
  check(load)
  const ejections = await gateway.actor.ejections()
  const state = await gateway.actor.state('f')
  const retries = state?.instances.reduce((sum, instance) => sum + instance.retries, 0) ?? 0
  if (fleet.kills === 0 || retries === 0)
    throw new Error('no request met a killed instance: nothing is shown')
  return {
    'weight changes': changes,
    'instances killed and started again': fleet.kills,
    'short requests': load.short,
    'of these failed': load.failures.length,
    'sent again to another instance': retries,
    ejections: ejections.length,
    'long requests': load.long,
    [cut]: load.cut,
    'completed wrongly': load.wrong.length,
    'short requests, p50 / p99': `${quantile(load.took, 0.5).toFixed(1)} / ${quantile(load.took, 0.99).toFixed(1)} ms`,
  }
}

/** @throws Error with the first that went wrong */
function check({ failures, wrong, short }: LoadReport): void {
  const [first] = [...wrong, ...failures]
  if (first === undefined) return
  throw new Error(
    `${failures.length} requests failed (of ${short} short ones), ${wrong.length} bodies were wrong: ${first}`,
  )
}

/** Of three instances at least two get something: one of them is up. */
function weights(random: () => number): number[] {
  const drawn = names.map(() => 1 + Math.floor(random() * 5))
  if (random() < 0.3) drawn[Math.floor(random() * drawn.length)] = 0
  return drawn
}

/** Instances, each in a process of its own. */
class Fleet implements AsyncDisposable {
  kills = 0
  readonly ips: string[] = []
  readonly #processes = new Map<string, Awaited<ReturnType<typeof startInstances>>>()

  static async start(): Promise<Fleet> {
    const fleet = new Fleet()
    await Promise.all(
      names.map(async (name, index) => {
        const started = await startInstances()
        fleet.#processes.set(name, started)
        fleet.ips[index] = await started.actor.http(name, addressOf(name))
      }),
    )
    return fleet
  }

  async kill(name: string): Promise<void> {
    await this.#processes.get(name)?.kill()
    this.kills++
  }

  async restart(name: string): Promise<void> {
    const started = await startInstances()
    this.#processes.set(name, started)
    const port = this.ips[names.indexOf(name)]?.split(':')[1]
    await started.actor.http(name, addressOf(name), Number(port))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const started of this.#processes.values()) await started.kill()
  }
}
