import { parseInterval } from '../model/duration.ts'
import type { FunctionName, FunctionSpec } from '../model/function.ts'
import { buildMaglev } from '../schedulers/maglev.ts'
import type { Board } from './board.ts'
import { Numbers } from './numbers.ts'
import type { Choice, Member, Route } from './route.ts'
import { boundedWeights, schedule } from './schedule.ts'
import type { Statistics } from './statistics.ts'

/** A function in force, as control publishes it. */
export interface GatewayFunction {
  readonly spec: FunctionSpec
  /** Its weights stand instead of those of `spec`. */
  readonly overlay?: { readonly weights: readonly number[] } | null
  /** One for each of `spec.ips`; address '': its name does not resolve. */
  readonly instances: readonly { readonly text: string; readonly address: string; readonly port: number }[]
}

/** What Workers are told of a change, to be carried out in this order. */
export interface TableChange {
  /** Numbers of instances that nobody has any more. */
  readonly retired: readonly number[]
  /** New instances, and such with another address. */
  readonly upstreams: readonly NumberedInstance[]
  readonly functions: readonly Route[]
  readonly removed: readonly FunctionName[]
}

interface NumberedInstance {
  readonly upstream: number
  readonly text: string
  readonly address: string
  readonly port: number
}

interface Published {
  readonly route: Route
  /** Workers in which requests may go by it. */
  holders: number
}

export interface PublisherOptions {
  readonly board: Board
  /** Of each Worker. */
  readonly statistics: readonly Statistics[]
  /** Instances that are gateways, as they stand in `ips`. */
  readonly gateways: ReadonlySet<string>
}

const usual = {
  waitMs: 1000,
  retries: 1,
  ejection: { failures: 5, baseMs: 1000, maxMs: 60_000 },
} as const

/** Makes routes of functions, and numbers all that Workers count: the one place that knows which numbers are free. */
export class Publisher {
  readonly #options: PublisherOptions
  readonly #upstreamNumbers: Numbers
  readonly #rowNumbers: Numbers
  readonly #functionNumbers: Numbers
  readonly #positionNumbers: Numbers
  readonly #upstreams = new Map<string, NumberedInstance>()
  readonly #texts: string[] = []
  /** Rows by function and instance. */
  readonly #rows = new Map<FunctionName, Map<string, number>>()
  readonly #current = new Map<FunctionName, Published>()
  readonly #versions = new Map<number, Published>()
  #retired: number[] = []
  #version = 0

  constructor(options: PublisherOptions) {
    const { board } = options
    this.#options = options
    this.#upstreamNumbers = new Numbers(board.size.upstreams)
    this.#rowNumbers = new Numbers(board.size.members)
    this.#functionNumbers = new Numbers(board.size.functions)
    this.#positionNumbers = new Numbers(board.positions)
  }

  change(changes: readonly { readonly name: FunctionName; readonly published: GatewayFunction | null }[]): {
    readonly change: TableChange
    /** Functions for which there is no room; what they were before stays. */
    readonly refused: readonly FunctionName[]
  } {
    const upstreams = new Map<number, NumberedInstance>()
    const functions: Route[] = []
    const removed: FunctionName[] = []
    const refused: FunctionName[] = []
    for (const { name, published } of changes) {
      if (published === null) {
        if (this.#current.delete(name)) removed.push(name)
        continue
      }
      const route = this.#route(name, published, upstreams)
      if (route === null) refused.push(name)
      else functions.push(route)
    }
    const retired = this.#retired
    this.#retired = []
    return { change: { retired, upstreams: [...upstreams.values()], functions, removed }, refused }
  }

  /** A Worker has no request left that goes by a version that was replaced or removed. */
  released(version: number): void {
    const published = this.#versions.get(version)
    if (published === undefined || --published.holders > 0) return
    this.#versions.delete(version)
    this.#drop(published.route)
  }

  /** The instance that has this number, or had it last. */
  textOf(upstream: number): string {
    return this.#texts[upstream] ?? ''
  }

  route(name: FunctionName): Route | null {
    return this.#current.get(name)?.route ?? null
  }

  #route(
    name: FunctionName,
    { spec, overlay, instances }: GatewayFunction,
    changed: Map<number, NumberedInstance>,
  ): Route | null {
    const before = this.#current.get(name)?.route ?? null
    const fn = before === null ? this.#newFunction() : this.#functionNumbers.share(before.fn)
    const weights = overlay?.weights ?? spec.weights
    const members: Member[] = []
    for (const [index, instance] of instances.entries()) {
      const upstream = this.#upstream(instance, changed)
      const row = this.#row(name, instance.text)
      members.push({
        text: instance.text,
        upstream,
        row,
        isGateway: this.#options.gateways.has(instance.text),
        isResolved: instance.address !== '',
        weight: weights[index] ?? 0,
      })
    }
    const method = spec.method ?? 'wrr'
    const locals = members.flatMap(({ isGateway }, index) => (isGateway ? [] : [index]))
    const everybody = members.map((_, index) => index)
    const all = this.#choice(method, members, everybody, before?.method === method ? before.all : null)
    const local =
      locals.length === members.length
        ? { ...all, position: this.#positionNumbers.share(all.position) }
        : this.#choice(method, members, locals, before?.method === method ? before.local : null)
    const { limits, ejection } = spec
    const route: Route = {
      version: ++this.#version,
      name,
      fn,
      method,
      hashHeader: spec.hash_header?.toLowerCase() ?? '',
      members,
      all,
      local,
      inFlight: limits?.in_flight ?? 0,
      queue: limits?.queue ?? 0,
      waitMs: limits?.wait === undefined ? usual.waitMs : parseInterval(limits.wait),
      retries: spec.retries ?? usual.retries,
      ejection:
        ejection === null
          ? null
          : {
              failures: ejection?.failures ?? usual.ejection.failures,
              baseMs: ejection?.base === undefined ? usual.ejection.baseMs : parseInterval(ejection.base),
              maxMs: ejection?.max === undefined ? usual.ejection.maxMs : parseInterval(ejection.max),
            },
    }
    if (
      [fn, all.position, local.position, ...members.flatMap(({ upstream, row }) => [upstream, row])].includes(
        -1,
      )
    ) {
      this.#drop(route)
      return null
    }
    const published = { route, holders: this.#options.statistics.length }
    this.#current.set(name, published)
    this.#versions.set(route.version, published)
    return route
  }

  #choice(
    method: Route['method'],
    members: readonly Member[],
    eligible: readonly number[],
    before: Choice | null,
  ): Choice {
    const weights = eligible.map((index) => members[index]!.weight)
    const isEven = weights.every((weight) => weight === 0)
    const turns =
      method === 'wrr'
        ? schedule(weights)
        : Uint16Array.from(weights.keys()).filter((index) => isEven || weights[index]! > 0)
    const order = turns.map((index) => eligible[index]!)
    let lookup: Choice['lookup'] = null
    if (method === 'hash') {
      const table = hashTable(
        eligible.map((index) => members[index]!.text),
        isEven ? weights.map(() => 1) : boundedWeights(weights),
      )
      lookup = table.map((index) => eligible[index]!)
    }
    // What does not change the order does not begin it anew.
    if (
      before !== null &&
      before.order.length === order.length &&
      before.order.every((member, at) => member === order[at])
    )
      return { order, lookup, position: this.#positionNumbers.share(before.position) }
    const position = this.#positionNumbers.take()
    if (position >= 0) this.#options.board.resetPosition(position)
    return { order, lookup, position }
  }

  #newFunction(): number {
    const fn = this.#functionNumbers.take()
    if (fn >= 0) for (const statistics of this.#options.statistics) statistics.resetFunction(fn)
    return fn
  }

  #upstream(
    { text, address, port }: GatewayFunction['instances'][number],
    changed: Map<number, NumberedInstance>,
  ): number {
    const known = this.#upstreams.get(text)
    const upstream =
      known === undefined ? this.#upstreamNumbers.take() : this.#upstreamNumbers.share(known.upstream)
    if (upstream < 0) return -1
    if (known === undefined) this.#options.board.resetUpstream(upstream)
    if (known?.address !== address || known.port !== port) {
      const instance = { upstream, text, address, port }
      this.#upstreams.set(text, instance)
      this.#texts[upstream] = text
      changed.set(upstream, instance)
    }
    return upstream
  }

  #row(name: FunctionName, text: string): number {
    const rows = this.#rows.get(name) ?? new Map<string, number>()
    this.#rows.set(name, rows)
    const known = rows.get(text)
    if (known !== undefined) return this.#rowNumbers.share(known)
    const row = this.#rowNumbers.take()
    if (row < 0) return -1
    for (const statistics of this.#options.statistics) statistics.resetMember(row)
    rows.set(text, row)
    return row
  }

  /** Gives back the numbers of a version. */
  #drop({ name, fn, members, all, local }: Route): void {
    if (fn >= 0) this.#functionNumbers.drop(fn)
    for (const { position } of [all, local]) if (position >= 0) this.#positionNumbers.drop(position)
    const rows = this.#rows.get(name)
    for (const { text, row, upstream } of members) {
      if (row >= 0 && this.#rowNumbers.drop(row)) rows?.delete(text)
      if (upstream >= 0 && this.#upstreamNumbers.drop(upstream)) {
        this.#upstreams.delete(text)
        this.#retired.push(upstream)
      }
    }
    if (rows?.size === 0) this.#rows.delete(name)
  }
}

/** Maglev's table over texts; every text but those of weight 0 has places in it. */
function hashTable(names: readonly string[], weights: readonly number[]): NonNullable<Choice['lookup']> {
  const size = names.length
  return buildMaglev({
    size,
    weight: Int32Array.from(weights),
    maxWeight: Int32Array.from(weights),
    active: new Int32Array(size),
    inactive: new Int32Array(size),
    overloaded: new Uint8Array(size),
    name: [...names],
  })
}
