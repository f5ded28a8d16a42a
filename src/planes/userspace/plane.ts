import { setTimeout as sleep } from 'node:timers/promises'
import { openFileLimit } from '../../kernel/limits.ts'
import { complaints } from '../../model/complaints.ts'
import type { ServiceId } from '../../model/names.ts'
import { defaultTimeouts } from '../../model/timeouts.ts'
import type { Transport } from '../../proxy/transport.ts'
import { Wheel } from '../../proxy/wheel.ts'
import type { Change, Explanation, Flow, Outcome, Plane, ServiceCounters, VirtualService } from '../plane.ts'
import { userspaceCan } from './can.ts'
import type { AccessLogOptions, Context, PlaneLog, Timeouts } from './context.ts'
import { Estimator } from './estimator.ts'
import { Places } from './places.ts'
import { explain } from './explain.ts'
import { HttpFront } from './httpFront.ts'
import { HttpService } from './httpService.ts'
import { descriptorsRefused, listenRefused, refused, unsupported } from './refusals.ts'
import type { Service } from './service.ts'
import { Session, TcpService } from './tcpService.ts'
import { openTransport, type OpenTransport } from './transport.ts'
import { UdpService } from './udpService.ts'

export interface UserspaceOptions {
  readonly timeouts?: Timeouts
  readonly connectTimeoutMs?: number
  /** How long open connections may go on after `close`. */
  readonly closeWithinMs?: number
  readonly log?: PlaneLog
  /** The file is opened with the first http service. */
  readonly accessLog?: AccessLogOptions | undefined
  /** io_uring where it can be had, else node:net, unless given. */
  readonly openTransport?: () => Transport | Promise<Transport>
  /** How a ring is opened, where one can be had. */
  readonly openRing?: () => Promise<Transport>
  /** Milliseconds of a clock that never goes back, with fractions. */
  readonly clock?: () => number
  /** Uniform in [0, 1). */
  readonly random?: () => number
  readonly bounds?: Partial<Bounds>
}

/** Most that the plane holds at a time. */
interface Bounds {
  /** File descriptors: one for a listener and for a UDP flow, two for a TCP connection; http services get half of what is left. */
  readonly descriptors: number
  readonly flows: number
  /** Clients' networks remembered for affinity. */
  readonly templates: number
}

const tickMs = 250
const closePollMs = 20

/** Balances TCP, UDP and HTTP by proxying in this process. Needs no privilege; traffic ends with the process. */
export class UserspacePlane implements Plane {
  readonly can = userspaceCan
  readonly #services = new Map<ServiceId, Service>()
  readonly #context: Context
  readonly #closeWithinMs: number
  readonly #openTransport: () => Promise<OpenTransport>
  #transport: Promise<OpenTransport> | null = null
  /** From the first http service on. */
  #http: Promise<HttpFront> | null = null
  #turn: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor(options: UserspaceOptions = {}) {
    const clock = options.clock ?? (() => performance.now())
    const bounds = { ...defaultBounds(), ...options.bounds }
    const { openTransport: given } = options
    this.#openTransport =
      given === undefined
        ? () => openTransport(options.log, options.openRing)
        : async () => ({ transport: await given(), ringMissing: 'not asked for' })
    this.#closeWithinMs = options.closeWithinMs ?? 10_000
    this.#context = {
      wheel: new Wheel({ clock, tickMs }),
      estimator: new Estimator(clock),
      clock,
      random: options.random ?? Math.random,
      timeouts: options.timeouts ?? defaultTimeouts,
      connectTimeoutMs: options.connectTimeoutMs ?? 3000,
      descriptors: new Places(bounds.descriptors),
      flows: new Places(bounds.flows),
      templates: new Places(bounds.templates),
      accessLog: accessLogOf(options),
      complain: complainTo(options.log, complaints(clock)),
    }
  }

  /** Callable again; the first change does it otherwise. */
  async open(): Promise<void> {
    await this.#open()
  }

  // oxlint-disable-next-line require-await -- an async generator by the seam; what it yields is in memory
  async *observe(scope: 'all' | readonly ServiceId[]): AsyncGenerator<readonly [ServiceId, VirtualService]> {
    for (const key of scope === 'all' ? [...this.#services.keys()] : scope) {
      const service = this.#services.get(key)
      if (service !== undefined) yield [key, service.spec]
    }
  }

  /** Removals come first, so that a service may take over the address of one that goes in the same batch. */
  apply(changes: readonly Change<VirtualService, ServiceId>[]): Promise<readonly Outcome[]> {
    const turn = this.#turn.then(() => this.#applyAll(changes))
    this.#turn = turn
    return turn
  }

  counters(keys?: readonly ServiceId[]): Promise<ReadonlyMap<ServiceId, ServiceCounters>> {
    const counted = new Map<ServiceId, ServiceCounters>()
    for (const key of keys ?? this.#services.keys()) {
      const service = this.#services.get(key)
      if (service !== undefined) counted.set(key, service.counters())
    }
    return Promise.resolve(counted)
  }

  explain(flow: Flow): Promise<Explanation> {
    return Promise.resolve(explain(this.#services.values(), flow))
  }

  async withdraw(keys: readonly ServiceId[]): Promise<void> {
    await this.apply(keys.map((key) => ({ key, before: null, after: null })))
  }

  zero(keys: readonly ServiceId[] = [...this.#services.keys()]): Promise<void> {
    for (const key of keys) this.#services.get(key)?.zero()
    return Promise.resolve()
  }

  /** What carries TCP here, and why no better one. */
  async facts(): Promise<Readonly<Record<string, unknown>>> {
    const { transport, ringMissing } = await this.#open()
    return transport.name === 'ring' ? { tcp: 'io_uring' } : { tcp: 'node:net', io_uring: ringMissing }
  }

  /** Opens the file of the access log anew. Rejects with the system's error; the old one stays in use. */
  async reopenLog(): Promise<void> {
    const http = await this.#http?.catch(() => null)
    http?.reopenLog()
  }

  /** Listens no more, lets connections end within the limit, then resets the rest. */
  async close(): Promise<void> {
    this.#closed = true
    await this.withdraw([...this.#services.keys()])
    const { descriptors, wheel, estimator } = this.#context
    const http = await this.#http?.catch(() => null)
    http?.stop(this.#closeWithinMs)
    for (let waited = 0; descriptors.used > 0 && waited < this.#closeWithinMs; waited += closePollMs)
      await sleep(closePollMs)
    for (const entry of wheel.entries()) if (entry instanceof Session) entry.end()
    await http?.end()
    wheel.stop()
    estimator.stop()
    const opened = await this.#transport
    opened?.transport.end()
  }

  /** What the plane's timers do: ends what has been idle for too long, moves rates on. For who injected a clock. */
  tick(): void {
    this.#context.wheel.tick()
    this.#context.estimator.tick()
  }

  #open(): Promise<OpenTransport> {
    return (this.#transport ??= this.#openTransport())
  }

  async #applyAll(changes: readonly Change<VirtualService, ServiceId>[]): Promise<readonly Outcome[]> {
    const { transport } = await this.#open()
    const outcomes = changes.map((): Outcome => ({ ok: true }))
    const distinct = new Set(changes.map((change) => change.key)).size === changes.length
    const run = async ({ key, after }: Change<VirtualService, ServiceId>, index: number): Promise<void> => {
      if (after === null) this.#remove(key)
      else outcomes[index] = await this.#put(key, after, transport)
    }
    if (!distinct) {
      for (const [index, change] of changes.entries()) await run(change, index)
      return outcomes
    }
    // A removal is done when `run` returns; what is added goes on side by side.
    const removals = changes.map((change, index) => (change.after === null ? run(change, index) : undefined))
    await Promise.all(changes.map((change, index) => removals[index] ?? run(change, index)))
    return outcomes
  }

  async #put(key: ServiceId, after: VirtualService, transport: Transport): Promise<Outcome> {
    if (this.#closed) return { ok: false, error: refused(`service ${key}: the userspace plane is closing`) }
    const error = unsupported(after)
    if (error !== null) return { ok: false, error }
    const held = this.#services.get(key)
    if (held !== undefined && sameEndpoint(held.spec, after)) {
      held.update(after)
      return { ok: true }
    }
    const { descriptors } = this.#context
    if (!descriptors.take(1)) return { ok: false, error: descriptorsRefused(after, descriptors.limit) }
    const service = this.#make(after, transport)
    try {
      await service.open()
    } catch (error) {
      descriptors.give(1)
      return { ok: false, error: listenRefused(after, error) }
    }
    // The new one listens before the old one ends.
    this.#remove(key)
    this.#services.set(key, service)
    return { ok: true }
  }

  #make(spec: VirtualService, transport: Transport): Service {
    if (spec.protocol === 'http')
      return new HttpService(spec, this.#context, transport, () => this.#openHttp(transport))
    if (spec.protocol === 'udp') return new UdpService(spec, this.#context, transport)
    return new TcpService(spec, this.#context, transport)
  }

  #openHttp(transport: Transport): Promise<HttpFront> {
    this.#http ??= HttpFront.open(transport, this.#context).catch((error: unknown) => {
      this.#http = null
      throw error
    })
    return this.#http
  }

  #remove(key: ServiceId): void {
    const service = this.#services.get(key)
    if (service === undefined) return
    this.#services.delete(key)
    service.close()
    this.#context.descriptors.give(1)
  }
}

/** @example const plane = openUserspace({ timeouts: { tcp: 900, tcpfin: 120, udp: 300 }, log }) */
export const openUserspace = (options: UserspaceOptions = {}): UserspacePlane => new UserspacePlane(options)

const sameEndpoint = (a: VirtualService, b: VirtualService): boolean =>
  a.address === b.address && a.port === b.port && a.protocol === b.protocol

/** Some descriptors are left to the API, the store and the health checks. */
function defaultBounds(): Bounds {
  const limit = openFileLimit()
  const descriptors = limit - Math.min(1024, Math.ceil(limit / 8))
  return { descriptors, flows: Math.floor(descriptors / 2), templates: 65_536 }
}

const accessLogOf = ({ accessLog, log }: UserspaceOptions): Context['accessLog'] =>
  accessLog === undefined
    ? null
    : { ...accessLog, complain: (text) => log?.warn({ file: accessLog.path }, text) }

const complainTo =
  (log: PlaneLog | undefined, due: ReturnType<typeof complaints>): Context['complain'] =>
  (service, what) => {
    const suppressed = log === undefined ? null : due()
    if (suppressed !== null) log?.warn({ service, suppressed }, what)
  }
