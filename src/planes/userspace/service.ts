import { flagBit, type SchedulerName } from '../../model/names.ts'
import type { Ends, Transport } from '../../proxy/transport.ts'
import { schedulers } from '../../schedulers/catalogue.ts'
import type { Scheduler } from '../../schedulers/scheduler.ts'
import type { DestinationCounters, ServiceCounters, VirtualService } from '../plane.ts'
import { Affinity, type Template } from './affinity.ts'
import { Arrival } from './arrival.ts'
import type { Context } from './context.ts'
import { Roster, type Member } from './roster.ts'
import { Tally } from './tally.ts'

/** Schedulers whose pick moves nothing. */
const unmoved: ReadonlySet<SchedulerName> = new Set(['lc', 'wlc', 'sed', 'nq', 'sh', 'dh', 'mh', 'fo', 'ovf'])
/** Those whose pick is the same whoever comes, so that it may be made before. */
const drawable: ReadonlySet<SchedulerName> = new Set(['rr', 'wrr', 'twos'])

/** Where a connection goes. */
export interface Choice {
  readonly member: Member
  /** The affinity that holds it there, if the service has one. */
  readonly template: Template | null
}

/**
 * A service at work: who gets the next connection, and what is counted.
 *
 * Of ten thousand services most never see a client, so the roster and the scheduler are made for the first one.
 */
export abstract class Service {
  readonly context: Context
  readonly transport: Transport
  #spec: VirtualService
  #roster: Roster | null = null
  #scheduler: Scheduler | null = null
  #affinity: Affinity | null = null
  /** The next turn, where it was asked for before its client came. */
  #drawn: Member | null = null

  constructor(spec: VirtualService, context: Context, transport: Transport) {
    this.#spec = spec
    this.context = context
    this.transport = transport
  }

  get spec(): VirtualService {
    return this.#spec
  }

  get roster(): Roster {
    return (this.#roster ??= new Roster(this.#spec.destinations, this.context.estimator))
  }

  get scheduler(): Scheduler {
    if (this.#scheduler === null) {
      const { scheduler, flags } = this.#spec
      this.#scheduler = schedulers[scheduler](this.roster.table, {
        fallback: (flags & flagBit.fallback) !== 0,
        port: (flags & flagBit.port) !== 0,
      })
    }
    return this.#scheduler
  }

  get affinity(): Affinity | null {
    const { persistence } = this.#spec
    if (persistence === null) return null
    return (this.#affinity ??= new Affinity(persistence, this.context.wheel, this.context.templates))
  }

  /** Listens; rejects with the system's error. */
  abstract open(): Promise<void>
  /** Takes nothing new; what is open may end by itself. */
  abstract close(): void
  /** Its members left; UDP ends their flows. */
  protected abstract removed(members: readonly Member[]): void

  /**
   * A member for a new connection: by affinity where it has one that may take it, else by the scheduler.
   *
   * Affinity yields to weight 0 and to limits (as IPVS does with expire_quiescent_template), and the client moves for good.
   */
  choose(ends: Ends, tried: readonly Member[]): Choice | null {
    const { roster, affinity } = this
    const template = affinity?.find(ends.remoteAddress)
    if (template !== undefined && roster.usable(template.member) && !tried.includes(template.member)) {
      return { member: template.member, template }
    }
    const drawn = this.#drawn
    this.#drawn = null
    const member =
      drawn !== null && roster.usable(drawn) && !tried.includes(drawn)
        ? drawn
        : roster.without(tried, () => this.#pick(ends))
    if (member === null) return null
    return { member, template: affinity?.set(ends.remoteAddress, member) ?? null }
  }

  /**
   * Whom the scheduler gives a client, so that asking does not change what the next one gets; null: nobody.
   * undefined: it cannot be told, since the pick would be remembered.
   */
  foretell(ends: Ends): Member | null | undefined {
    const { scheduler } = this.#spec
    if (unmoved.has(scheduler)) return this.#pick(ends)
    if (!drawable.has(scheduler)) return undefined
    if (this.#drawn !== null && !this.roster.usable(this.#drawn)) this.#drawn = null
    return (this.#drawn ??= this.#pick(ends))
  }

  /** Changes everything but address, port and protocol, while it runs. */
  update(after: VirtualService): void {
    const before = this.#spec
    this.#spec = after
    if (
      before.persistence?.timeout !== after.persistence?.timeout ||
      before.persistence?.prefix !== after.persistence?.prefix
    ) {
      this.#affinity?.clear()
      this.#affinity = null
    }
    if (before.scheduler !== after.scheduler || before.flags !== after.flags) this.#scheduler = null
    if (this.#roster === null) return
    const { changed, removed } = this.#roster.sync(after.destinations)
    if (changed !== null || this.#scheduler === null) this.#drawn = null
    if (changed !== null) this.#scheduler?.changed(this.#roster.table, changed)
    this.removed(removed)
  }

  /** To be called when the service is gone: what was remembered of clients is. */
  forget(): void {
    this.#affinity?.clear()
    this.#affinity = null
  }

  counters(): ServiceCounters {
    const roster = this.#roster
    const total = new Tally()
    if (roster === null) {
      const destinations = this.#spec.destinations.map(({ id }) => [id, total.traffic()] as const)
      return { ...total.traffic(), destinations: new Map(destinations) }
    }
    total.add(roster.rest)
    const destinations = new Map<string, DestinationCounters>()
    for (const { destination, tally } of roster.members) {
      total.add(tally)
      destinations.set(destination.id, tally.counters())
    }
    return { ...total.traffic(), destinations }
  }

  zero(): void {
    this.#roster?.rest.zero()
    for (const { tally } of this.#roster?.members ?? []) tally.zero()
  }

  #pick(ends: Ends): Member | null {
    const { roster } = this
    const index = this.scheduler.pick(
      roster.table,
      new Arrival(ends, this.context.clock(), this.context.random),
    )
    return roster.members[index] ?? null
  }
}
