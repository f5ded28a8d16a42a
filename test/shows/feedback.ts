import { Agent } from 'node:http'
import { writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { EventLog, type TorbEvent } from '../../src/control/events.ts'
import { FunctionTable } from '../../src/control/functionTable.ts'
import { get, startInstance, startTestGateway, type Instance } from '../../src/gateway/gatewaySuite.ts'
import { feedbackDefaults } from '../../src/sources/feedback/controller.ts'
import { startFeedback } from '../../src/sources/feedback/start.ts'
import { MemoryStore } from '../fixtures/memoryStore.ts'
import { quantile, seeded } from '../rig.ts'
import type { Figures, Show } from './show.ts'

/** How many times as long as the fastest an instance takes. */
const slowness = [1, 2, 4]
const name = 'f'

/** Instances of different speed behind equal weights, then with feedback; at the end they change places. */
export const feedback: Show = {
  about:
    'weights by feedback: three instances of different speed come to like response times, no weight moves by more than its step or below its floor',
  async run(size) {
    const seed = Number(process.env['TORB_SEED'] ?? Date.now() % 1e9)
    const isFull = size === 'full'
    const [work, intervalMs, intervals, settling] = isFull ? [8, 1000, 20, 60] : [2, 150, 4, 16]
    const works = slowness.map((times) => times * work)
    // Two fifths of what the instances can do together.
    const rate = 0.4 * works.reduce((sum, milliseconds) => sum + 1000 / milliseconds, 0)
    const stations = works.map((work) => new Station(work))
    await using fleet = new AsyncDisposableStack()
    const instances: Instance[] = []
    for (const station of stations) instances.push(fleet.use(await station.listen()))
    const gateway = fleet.use(await startTestGateway({ transport: 'auto', workers: 1 }))
    const events = new EventLog()
    const moves: Move[] = []
    events.subscribe(({ event }) => event.type === 'instance-weight-changed' && moves.push(event))
    const table = await FunctionTable.open({
      store: new MemoryStore(),
      zones: [],
      target: gateway.gateway,
      events,
      now: Date.now,
      resolve: (host) => Promise.reject(new Error(`${host} is asked for`)),
      isOwnListener: () => false,
    })
    fleet.defer(() => table.close())
    await table.put(name, { ips: instances.map(({ text }) => text), weights: works.map(() => 1) })
    const client = new Client(gateway.gateway.port, rate, seeded(seed))
    fleet.defer(() => client.end())

    /** The fastest becomes the slowest. */
    const turnedRound = async (): Promise<Figures> => {
      for (const [n, station] of stations.entries()) station.work = works[works.length - 1 - n] ?? 1
      const { text } = await measured(gateway, client, 4, intervalMs)
      await sleep(settling * intervalMs)
      const later = await measured(gateway, client, intervals, intervalMs)
      const weights = table.function(name)?.overlay?.weights ?? []
      return {
        'speeds turned round: response times': text,
        'and after a while': later.text,
        'and weights': weights.join(' : '),
      }
    }

    const before = await measured(gateway, client, intervals, intervalMs)
    const settings = { intervalMs, controller: feedbackDefaults, writes: false }
    const log = { info: () => undefined, warn: () => undefined }
    const recorder = record(gateway, table)
    const source = startFeedback(settings, { table, gateway: recorder, events, log, etcd: null })
    await sleep(settling * intervalMs)
    const after = await measured(gateway, client, intervals, intervalMs)
    const settled = table.function(name)?.overlay?.weights ?? []

    const turned = isFull ? await turnedRound() : {}
    await source.close()
    await table.published()
    await client.end()

    checkMoves(moves, works.length, seed)
    const trace = process.env['TORB_TRACE']
    if (trace !== undefined) writeFileSync(trace, recorder.trace())
    const [fast = 0, , slow = 0] = settled
    if (fast <= slow)
      throw new Error(`seed ${seed}: the fastest has ${fast} of the weights, the slowest ${slow}`)
    if (isFull && after.spread > before.spread / 2)
      throw new Error(`seed ${seed}: response times differ ${after.text}, before it was ${before.text}`)
    if (table.function(name)?.overlay !== null) throw new Error('an overlay is left after the end')
    if (client.failures.length > 0) throw new Error(`seed ${seed}: ${client.failures[0]}`)
    return {
      'equal weights: response times of the instances': before.text,
      'equal weights: all requests, p50 / p99': before.quantiles,
      'with feedback: response times of the instances': after.text,
      'with feedback: all requests, p50 / p99': after.quantiles,
      'weights then': settled.join(' : '),
      ...turned,
      'decisions, each an event': moves.length,
      requests: client.requests,
      'of these failed': 0,
      seed,
    }
  },
}

type Move = Extract<TorbEvent, { type: 'instance-weight-changed' }>
type TestGateway = Awaited<ReturnType<typeof startTestGateway>>

/** One request at a time, the others wait: its response time grows with its load. */
class Station {
  work: number
  #freeAt = 0

  constructor(work: number) {
    this.work = work
  }

  async listen(): Promise<Instance> {
    return await startInstance((request, response) => {
      request.resume()
      const now = performance.now()
      this.#freeAt = Math.max(now, this.#freeAt) + this.work
      setTimeout(() => response.end('ok'), this.#freeAt - now)
    })
  }
}

/** Requests that come at random, however long the answers take. */
class Client {
  requests = 0
  readonly failures: string[] = []
  #took: number[] = []
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 512 })
  readonly #open = new Set<Promise<void>>()
  readonly #timer: NodeJS.Timeout

  constructor(port: number, rate: number, random: () => number) {
    let next = performance.now()
    this.#timer = setInterval(() => {
      for (; next <= performance.now(); next -= (Math.log(1 - random()) * 1000) / rate) {
        const done = this.#ask(port).finally(() => this.#open.delete(done))
        this.#open.add(done)
      }
    }, 1)
  }

  /** What requests took since the last call. */
  took(): readonly number[] {
    const took = this.#took
    this.#took = []
    return took
  }

  async end(): Promise<void> {
    clearInterval(this.#timer)
    await Promise.all(this.#open)
    this.#agent.destroy()
  }

  async #ask(port: number): Promise<void> {
    this.requests++
    const begin = performance.now()
    try {
      const { status } = await get(port, `/function/${name}`, {}, this.#agent)
      if (status !== 200) this.failures.push(`an answer of status ${status}`)
    } catch (error) {
      this.failures.push(String(error))
    }
    this.#took.push(performance.now() - begin)
  }
}

interface Measured {
  /** The largest mean of an instance by the smallest. */
  readonly spread: number
  readonly text: string
  readonly quantiles: string
}

/** Over so many intervals; the median of their means, so that a machine that stands still for a moment is left out. */
async function measured(
  { gateway }: TestGateway,
  client: Client,
  intervals: number,
  intervalMs: number,
): Promise<Measured> {
  type Total = { readonly answers: number; readonly milliseconds: number }
  const totals = (): Total[] =>
    (gateway.state(name)?.instances ?? []).map(({ successful: answers, milliseconds }) => ({
      answers,
      milliseconds,
    }))
  const means: number[][] = slowness.map(() => [])
  client.took()
  let before = totals()
  for (let interval = 0; interval < intervals; interval++) {
    await sleep(intervalMs)
    const after = totals()
    for (const [n, total] of after.entries()) {
      const { answers, milliseconds } = before[n] ?? { answers: 0, milliseconds: 0 }
      if (total.answers > answers)
        means[n]?.push((total.milliseconds - milliseconds) / (total.answers - answers))
    }
    before = after
  }
  const took = client.took()
  const medians = means.map((samples) => quantile(samples, 0.5))
  return {
    spread: Math.max(...medians) / Math.min(...medians),
    text: `${medians.map((median) => (Number.isNaN(median) ? 'none' : median.toFixed(1))).join(', ')} ms`,
    quantiles: `${quantile(took, 0.5).toFixed(1)} / ${quantile(took, 0.99).toFixed(1)} ms`,
  }
}

/** @throws Error for a weight that moved too far, or that is below its floor */
function checkMoves(moves: readonly Move[], instances: number, seed: number): void {
  if (moves.length === 0) throw new Error(`seed ${seed}: nothing was decided`)
  const { maxStep, floor } = feedbackDefaults
  const least = Math.floor((100 / instances) * floor)
  for (const { from, to } of moves) {
    // Whole numbers: each of the two is less than one beside its exact part.
    const isWithin = to <= (from + 1) * (1 + maxStep) + 1 && to >= (from - 1) * (1 - maxStep) - 1
    if (!isWithin || to < least) throw new Error(`seed ${seed}: a weight went from ${from} to ${to}`)
  }
}

interface Recorder {
  state: TestGateway['gateway']['state']
  trace(): string
}

/** Passes the gateway's counters on and keeps them, with the weights in force: src/sources/feedback/trace.test.ts replays them. */
function record({ gateway }: TestGateway, table: FunctionTable): Recorder {
  const header = ['a', 'b', 'c'].flatMap((name) =>
    ['answered', 'failed', 'milliseconds'].map((what) => `${name} ${what}`),
  )
  const rows = [[...header, 'weights'].join(',')]
  return {
    state: (asked) => {
      const state = gateway.state(asked)
      const totals = (state?.instances ?? []).flatMap(
        ({ successful, failures, serverErrors, milliseconds }) => [
          successful,
          Math.max(failures, serverErrors),
          Math.round(milliseconds * 1000) / 1000,
        ],
      )
      const weights = table.function(asked)?.overlay?.weights ?? []
      rows.push([...totals, weights.join(':')].join(','))
      return state
    },
    trace: () => `${rows.join('\n')}\n`,
  }
}
