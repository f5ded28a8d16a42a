import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import type { Endpoint, Held, Told, Traffic } from '../../lab/client.ts'
import type { Family } from '../../src/model/address.ts'
import { flagBit, type BackendId, type SchedulerName, type ServiceId } from '../../src/model/names.ts'
import { unsupported } from '../../src/planes/can.ts'
import { endpointKey } from '../../src/planes/endpoint.ts'
import {
  differenceOfDestinations,
  type Capabilities,
  type Change,
  type Destination,
  type Ledger,
  type Outcome,
  type Plane,
  type ServiceCounters,
  type VirtualService,
} from '../../src/planes/plane.ts'
import type { ClientNetwork, World } from './world.ts'

/** A case of the suite: a sentence that holds on every plane, and how it is shown. */
export type Cases = Readonly<Record<string, (rig: Rig) => Promise<void>>>

/** A service as a case wishes for it: what is not said is tcp, IPv4, any scheduler of the plane, two backends of weight 1. */
export interface Wish extends Partial<Omit<VirtualService, 'id' | 'destinations'>> {
  /** One backend of the world for each, in order. */
  readonly weights?: readonly number[]
  /** What all destinations have in common. */
  readonly each?: Partial<Destination>
}

/** What happened in one run over all cases: the plane under test, and the ledger that control would keep for it. */
export interface Stage {
  readonly world: World
  plane: Plane
  readonly notes: Map<ServiceId, string>
  /** Opens the plane anew, as after a restart of Torb. */
  reopen(): Promise<void>
}

export function ledgerOver(notes: ReadonlyMap<ServiceId, string>): Ledger {
  return { has: (key) => notes.has(key), keys: () => notes.keys(), note: (key) => notes.get(key) }
}

/** Who hashes gives no backend a turn: only the share of many connections tells something. */
const counting: readonly SchedulerName[] = ['rr', 'wrr', 'lc', 'wlc', 'sed', 'nq']
const hashing: readonly SchedulerName[] = ['mh', 'sh']

/** Who hashes may round shares: Open vSwitch deals sixteenths to three equal backends. */
const roundedAway = 0.045

let created = 0

/** What one case works with. What it makes is withdrawn after it. */
export class Rig {
  readonly world: World
  readonly #stage: Stage
  readonly #skip: (reason: string) => never
  readonly #mine = new Set<ServiceId>()

  constructor(stage: Stage, skip: (reason: string) => never) {
    this.#stage = stage
    this.world = stage.world
    this.#skip = skip
  }

  get plane(): Plane {
    return this.#stage.plane
  }

  get can(): Capabilities {
    return this.plane.can
  }

  /** A scheduler for the cases that are about something else. */
  get any(): { readonly scheduler: SchedulerName; readonly flags: number } {
    const scheduler = [...counting, ...hashing].find((name) => this.can.schedulers.has(name))
    if (scheduler === undefined)
      throw new Error(`the ${this.can.name} plane has no scheduler that the suite knows`)
    return { scheduler, flags: hashing.includes(scheduler) ? this.can.flags & flagBit.port : 0 }
  }

  /** So many connections by `any` reach every backend. */
  get sample(): number {
    if (!counting.includes(this.any.scheduler)) return 96
    return this.can.spread === 'exact' ? 12 : 36
  }

  /** Connections that tell of shares: `exact` of them where the plane counts, more where it hashes. */
  enough(exact: number): number {
    return this.can.spread === 'exact' ? exact : 160
  }

  /** Each backend has its part by these weights: exactly where the plane counts, else as near as draws come. */
  inProportion(answers: readonly Told[], spec: VirtualService, weights?: readonly number[]): void {
    const parts = weights ?? spec.destinations.map(({ weight }) => weight)
    const total = parts.reduce((sum, part) => sum + part, 0)
    const counts = shares(answers)
    spec.destinations.forEach(({ id }, index) => {
      const share = (parts[index] ?? 0) / total
      const [seen, wanted] = [counts[id] ?? 0, share * answers.length]
      if (this.can.spread === 'exact') expect(seen, `connections of ${id}`).toBe(wanted)
      else {
        const deviation = Math.sqrt(answers.length * share * (1 - share))
        const rounded = roundedAway * answers.length
        expect(Math.abs(seen - wanted), `${id} has ${seen} of ${wanted}`).toBeLessThan(
          rounded + 4 * deviation,
        )
      }
    })
  }

  /** Ends the case where the plane does not count. */
  mustCount(): void {
    if (!this.can.counters) this.skip(`the ${this.can.name} plane counts no connections or bytes`)
  }

  /** Ends the case without a verdict. */
  skip(reason: string): never {
    return this.#skip(reason)
  }

  clients(family: Family = 4): readonly string[] {
    const addresses = this.world.clients(family).flatMap((network) => network.addresses)
    if (addresses.length === 0) this.skip(`the world ${this.world.name} has no IPv${family} clients`)
    return addresses
  }

  /** @returns at least `count` client addresses, else the case is skipped */
  severalClients(count: number, family: Family = 4): readonly string[] {
    const addresses = this.clients(family)
    if (addresses.length < count) {
      this.skip(
        `the world ${this.world.name} has ${addresses.length} IPv${family} clients of ${count} needed`,
      )
    }
    return addresses
  }

  /** @returns `count` networks of clients, else the case is skipped */
  networks(count: number, family: Family = 4): readonly ClientNetwork[] {
    const networks = this.world.clients(family)
    if (networks.length < count) {
      this.skip(
        `the world ${this.world.name} has ${networks.length} IPv${family} client networks of ${count} needed`,
      )
    }
    return networks.slice(0, count)
  }

  /** The service of a wish, not yet applied. What the plane cannot do ends the case. */
  async spec(wish: Wish = {}): Promise<VirtualService> {
    const { weights = [1, 1], each = {}, ...rest } = wish
    const family = wish.family ?? 4
    const backends = this.world.backends(family)
    if (backends.length < weights.length)
      this.skip(`the world ${this.world.name} has no IPv${family} backends`)
    const forwarding =
      each.forwarding ?? [...this.can.forwarding].find((name) => this.world.forwarding.has(name)) ?? 'nat'
    const destinations = weights.map((weight, index): Destination => {
      const { name = '', address = '', port = 0 } = backends[index] ?? {}
      return {
        id: name,
        address,
        port,
        weight,
        maxWeight: weight,
        forwarding,
        tunnel: null,
        maxConnections: 0,
        upperThreshold: 0,
        lowerThreshold: 0,
        check: null,
        ...each,
      }
    })
    const spec: VirtualService = {
      id: `case-${++created}`,
      ...(wish.address === undefined
        ? await this.world.vip(family)
        : { address: wish.address, port: wish.port ?? 80 }),
      protocol: 'tcp',
      fwmark: 0,
      family,
      ...this.any,
      persistence: null,
      proxyProtocol: false,
      attach: this.world.attach,
      ovn: null,
      ...rest,
      // A scheduler that was asked for comes without the flags of `any`.
      ...(wish.scheduler === undefined || wish.flags !== undefined ? {} : { flags: 0 }),
      destinations,
    }
    const reason = this.#refusal(spec)
    if (reason !== null) this.skip(reason)
    return spec
  }

  /** Why the plane cannot carry it, by what it claims or as things are there. */
  #refusal(spec: VirtualService): string | null {
    return unsupported(this.can, spec) ?? this.plane.refuses?.(spec) ?? null
  }

  /** Programs the service of a wish. */
  async serve(wish: Wish = {}): Promise<VirtualService> {
    const spec = await this.spec(wish)
    await this.accepted({ key: spec.id, before: null, after: spec })
    return spec
  }

  /** Changes a service that is programmed. @returns how it is now */
  async change(before: VirtualService, fields: Partial<VirtualService>): Promise<VirtualService> {
    const after = { ...before, ...fields }
    const reason = this.#refusal(after)
    if (reason !== null) this.skip(reason)
    await this.accepted({ key: before.id, before, after })
    return after
  }

  /** Gives one destination another weight in force. */
  reweigh(before: VirtualService, backend: BackendId, weight: number): Promise<VirtualService> {
    return this.change(before, {
      destinations: before.destinations.map((destination) =>
        destination.id === backend ? { ...destination, weight } : destination,
      ),
    })
  }

  async accepted(...changes: readonly Change<VirtualService, ServiceId>[]): Promise<void> {
    for (const outcome of await this.apply(...changes)) {
      if (!outcome.ok) throw outcome.error
    }
    await this.world.settle('effect')
  }

  /** As control applies: the ledger is written before an add and cleared after a removal. */
  async apply(...changes: readonly Change<VirtualService, ServiceId>[]): Promise<readonly Outcome[]> {
    const { notes } = this.#stage
    for (const { key, after } of changes) {
      if (after === null) continue
      notes.set(key, endpointKey(after))
      this.#mine.add(key)
    }
    const outcomes = await this.plane.apply(changes)
    expect(outcomes, 'one outcome for each change').toHaveLength(changes.length)
    changes.forEach(({ key, before, after }, index) => {
      const ok = outcomes[index]?.ok === true
      if (ok ? after === null : before === null) notes.delete(key)
      else if (!ok && before !== null) notes.set(key, endpointKey(before))
    })
    return outcomes
  }

  async withdraw(...keys: readonly ServiceId[]): Promise<void> {
    await this.#withdraw(keys)
    await this.world.settle('effect')
  }

  async #withdraw(keys: readonly ServiceId[]): Promise<void> {
    await this.plane.withdraw(keys)
    for (const key of keys) this.#stage.notes.delete(key)
  }

  /** What the plane says that it holds. */
  async observe(scope: 'all' | readonly ServiceId[]): Promise<Map<ServiceId, VirtualService>> {
    const held = new Map<ServiceId, VirtualService>()
    for await (const [key, spec] of this.plane.observe(scope)) held.set(key, spec)
    return held
  }

  /** The plane holds the service as it was given: control's plan between the two is empty. The list may be in another order. */
  async holds(spec: VirtualService): Promise<void> {
    const held = (await this.observe([spec.id])).get(spec.id)
    if (held === undefined) throw new Error(`the plane does not hold ${spec.id}`)
    // Of the flags only those given matter: a kernel sets bits of its own (IP_VS_SVC_F_HASHED).
    expect({ ...held, flags: held.flags & spec.flags, destinations: [] }).toEqual({
      ...spec,
      destinations: [],
    })
    const difference = differenceOfDestinations(held.destinations, spec.destinations)
    expect(difference).toEqual({ added: [], removed: [], changed: [] })
  }

  /** Asks as many connections as it takes to reach every backend. @returns answers, and none failed */
  async ask(spec: VirtualService, traffic: Partial<Traffic> = {}): Promise<readonly Told[]> {
    const { answers, failures } = await this.world.exchange(this.traffic(spec, traffic))
    expect(failures).toEqual([])
    return answers
  }

  /** Opens connections that stay. @returns them, and none failed */
  async hold(spec: VirtualService, count: number, traffic: Partial<Traffic> = {}): Promise<readonly Held[]> {
    const { held, failures } = await this.world.hold(this.traffic(spec, { count, ...traffic }))
    expect(failures).toEqual([])
    return held
  }

  /** @returns why connections to the service fail; none of them succeeds */
  async failing(spec: VirtualService, count = 3): Promise<readonly string[]> {
    const { answers, failures } = await this.world.exchange(this.traffic(spec, { count }))
    expect(answers).toEqual([])
    expect(failures).toHaveLength(count)
    return failures
  }

  /** Each of these connections answers from the backend where it began. */
  async alive(held: readonly Held[]): Promise<void> {
    expect(await this.world.answering(held.map(({ id }) => id))).toEqual(held.map(({ backend }) => backend))
  }

  async release(held: readonly Held[]): Promise<void> {
    await this.world.release(held.map(({ id }) => id))
  }

  traffic(spec: VirtualService, traffic: Partial<Traffic> = {}): Traffic {
    const to: Endpoint = { address: spec.address, port: Number(spec.port) }
    const protocol = spec.protocol === 'sctp' ? 'tcp' : spec.protocol
    return { protocol, from: this.clients(spec.family), to, count: this.sample, ...traffic }
  }

  async counters(spec: VirtualService): Promise<ServiceCounters> {
    const counters = (await this.plane.counters([spec.id])).get(spec.id)
    if (counters === undefined) throw new Error(`the plane has no counters of ${spec.id}`)
    return counters
  }

  /** Waits until the backend has exactly so many open connections; without such counts only until they settle. */
  async activeIs(spec: VirtualService, backend: BackendId, wanted: number): Promise<void> {
    if (!this.can.activeConnections) return this.world.settle('statistics')
    let active = -1
    for (let turn = 0; turn < 200; turn++) {
      active = (await this.counters(spec)).destinations.get(backend)?.active ?? 0
      if (active === wanted) return
      await sleep(50)
    }
    expect(active, `open connections of ${backend}`).toBe(wanted)
  }

  /** Restarts the plane; `meanwhile` runs while there is none. */
  async restart(meanwhile: () => Promise<void>): Promise<void> {
    await this.plane.close()
    await meanwhile()
    await this.#stage.reopen()
  }

  /** Leaves nothing of the case behind. */
  async clear(): Promise<void> {
    await this.world.releaseAll()
    // The next case has virtual addresses of its own: nothing has to be in force.
    await this.#withdraw([...this.#mine])
  }
}

/** How many answers came from each backend. */
export function shares(answers: readonly Told[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { backend } of answers) counts[backend] = (counts[backend] ?? 0) + 1
  return counts
}

/** For each source address the backends that answered it. */
export function backendsBySource(answers: readonly Told[]): Map<string, Set<string>> {
  const bySource = new Map<string, Set<string>>()
  for (const { source, backend } of answers) {
    bySource.set(source, (bySource.get(source) ?? new Set()).add(backend))
  }
  return bySource
}
