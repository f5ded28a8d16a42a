import type { Control } from '../../control/control.ts'
import type { Log } from '../../control/events.ts'
import { followServices, type Announcer, type AnnouncerStatus, type FollowedServices } from '../announcer.ts'
import { ConsulAgent, ConsulRefused } from './agent.ts'
import {
  retryDelay,
  sameRegistration,
  stepsBetween,
  wantedRegistrations,
  type Place,
  type Registration,
  type Steps,
} from './registrations.ts'

/** Writes of one moment become one round. */
const gatherMs = 50
/** How often the agent's services are compared with ours: one that came up empty is noticed by this. */
const compareMs = 3000
const closeLimitMs = 5000
const callsAtATime = 16

export interface ConsulOptions {
  /** http:// or https:// URL of the agent; its path is of no meaning, as with GORB. */
  readonly url: string
  /** ACL token. */
  readonly token?: string | undefined
  /** Where the API answers, to be registered as `gorb`; null: it is not. */
  readonly self: { readonly address: string; readonly port: number } | null
  /** Marks what this Torb registered. The same after a restart, another one for each Torb of an agent. */
  readonly instance: string
  readonly log: Log
  readonly now: () => number
  readonly random: () => number
}

/**
 * Registers every service in a Consul agent, and Torb itself with a TCP check, and keeps it so until `close`.
 *
 * To be started when the services are those of the store and the file: what bears this Torb's mark and is no service
 * any more is deregistered.
 */
export function startConsul(
  control: Pick<Control, 'events' | 'serviceIds' | 'service'>,
  options: ConsulOptions,
): Announcer {
  return new ConsulAnnouncer(control, options)
}

class ConsulAnnouncer implements Announcer {
  readonly name = 'consul'
  readonly #options: ConsulOptions
  readonly #agent: ConsulAgent
  readonly #followed: FollowedServices
  /** What the agent holds of ours as far as we know, by id. */
  readonly #made = new Map<string, Place>()
  readonly #ended = new AbortController()
  #standing: Pick<AnnouncerStatus, 'state' | 'since' | 'message'>
  /** Ids that somebody else registered after us. */
  #taken: readonly string[] = []
  #timer: NodeJS.Timeout | null = null
  #round: Promise<void> | null = null
  /** The services changed since the last round began. */
  #changed = false
  #failures = 0
  #closed = false

  constructor(control: Pick<Control, 'events' | 'serviceIds' | 'service'>, options: ConsulOptions) {
    this.#options = options
    this.#agent = new ConsulAgent(options.url, options.token)
    this.#followed = followServices(control, () => this.#onChange())
    this.#standing = { state: 'behind', since: options.now(), message: 'registration has begun' }
    this.#arm(0)
  }

  status(): AnnouncerStatus {
    const wanted = this.#wanted()
    const missing = [...wanted].filter(([id, wish]) => !sameRegistration(this.#made.get(id), wish))
    const left = [...this.#made.keys()].filter((id) => !wanted.has(id))
    const pending = missing.length + left.length + this.#taken.length
    return { name: this.name, url: this.#agent.url, ...this.#standing, pending }
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#followed.close()
    if (this.#timer !== null) clearTimeout(this.#timer)
    const signal = AbortSignal.timeout(closeLimitMs)
    signal.addEventListener('abort', () => this.#ended.abort())
    await this.#round
    try {
      const { refusals } = await this.#converge(new Map(), signal)
      if (refusals[0] !== undefined) throw refusals[0]
    } catch (error) {
      const { url } = this.#agent
      const problem = signal.aborted
        ? `Consul at ${url} did not take everything back within ${closeLimitMs / 1000} s`
        : textOf(error)
      this.#options.log.warn(
        { url },
        `${problem}; what Torb registered stays there until it is started again, or is removed with "consul services deregister"`,
      )
    }
  }

  #onChange(): void {
    this.#changed = true
    if (this.#standing.state === 'in step') this.#stand('behind', underWay)
    // While the agent does not answer, the next try is soon enough.
    if (this.#round === null && this.#failures === 0) this.#arm(gatherMs)
  }

  #arm(ms: number): void {
    if (this.#closed) return
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#timer = null
      this.#round = this.#compare().finally(() => (this.#round = null))
    }, ms)
  }

  /** One comparison, what follows from it, and when the next one is due. Never rejects. */
  async #compare(): Promise<void> {
    const { log, random } = this.#options
    const { url } = this.#agent
    this.#changed = false
    try {
      const { steps, refusals } = await this.#converge(this.#wanted(), this.#ended.signal)
      if (this.#standing.state === 'unreachable') {
        const { register, deregister } = steps
        log.info(
          { url, registered: register.length - refusals.length, deregistered: deregister.length },
          'Consul answers again',
        )
      }
      this.#failures = refusals.length === 0 ? 0 : this.#failures + 1
      this.#taken = steps.taken
      const problem = refusals[0]?.message ?? (steps.taken[0] === undefined ? '' : takenText(steps.taken[0]))
      if (problem !== '' && problem !== this.#standing.message) log.warn({ url }, problem)
      if (problem !== '') this.#stand('behind', problem)
      else if (this.#changed) this.#stand('behind', underWay)
      else this.#stand('in step', '')
    } catch (error) {
      if (this.#closed) return
      this.#failures++
      const message = textOf(error)
      if (this.#standing.state !== 'unreachable') log.warn({ url }, `${message}; tried again until it does`)
      this.#stand('unreachable', message)
    }
    if (this.#failures > 0) this.#arm(retryDelay(this.#failures, random))
    else this.#arm(this.#changed ? gatherMs : compareMs * (0.8 + 0.2 * random()))
  }

  #wanted(): Map<string, Registration> {
    const { self, instance } = this.#options
    return wantedRegistrations(this.#followed.services.values(), self, instance)
  }

  /** Compares and takes the steps. @throws ConsulUnreachable where the agent does not answer */
  async #converge(
    wanted: ReadonlyMap<string, Registration>,
    signal: AbortSignal,
  ): Promise<{ readonly steps: Steps; readonly refusals: readonly ConsulRefused[] }> {
    const present = await this.#agent.services(signal)
    const steps = stepsBetween(wanted, present, this.#made, this.#options.instance)
    this.#made.clear()
    for (const [id, wish] of wanted) this.#made.set(id, wish)
    for (const { ID } of steps.register) this.#made.delete(ID)
    for (const { ID, Address, Port } of steps.deregister) this.#made.set(ID, { ID, Address, Port })
    const calls = [
      ...steps.deregister.map(({ ID }) => async () => {
        await this.#agent.deregister(ID, signal)
        this.#made.delete(ID)
      }),
      ...steps.register.map((registration) => async () => {
        await this.#agent.register(registration, signal)
        this.#made.set(registration.ID, registration)
      }),
    ]
    return { steps, refusals: await inParallel(calls) }
  }

  #stand(state: AnnouncerStatus['state'], message: string): void {
    const since = state === this.#standing.state ? this.#standing.since : this.#options.now()
    this.#standing = { state, since, message }
  }
}

const underWay = 'registration is under way'

const takenText = (id: string): string =>
  `"${id}" was registered in Consul by somebody else since: give the service another id, or remove theirs with "consul services deregister -id=${id}"`

/** @returns what the agent refused @throws the first other failure, after which no further call is made */
async function inParallel(calls: readonly (() => Promise<void>)[]): Promise<ConsulRefused[]> {
  const waiting = [...calls]
  const refusals: ConsulRefused[] = []
  const failures: unknown[] = []
  const worker = async (): Promise<void> => {
    for (let call = waiting.shift(); call !== undefined && failures.length === 0; call = waiting.shift()) {
      try {
        await call()
      } catch (error) {
        if (error instanceof ConsulRefused) refusals.push(error)
        else failures.push(error)
      }
    }
  }
  await Promise.all(Array.from({ length: callsAtATime }, worker))
  if (failures.length > 0) throw failures[0]
  return refusals
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
