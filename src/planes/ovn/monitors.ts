import { canonicalAddress, familyOf } from '../../model/address.ts'
import type { BackendId, ServiceId } from '../../model/names.ts'
import type { Destination, HealthReport, VirtualService } from '../plane.ts'
import { RowIndex } from './rowIndex.ts'
import type { Liveness } from './liveness.ts'
import type { Mapped, Mapping } from './mappings.ts'
import { News } from './news.ts'
import type { Southbound, SouthboundRow } from './tables.ts'
import type { Topology } from './topology.ts'

/** What is known of a backend's monitor. */
export interface MonitorFacts {
  /** Name of its logical port. */
  readonly port: string
  readonly protocol: string
  /** Of Service_Monitor (ovn-sb(5)); null where it is empty: no verdict yet; undefined: there is no such monitor. */
  readonly status: string | null | undefined
  /** Name of the chassis that the port is bound to. */
  readonly chassis: string | null
  /** The chassis follows nothing any more: what its monitor said last is of no worth. */
  readonly silent: boolean
  /** False where the port was disabled in the northbound database: OVN then has no monitor for it. */
  readonly enabled: boolean
}

export interface Verdict {
  readonly up: boolean
  /** A clause for people; '' where it is up. */
  readonly reason: string
}

/** What the monitor says; null: nothing yet. */
export function verdictOf({
  port,
  protocol,
  status,
  chassis,
  silent,
  enabled,
}: MonitorFacts): Verdict | null {
  if (!enabled) return { up: false, reason: `port ${port} is disabled` }
  if (chassis === null) return { up: false, reason: `port ${port} is not bound to a chassis` }
  if (silent) return { up: false, reason: `chassis ${chassis} is silent, so nobody checks port ${port}` }
  if (status === 'online') return { up: true, reason: '' }
  if (status === null || status === undefined) return null
  const why = protocol === 'udp' ? 'port unreachable' : 'no answer or refused'
  return {
    up: false,
    reason: `OVN's monitor on chassis ${chassis}: ${status === 'offline' ? `offline (${why})` : status}`,
  }
}

/** A backend that somebody wants to hear of. */
interface Watched {
  readonly service: ServiceId
  readonly backend: BackendId
  readonly protocol: string
  /** null: OVN has no way to check it, because of `problem`. */
  readonly mapping: Mapping | null
  readonly problem: string
  /** Of its monitor. */
  readonly key: string
  /** As last known. */
  up: boolean | null
}

type MonitorRow = SouthboundRow<'Service_Monitor'>
type BindingRow = SouthboundRow<'Port_Binding'>

/** The health of backends as the monitors on the chassis have it (Service_Monitor of the southbound database). */
export class Monitors implements AsyncIterable<HealthReport> {
  readonly #southbound: Pick<Southbound, 'rows' | 'state'>
  readonly #topology: Pick<Topology, 'portNamed'>
  readonly #liveness: Pick<Liveness, 'isSilent'>
  readonly #monitors = new RowIndex<MonitorRow>((row) => [
    keyOf(String(row.protocol ?? 'tcp'), canonical(row.ip), row.port, row.logical_port),
  ])
  readonly #bindings = new RowIndex<BindingRow>(({ logical_port: port }) => [port])
  readonly #services = new Map<ServiceId, ReadonlyMap<BackendId, Watched>>()
  /** By logical port. */
  readonly #listeners = new Map<string, Set<Watched>>()
  /** What was not taken yet by who iterates: the latest of a backend. */
  readonly #news = new News<Watched, HealthReport>()
  readonly #unsubscribe: () => void

  constructor(
    southbound: Pick<Southbound, 'rows' | 'state' | 'subscribe'>,
    topology: Pick<Topology, 'portNamed'>,
    liveness: Pick<Liveness, 'isSilent' | 'watch'>,
  ) {
    this.#southbound = southbound
    this.#topology = topology
    this.#liveness = liveness
    liveness.watch(() => {
      for (const backends of this.#services.values()) for (const one of backends.values()) this.#look(one)
    })
    for (const row of southbound.rows('Service_Monitor').values()) this.#monitors.replace(null, row)
    for (const row of southbound.rows('Port_Binding').values()) this.#bindings.replace(null, row)
    this.#unsubscribe = southbound.subscribe((changes) => {
      const moved = new Set<Watched>()
      const add = (key: string): void => this.#listeners.get(key)?.forEach((one) => moved.add(one))
      for (const { table, before, after } of changes) {
        if (table === 'Service_Monitor') {
          this.#monitors.replace(before as MonitorRow | null, after as MonitorRow | null)
          for (const row of [before, after] as (MonitorRow | null)[]) if (row !== null) add(row.logical_port)
        } else if (table === 'Port_Binding') {
          this.#bindings.replace(before as BindingRow | null, after as BindingRow | null)
          for (const row of [before, after] as (BindingRow | null)[]) if (row !== null) add(row.logical_port)
        }
      }
      for (const one of moved) this.#look(one)
    })
  }

  /** Wants to hear of the backends of a service that have a check, and of no others of it. */
  set({ id, protocol, destinations }: VirtualService, { mappings, problems }: Mapped): void {
    const before = this.#services.get(id)
    const watched = new Map<BackendId, Watched>()
    for (const { id: backend, address, port, check } of destinations) {
      if (check === null) continue
      const mapping = mappings.get(address) ?? null
      const key = mapping === null ? '' : keyOf(protocol, address, port, mapping.port)
      const problem = mapping === null ? (problems.get(address) ?? `OVN does not check ${address}`) : ''
      const old = before?.get(backend)
      const same = old !== undefined && old.key === key && old.problem === problem
      watched.set(
        backend,
        same ? old : this.#watch({ service: id, backend, protocol, mapping, problem, key }),
      )
    }
    for (const [backend, one] of before ?? []) if (watched.get(backend) !== one) this.#unwatch(one)
    if (watched.size > 0) this.#services.set(id, watched)
    else this.#services.delete(id)
  }

  /** Does not want to hear of a service any more. */
  forget(id: ServiceId): void {
    for (const one of this.#services.get(id)?.values() ?? []) this.#unwatch(one)
    this.#services.delete(id)
  }

  /** null: nothing yet, or the southbound database is out of reach. */
  health(service: ServiceId, backend: BackendId): Verdict | null {
    const one = this.#services.get(service)?.get(backend)
    if (one === undefined || !this.#southbound.state.connected) return null
    return this.#verdict(one)
  }

  /** True where OVN itself leaves a backend out by what its monitor says now, in a service with checks. */
  excludes(protocol: string, { address, port }: Destination, mapping: Mapping | undefined): boolean {
    if (mapping === undefined) return false
    const status = this.#status(keyOf(protocol, address, port, mapping.port))
    return status !== undefined && status !== null && status !== 'online'
  }

  /** Whoever iterates comes to the end. */
  close(): void {
    this.#unsubscribe()
    this.#news.close()
  }

  [Symbol.asyncIterator](): AsyncGenerator<HealthReport> {
    return this.#news[Symbol.asyncIterator]()
  }

  #watch(what: Omit<Watched, 'up'>): Watched {
    const one = { ...what, up: this.#verdict(what)?.up ?? null }
    if (one.mapping === null) return one
    const { port } = one.mapping
    const listeners = this.#listeners.get(port)
    if (listeners === undefined) this.#listeners.set(port, new Set([one]))
    else listeners.add(one)
    return one
  }

  #unwatch(one: Watched): void {
    this.#news.forget(one)
    if (one.mapping === null) return
    const { port } = one.mapping
    const listeners = this.#listeners.get(port)
    listeners?.delete(one)
    if (listeners?.size === 0) this.#listeners.delete(port)
  }

  #look(one: Watched): void {
    const verdict = this.#verdict(one)
    if (verdict === null || verdict.up === one.up) return
    one.up = verdict.up
    const { service, backend } = one
    this.#news.tell(one, { service, backend, ...verdict })
  }

  #verdict({ mapping, problem, protocol, key }: Omit<Watched, 'up'>): Verdict | null {
    if (mapping === null) return { up: false, reason: problem }
    const { port } = mapping
    const chassis = this.chassisOf(port)
    return verdictOf({
      port,
      protocol,
      status: this.#status(key),
      chassis,
      silent: chassis !== null && this.#liveness.isSilent(chassis),
      enabled: this.#topology.portNamed(port)?.enabled !== false,
    })
  }

  #status(key: string): string | null | undefined {
    const rows = this.#southbound.rows('Service_Monitor')
    for (const uuid of this.#monitors.get(key)) {
      const row = rows.get(uuid)
      if (row !== undefined) return row.status === null || row.status === '' ? null : String(row.status)
    }
    return undefined
  }

  /** Name of the chassis that a logical port is bound to; null where it is bound to none. */
  chassisOf(port: string): string | null {
    for (const uuid of this.#bindings.get(port)) {
      const chassis = this.#southbound.rows('Port_Binding').get(uuid)?.chassis
      if (typeof chassis !== 'string') continue
      return this.#southbound.rows('Chassis').get(chassis)?.name ?? chassis
    }
    return null
  }
}

const canonical = (text: string): string => (familyOf(text) === null ? text : canonicalAddress(text))

const keyOf = (protocol: string, address: string, port: number, logicalPort: string): string =>
  `${protocol} ${address} ${port} ${logicalPort}`
