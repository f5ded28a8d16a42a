import type { BackendId, ServiceId } from '../../model/names.ts'
import { Refusal } from '../../model/refusal.ts'
import type {
  Capabilities,
  Change,
  Explanation,
  Flow,
  HealthReport,
  Ledger,
  Outcome,
  Plane,
  ServiceCounters,
  VirtualService,
} from '../plane.ts'
import { adviceFor } from './advice.ts'
import { ovnCan } from './can.ts'
import { Confirmations } from './confirmations.ts'
import { conflictsOf, conflictText } from './conflicts.ts'
import { Connections } from './connections.ts'
import { refusalOf } from './draft.ts'
import { Draining } from './draining.ts'
import { countersOf } from './counters.ts'
import { explainFlow } from './explain.ts'
import { factsOf, progressOf } from './facts.ts'
import { foreignServices } from './foreign.ts'
import { checkAdvice } from './health.ts'
import { identifier } from './identifier.ts'
import { Liveness, type LivenessTimes } from './liveness.ts'
import { CheckSources } from './mappings.ts'
import { Monitors } from './monitors.ts'
import { defaultSlots } from './options.ts'
import { connectOvsdb } from './ovsdb/client.ts'
import type { OvsdbLock, OvsdbTls } from './ovsdb/ovsdb.ts'
import { OwnRows } from './ownRows.ts'
import { lackingFields } from './probe.ts'
import { layoutAdvice } from './rows.ts'
import { northboundTables, southboundTables, type Northbound, type Southbound } from './tables.ts'
import { templateAdvice } from './templates.ts'
import { Topology } from './topology.ts'
import { runTrace } from './trace.ts'
import { mappedOf, seenService, type View } from './view.ts'
import { currentNumber, Writer } from './writer.ts'

export interface OvnOptions {
  /** unix:PATH, tcp:HOST:PORT or ssl:HOST:PORT; of a cluster all its members. */
  readonly northbound: readonly string[]
  readonly southbound: readonly string[]
  /** Marks what is this Torb's; of several Torbs with one owner one writes. */
  readonly owner: string
  readonly tls?: OvsdbTls
  /** Length of a list of backends at most, where a service does not say; 64 where absent. */
  readonly slots?: number
  /** So long a connection that broke during a write may take to come back before that counts as failed; 5 s where absent. */
  readonly patienceMs?: number
  /** When chassis are asked for a sign of life, and when they count as silent; `Liveness` has the usual times. */
  readonly liveness?: LivenessTimes
  /** Run directories or control sockets of ovs-vswitchd on this machine, by which open connections are seen. */
  readonly vswitchd?: readonly string[]
  readonly log: { info(fields: object, text: string): void; warn(fields: object, text: string): void }
}

/** All that is there while the plane is open. */
interface Open {
  readonly view: View
  readonly lock: OvsdbLock
  readonly writer: Writer
  readonly draining: Draining
  readonly ends: readonly (() => void)[]
}

/** Who holds up a change is told again so often. */
const remindMs = 1000

/** Writes load balancers to OVN's northbound database, which distributes them over its chassis. Traffic goes on without Torb. */
export class OvnPlane implements Plane {
  readonly confirmed = new Confirmations()
  readonly #options: OvnOptions
  readonly #connections: Connections
  #open: Open | null = null
  /** Milliseconds since the epoch since when northd has not followed; 0: it has. */
  #northdBehind = 0

  constructor(options: OvnOptions) {
    this.#options = options
    this.#connections = new Connections({ vswitchd: options.vswitchd ?? [], log: options.log })
  }

  get can(): Capabilities {
    return { ...ovnCan, activeConnections: this.#seesAllConnections }
  }

  /** Chassis elsewhere may have connections of a backend that has none here. */
  get #seesAllConnections(): boolean {
    const chassis = this.#open?.view.southbound.rows('Chassis').size ?? Infinity
    return this.#connections.known && chassis <= this.#connections.size
  }

  async open(_ledger: Ledger): Promise<void> {
    const { northbound, southbound, tls, log } = this.#options
    const shared = { leaderOnly: true, log, ...(tls === undefined ? {} : { tls }) }
    const nb = await connectOvsdb({
      ...shared,
      database: 'OVN_Northbound',
      addresses: northbound,
      tables: northboundTables,
    })
    let sb: Southbound | null = null
    try {
      // Nothing is written there: any member of a cluster will do.
      sb = await connectOvsdb({
        ...shared,
        leaderOnly: false,
        database: 'OVN_Southbound',
        addresses: southbound,
        tables: southboundTables,
      })
      this.#open = await this.#start(nb, sb)
      await this.#open.writer.lockKnown()
      const standby = this.standby()
      if (standby !== null) log.info({ plane: 'ovn' }, standby)
      this.#follow()
      void this.#connections.check()
    } catch (error) {
      await Promise.all([nb.close(), sb?.close()])
      throw error
    }
  }

  async #start(northbound: Northbound, southbound: Southbound): Promise<Open> {
    const { owner, slots = defaultSlots, log } = this.#options
    const own = new OwnRows(northbound, owner)
    const topology = new Topology(northbound)
    const ends = [
      northbound.subscribe((changes) => {
        own.apply(changes)
        topology.apply(changes)
        this.#follow()
      }),
      southbound.subscribe(() => this.#follow()),
    ]
    const mappings = [...northbound.rows('Load_Balancer').values()].flatMap((row) =>
      own.isOwn(row) ? [...(row.ip_port_mappings?.values() ?? [])] : [],
    )
    const lock = northbound.lock(`torb_${identifier(owner)}`)
    const liveness = new Liveness({ northbound, southbound, lock, log, ...this.#options.liveness })
    const view: View = {
      northbound,
      southbound,
      topology,
      own,
      owner,
      slots,
      monitors: new Monitors(southbound, topology, liveness),
      sources: new CheckSources(topology, mappings),
      lacking: await lackingFields(northbound),
    }
    const number = currentNumber(northbound)
    const progress = progressOf(view)
    for (const id of own.ids()) {
      watchHealth(view, id)
      // What an earlier run wrote may not have come everywhere.
      if (progress.hv < number) this.confirmed.earlier(id, number)
    }
    this.confirmed.remind(progress)
    const writer = new Writer(view, lock, {
      patienceMs: this.#options.patienceMs ?? 5000,
      committed: (changes, number) => this.#committed(changes, number),
      warn: (fields, text) => log.warn(fields, text),
    })
    const connections = this.#connections
    const draining = new Draining({ northbound, topology, connections, owner, lock, log })
    const timer = setInterval(() => this.confirmed.remind(progressOf(view)), remindMs)
    timer.unref()
    ends.push(
      () => clearInterval(timer),
      () => liveness.close(),
      lock.watch((held) => {
        log.info(
          { plane: 'ovn', owner },
          held ? 'this Torb writes to the northbound database' : 'this Torb stands by',
        )
        if (held) void draining.open().catch((error: unknown) => log.warn({ plane: 'ovn' }, String(error)))
      }),
    )
    return { view, lock, writer, draining, ends }
  }

  // oxlint-disable-next-line require-await -- from memory; the seam is asynchronous
  async *observe(scope: 'all' | readonly ServiceId[]): AsyncGenerator<readonly [ServiceId, VirtualService]> {
    const { view } = this.#opened
    for (const id of scope === 'all' ? [...view.own.ids()] : scope) {
      const seen = seenService(view, id)
      if (seen !== null) yield [id, seen]
    }
  }

  async apply(changes: readonly Change<VirtualService, ServiceId>[]): Promise<readonly Outcome[]> {
    const { view, writer, draining } = this.#opened
    const distinct = new Set(changes.map(({ key }) => key)).size === changes.length
    const outcomes: Outcome[] = []
    for (const batch of distinct ? [changes] : changes.map((change) => [change])) {
      const before = batch.map(({ key }) => view.own.spec(key))
      const afters = batch.flatMap(({ after }) => after ?? [])
      await draining.giveWay(afters)
      const results = await writer.carryOut(batch)
      results.forEach((outcome, index) => {
        const change = batch[index]
        if (!outcome.ok || change === undefined) return
        watchHealth(view, change.key)
        const was = before[index] ?? null
        if (was !== null) draining.reset(was, gone(was, change.after))
      })
      // What one change took away another may have brought.
      await draining.giveWay(afters)
      outcomes.push(...results)
    }
    return outcomes
  }

  /** That another Torb of this owner writes; null where it does not. */
  standby(): string | null {
    return this.#open?.writer.standby() ?? null
  }

  refuses(spec: VirtualService): string | null {
    return this.#open === null ? null : refusalOf(this.#open.view, spec)
  }

  health(service: ServiceId, backend: BackendId): { readonly up: boolean; readonly reason: string } | null {
    return this.#open?.view.monitors.health(service, backend) ?? null
  }

  get signals(): AsyncIterable<HealthReport> {
    return this.#opened.view.monitors
  }

  advice(key: ServiceId): readonly string[] {
    if (this.#open === null) return []
    const { view } = this.#open
    const row = view.own.main(key)
    const spec = view.own.spec(key)
    if (row === null || spec === null) return []
    return [
      ...adviceFor(spec, view.topology),
      ...conflictsOf(row, view.owner, view.topology).map(conflictText),
      ...checkAdvice(spec),
      ...layoutAdvice(spec, view.slots),
      ...templateAdvice(spec, view.southbound.rows('Chassis').values()),
    ]
  }

  async counters(keys?: readonly ServiceId[]): Promise<ReadonlyMap<ServiceId, ServiceCounters>> {
    const { view } = this.#opened
    const specs = (keys ?? [...view.own.ids()]).flatMap((id) => view.own.spec(id) ?? [])
    return countersOf(specs, this.#connections)
  }

  explain(flow: Flow): Promise<Explanation> {
    const { view } = this.#opened
    const { topology, owner, own, monitors } = view
    const { southbound: addresses, tls } = this.#options
    const services = [...own.ids()].flatMap((id) => {
      const row = own.main(id)
      const spec = own.spec(id)
      return spec === null ? [] : [{ spec, row }]
    })
    return explainFlow(flow, {
      services,
      topology,
      owner,
      chassisOf: (port) => monitors.chassisOf(port),
      health: (service, backend) => monitors.health(service, backend),
      trace: (microflow) => runTrace(microflow, { addresses, ...(tls === undefined ? {} : { tls }) }),
    })
  }

  // oxlint-disable-next-line require-await -- from memory; the seam is asynchronous
  async foreign(endpoints?: readonly string[]): Promise<readonly VirtualService[]> {
    const { northbound, owner } = this.#opened.view
    return foreignServices(northbound, owner, endpoints === undefined ? null : new Set(endpoints))
  }

  async withdraw(keys: readonly ServiceId[]): Promise<void> {
    const { own } = this.#opened.view
    const mine = [...new Set(keys)].filter((key) => own.has(key))
    const outcomes = await this.apply(mine.map((key) => ({ key, before: null, after: null })))
    for (const outcome of outcomes) if (!outcome.ok) throw outcome.error
  }

  /** Removes all that bears this owner's mark. */
  flush(): Promise<void> {
    return this.withdraw([...this.#opened.view.own.all()])
  }

  /** OVN keeps no counters of balanced connections. */
  zero(): Promise<void> {
    return Promise.resolve()
  }

  // oxlint-disable-next-line require-await -- from memory; the seam is asynchronous
  async facts(): Promise<Readonly<Record<string, unknown>>> {
    const { view, lock } = this.#opened
    return factsOf(view, lock.held, this.#northdBehind, this.confirmed.pending)
  }

  /** Everything in the databases stays. */
  async close(): Promise<void> {
    const open = this.#open
    if (open === null) return
    this.#open = null
    this.confirmed.close()
    for (const end of open.ends) end()
    open.view.monitors.close()
    await open.draining.close()
    await open.writer.close()
    await Promise.all([open.view.northbound.close(), open.view.southbound.close()])
  }

  get #opened(): Open {
    if (this.#open === null) throw new Refusal('unreachable', 'the ovn plane is not open')
    return this.#open
  }

  #committed(changes: readonly Change<VirtualService, ServiceId>[], number: number): void {
    for (const change of changes) this.confirmed.accepted(change, number)
    this.#follow()
  }

  #follow(): void {
    if (this.#open === null) return
    const { view } = this.#open
    const progress = progressOf(view)
    if (progress.sb >= currentNumber(view.northbound)) this.#northdBehind = 0
    else if (this.#northdBehind === 0) this.#northdBehind = Date.now()
    this.confirmed.follow(progress)
  }
}

function watchHealth(view: View, id: ServiceId): void {
  const spec = view.own.spec(id)
  if (spec === null) view.monitors.forget(id)
  else view.monitors.set(spec, mappedOf(view, spec))
}

/** Backends that a change takes away. */
function gone(before: VirtualService, after: VirtualService | null): VirtualService['destinations'] {
  const stays = new Set(after?.destinations.map(({ address, port }) => `${address} ${port}`))
  return before.destinations.filter(({ address, port }) => !stays.has(`${address} ${port}`))
}
