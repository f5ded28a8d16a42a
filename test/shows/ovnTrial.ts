import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { OvnLab } from '../../lab/ovn/ovn.ts'
import { startDaemon, type Answer, type RunningDaemon } from '../rig.ts'
import { wrongRows, type WantedRow } from './ovnRows.ts'
import { carryOut, Expected, nextWish, pathOf, verify, type Wish } from './wishes.ts'

const clients = 4
const port = 80
const backends = ['0', '1', '2', '3', '4'] as const
/** How long anything may take that has to come. */
const limitMs = 60_000

/** What of GET /plane a trial looks at. */
export interface PlaneShown {
  readonly facts: {
    readonly northbound: { readonly connected: boolean; readonly problem: string }
    readonly northd: string
    readonly writer: boolean
  }
  readonly lag: { readonly lagging: Readonly<Record<string, number>> }
}

interface ServiceShown {
  readonly id: string
  readonly reconcile: {
    readonly state: string
    readonly message: string
    readonly lagging: readonly string[]
  }
}

const backendAddress = (backend: string): string => `10.8.0.${10 + Number(backend)}`
const addressOf = (service: string): string => `10.9.0.${Number(service.slice(1)) + 1}`

/** A switch with backends whose logical ports OVN knows, and a client on each chassis. */
export async function layOutTrial(lab: OvnLab): Promise<void> {
  await lab.nbctl(
    ...'lr-add router -- lrp-add router to-inside 0a:00:00:01:00:01 10.8.0.1/16 -- ls-add inside'.split(' '),
    ...'-- lsp-add inside up -- lsp-set-type up router -- lsp-set-addresses up router'.split(' '),
    ...'-- lsp-set-options up router-port=to-inside'.split(' '),
    ...backends.flatMap((backend) => [
      ...`-- lsp-add inside vm${backend} -- lsp-set-addresses vm${backend}`.split(' '),
      `0a:00:00:03:00:0${backend} ${backendAddress(backend)}`,
    ]),
  )
  for (const [index] of lab.chassis.entries())
    await lab.port(index === 0 ? 1 : 2, 'inside', `client${index}`, {
      addresses: [`10.8.1.${index + 1}/16`],
    })
}

/** Clients that write to a Torb over an OVN while things break, and what they were promised. */
export class Trial implements AsyncDisposable {
  acknowledged = 0
  refused = 0
  kills = 0
  /** Writes that were shown as accepted and not yet in effect while somebody was dead. */
  held = 0
  readonly #lab: OvnLab
  readonly #random: () => number
  readonly #seed: number
  readonly #pauseMs: number
  readonly #data: string
  readonly #streams = Array.from({ length: clients }, () => new Expected())
  #torb: RunningDaemon
  /** By whom no change gets now, by the name that `lagging` has. */
  #dead: string | null = null
  #stopping = false
  #writing: Promise<unknown> = Promise.resolve()
  #failure: Error | null = null

  private constructor(
    lab: OvnLab,
    torb: RunningDaemon,
    data: string,
    options: { random: () => number; seed: number; pauseMs: number },
  ) {
    this.#lab = lab
    this.#torb = torb
    this.#data = data
    this.#random = options.random
    this.#seed = options.seed
    this.#pauseMs = options.pauseMs
  }

  static async start(
    lab: OvnLab,
    options: { random: () => number; seed: number; pauseMs: number },
  ): Promise<Trial> {
    const data = await mkdtemp(join(tmpdir(), 'torb-ovn-faults-'))
    const trial = new Trial(lab, await startTorb(lab, data), data, options)
    trial.resume()
    return trial
  }

  /** Kills Torb and starts it again, with whatever happens in between. */
  async killTorb(meanwhile: () => Promise<unknown> = () => Promise.resolve()): Promise<void> {
    const waiting = this.#dead === null ? [] : await this.#accepted()
    this.#stopping = true
    await this.#torb.end('SIGKILL')
    await this.pause()
    this.kills++
    await meanwhile()
    this.#torb = await startTorb(this.#lab, this.#data)
    await verify(this.#torb, this.#streams, this.#seed)
    const still = await this.#accepted()
    const there = new Set((await this.services()).map(({ id }) => id))
    const forgotten = waiting.filter((id) => there.has(id) && !still.includes(id))
    if (forgotten.length > 0)
      throw new Error(`seed ${this.#seed}: ${forgotten.join()} waited before kill -9, and do not after it`)
    this.resume()
  }

  /** While `name` is dead no change may be shown as applied, and soon it is shown whom it waits for. */
  async without(name: string, writes: number, meanwhile: () => Promise<unknown>): Promise<void> {
    this.#dead = name
    await this.writes(writes)
    await this.until(`a service that waits for ${name}`, async () =>
      (await this.services()).some(
        ({ reconcile: { state, lagging } }) => state === 'accepted' && lagging.join() === name,
      ),
    )
    await this.until(`GET /plane that counts who waits for ${name}`, async () => {
      const { lag } = await this.plane()
      return (lag.lagging[name] ?? 0) > 0
    })
    await meanwhile()
    this.#dead = null
  }

  /** The clients end what they have begun. */
  async pause(): Promise<void> {
    this.#stopping = true
    await this.#writing
  }

  /** A service is asked for that must not come to be. */
  async creationRefused(): Promise<void> {
    const { status } = await this.#torb.api('PUT', '/service/s99', {
      host: addressOf('s99'),
      port,
      attach: { switches: ['inside'] },
    })
    if (status !== 503) throw new Error(`a service was created by a server that hangs: ${status}`)
    this.refused++
  }

  /** Waits until so many more writes are acknowledged. */
  async writes(count: number): Promise<void> {
    const enough = this.acknowledged + count
    await this.until(`${count} writes`, () => Promise.resolve(this.acknowledged >= enough))
  }

  /** Waits until so many more writes are refused. */
  async refusals(count: number): Promise<void> {
    const enough = this.refused + count
    await this.until(`${count} refused writes`, () => Promise.resolve(this.refused >= enough))
  }

  async plane(): Promise<PlaneShown> {
    const { planes } = (await this.#torb.must('GET', '/plane')) as { readonly planes: readonly PlaneShown[] }
    const [plane] = planes
    if (plane === undefined) throw new Error('GET /plane shows no plane')
    return plane
  }

  async services(): Promise<readonly ServiceShown[]> {
    return (await this.#torb.must('GET', '/service?full')) as readonly ServiceShown[]
  }

  /** @throws Error of a client, or where it does not come true in time */
  async until(what: string, holds: () => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + limitMs
    while (!(await holds())) {
      if (this.#failure !== null) throw this.#failure
      if (performance.now() > deadline) throw new Error(`seed ${this.#seed}: there was never ${what}`)
      await sleep(10)
    }
  }

  /** The clients end; then Torb, the database and the chassis must have what was acknowledged, and nothing else. */
  async finish(): Promise<void> {
    await this.pause()
    if (this.#failure !== null) throw this.#failure
    await this.until('a time at which all is applied', async () =>
      (await this.services()).every(({ reconcile }) => reconcile.state === 'applied'),
    )
    await verify(this.#torb, this.#streams, this.#seed)
    let wrong: readonly string[] = []
    const right = async (): Promise<boolean> => {
      wrong = await wrongRows(this.#lab.nbAddress.split(','), 'inside', await this.#wanted())
      return wrong.length === 0
    }
    // What of connections is reset takes a row for a moment.
    for (let tries = 0; !(await right()); tries++) {
      if (tries === 20) throw new Error(`seed ${this.#seed}: ${wrong.join('\n')}`)
      await sleep(100)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping = true
    await this.#torb.end('SIGKILL')
    await this.#writing
    await rm(this.#data, { recursive: true, force: true })
  }

  async #accepted(): Promise<readonly string[]> {
    return (await this.services()).flatMap(({ id, reconcile }) => (reconcile.state === 'accepted' ? id : []))
  }

  /** The clients write. */
  resume(): void {
    this.#stopping = false
    this.#writing = Promise.all(
      this.#streams.map(async (expected, stream) => {
        try {
          while (!this.#stopping && (await this.#one(expected, stream)))
            await sleep(this.#random() * 2 * this.#pauseMs)
        } catch (error) {
          this.#failure ??= error as Error
        }
      }),
    )
  }

  /** @returns false: Torb is gone */
  async #one(expected: Expected, stream: number): Promise<boolean> {
    const wish = nextWish(expected, stream, this.#random)
    expected.inFlight = wish
    const dead = this.#dead
    const answer = await this.#ask(wish.method, pathOf(wish), bodyOf(wish))
    if (answer === null) return false
    if (answer.status === 200) {
      carryOut(expected, wish)
      this.acknowledged++
    } else if (answer.status === 503) this.refused++
    else
      throw new Error(
        `seed ${this.#seed}: ${JSON.stringify(wish)}: ${answer.status} ${JSON.stringify(answer.body)}`,
      )
    expected.inFlight = null
    if (answer.status === 200 && dead !== null && wish.method !== 'DELETE')
      await this.#shownHeld(wish.service, dead)
    return true
  }

  async #shownHeld(service: string, dead: string): Promise<void> {
    const shown = await this.#ask('GET', `/service/${service}`)
    if (shown === null || this.#dead !== dead) return
    const { reconcile } = shown.body as ServiceShown
    if (reconcile.state !== 'accepted')
      throw new Error(
        `seed ${this.#seed}: ${service} is shown as ${JSON.stringify(reconcile)} while ${dead} is dead`,
      )
    this.held++
  }

  /** @returns null where no answer came since Torb was killed */
  async #ask(method: string, path: string, body?: object): Promise<Answer | null> {
    try {
      return await this.#torb.api(method, path, body)
    } catch (error) {
      if (this.#stopping) return null
      throw error
    }
  }

  async #wanted(): Promise<ReadonlyMap<string, WantedRow>> {
    const wanted = new Map<string, WantedRow>()
    for (const { services } of this.#streams)
      for (const [id, configured] of services) {
        const weights = new Map<string, number>()
        for (const backend of configured.keys()) {
          const { options } = (await this.#torb.must('GET', `/service/${id}/${backend}`)) as {
            readonly options: { readonly weight: number }
          }
          weights.set(backend, options.weight)
        }
        wanted.set(id, {
          vip: `${addressOf(id)}:${port}`,
          weights: byEndpoint(weights),
          configured: byEndpoint(configured),
        })
      }
    return wanted
  }
}

const byEndpoint = (weights: ReadonlyMap<string, number>): ReadonlyMap<string, number> =>
  new Map([...weights].map(([backend, weight]) => [`${backendAddress(backend)}:${port}`, weight]))

function startTorb(lab: OvnLab, data: string): Promise<RunningDaemon> {
  return startDaemon({ data, args: ['--plane', 'ovn', '--ovn-nb', lab.nbAddress, '--ovn-sb', lab.sbAddress] })
}

/** The backends of every other service are checked by OVN, so that its rows have further ones that belong to them. */
function bodyOf({ method, service, backend, weight }: Wish): object | undefined {
  if (method === 'DELETE') return undefined
  if (backend === null) return { host: addressOf(service), port, attach: { switches: ['inside'] } }
  if (method === 'PATCH') return { weight }
  const type = Number(service.slice(1)) % 2 === 0 ? 'tcp' : 'none'
  return { host: backendAddress(backend), port, weight, pulse: { type } }
}
