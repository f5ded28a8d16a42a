import { endpointText } from '../../model/address.ts'
import type { Table } from '../../schedulers/scheduler.ts'
import { differenceOfDestinations, type Destination } from '../plane.ts'
import type { Estimator } from './estimator.ts'
import { overloadedAfterClose, overloadedAfterOpen, overloadedAfterUpdate } from './overload.ts'
import { Tally } from './tally.ts'

/** A destination at work: its place in the table, its counters, its overload flag. */
export class Member {
  destination: Destination
  /** -1: removed from the service; what is open to it goes on. */
  index = -1
  tally = new Tally()
  overloaded = false

  constructor(destination: Destination) {
    this.destination = destination
  }
}

/** What changed for a scheduler: see Scheduler.changed. */
export type Changed = 'set' | 'weight' | 'health' | null

/** The destinations of one service in list order, with the typed arrays that the scheduler reads. */
export class Roster {
  readonly table: Table
  /** Counters of what belongs to no present destination: removed ones, and clients that found none. */
  readonly rest = new Tally()
  readonly #estimator: Estimator
  #members: Member[] = []

  constructor(destinations: readonly Destination[], estimator: Estimator) {
    this.#estimator = estimator
    this.table = {
      size: 0,
      weight: new Int32Array(0),
      maxWeight: new Int32Array(0),
      active: new Int32Array(0),
      inactive: new Int32Array(0),
      overloaded: new Uint8Array(0),
      name: [],
    }
    this.sync(destinations)
  }

  get members(): readonly Member[] {
    return this.#members
  }

  /** Makes the destinations these: members whose address stays keep their connections, counters and flags. */
  sync(destinations: readonly Destination[]): {
    readonly changed: Changed
    readonly removed: readonly Member[]
  } {
    const before = this.#members
    const difference = differenceOfDestinations(
      before.map((member) => member.destination),
      destinations,
    )
    const gone = new Set(difference.removed)
    const removed = before.filter((member) => gone.has(member.destination))
    const kept = new Map(
      before
        .filter((member) => !gone.has(member.destination))
        .map((member) => [member.destination.id, member]),
    )
    this.#members = destinations.map((destination) => kept.get(destination.id) ?? new Member(destination))
    const sameSet =
      before.length === this.#members.length &&
      this.#members.every((member, index) => before[index] === member)
    for (const [old, now] of difference.changed) {
      const member = kept.get(now.id)
      if (member !== undefined) member.overloaded = overloadedAfterUpdate(member.overloaded, old, now)
    }
    this.#members.forEach((member, index) => {
      member.destination = destinations[index] ?? member.destination
    })
    this.#fill()
    for (const member of removed) {
      member.index = -1
      this.rest.absorb(member.tally, this.#estimator)
      member.tally = this.rest
    }
    return { changed: sameSet ? weightChange(difference.changed) : 'set', removed }
  }

  /** A connection was given to the member. */
  opened(member: Member): void {
    if (member.tally.atRest) member.tally.watchedBy(this.#estimator)
    member.tally.active++
    member.overloaded = overloadedAfterOpen(member.overloaded, member.destination, connectionsOf(member))
    this.#post(member)
  }

  /** One of its connections is half closed. */
  quieted(member: Member): void {
    member.tally.active--
    member.tally.inactive++
    this.#post(member)
  }

  closed(member: Member, wasActive: boolean): void {
    if (wasActive) member.tally.active--
    else member.tally.inactive--
    member.overloaded = overloadedAfterClose(member.overloaded, member.destination, connectionsOf(member))
    this.#post(member)
  }

  /** May a connection be given to it, by affinity and not by the scheduler? */
  usable(member: Member): boolean {
    return member.index >= 0 && member.destination.weight > 0 && this.table.overloaded[member.index] === 0
  }

  /** Is there one that would take more if it had less to do? */
  get isFull(): boolean {
    return this.#members.some(
      ({ index, destination }) => destination.weight > 0 && this.table.overloaded[index] === 1,
    )
  }

  /** Runs `pick` with these members left out. */
  without<T>(tried: readonly Member[], pick: () => T): T {
    for (const member of tried) if (member.index >= 0) this.table.overloaded[member.index] = 1
    const result = pick()
    for (const member of tried) this.#post(member)
    return result
  }

  #fill(): void {
    const { table } = this
    const size = this.#members.length
    if (size > table.weight.length) {
      const room = Math.ceil(size * 1.25)
      table.weight = new Int32Array(room)
      table.maxWeight = new Int32Array(room)
      table.active = new Int32Array(room)
      table.inactive = new Int32Array(room)
      table.overloaded = new Uint8Array(room)
    }
    table.size = size
    table.name.length = size
    this.#members.forEach((member, index) => {
      const { address, port, weight, maxWeight } = member.destination
      if (table.name[index] === undefined || member.index !== index)
        table.name[index] = endpointText(address, port)
      member.index = index
      table.weight[index] = weight
      table.maxWeight[index] = maxWeight
      this.#post(member)
    })
  }

  #post(member: Member): void {
    const { index, tally, destination } = member
    if (index < 0) return
    const { table } = this
    table.active[index] = tally.active
    table.inactive[index] = tally.inactive
    const full = destination.maxConnections !== 0 && connectionsOf(member) >= destination.maxConnections
    table.overloaded[index] = member.overloaded || full ? 1 : 0
  }
}

/** ip_vs_dest_totalconns */
const connectionsOf = ({ tally }: Member): number => tally.active + tally.inactive

function weightChange(changed: readonly (readonly [Destination, Destination])[]): Changed {
  if (changed.some(([before, after]) => before.maxWeight !== after.maxWeight)) return 'weight'
  return changed.some(([before, after]) => before.weight !== after.weight) ? 'health' : null
}
