import type { Plane } from '../planes/plane.ts'
import type { CheckResult, Pulse } from '../pulse/check.ts'
import { decodeHealth, effectiveWeight, encodeHealth, metrics, observe, pace } from '../pulse/health.ts'
import { makePulse } from '../pulse/pulse.ts'
import type { Row } from '../store/store.ts'
import type { EventLog, Log } from './events.ts'
import { scheduleOf, undecidedChecks } from './checks.ts'
import { backendKey, bucket, configuredWeight, type BackendRecord } from './records.ts'
import { BackendState, type ServiceState } from './state.ts'

export interface VitalsOptions {
  readonly events: EventLog
  readonly now: () => number
  /** The weight in force of a backend of this service may have changed. */
  readonly changed: (service: ServiceState) => void
  /** The plane that carries this service. */
  readonly planeOf: (service: ServiceState) => Pick<Plane, 'can' | 'health'> | undefined
  readonly log: Log
  readonly maxInFlight?: number
}

/** Keeps each backend's health: runs its pulse, notes what comes of it, and what of that must be stored. */
export class Vitals {
  readonly #pulse: Pulse<BackendState>
  readonly #events: EventLog
  readonly #now: () => number
  readonly #changed: (service: ServiceState) => void
  readonly #planeOf: VitalsOptions['planeOf']
  /** Backends whose stored health is out of date. */
  readonly #unsaved = new Set<BackendState>()

  constructor({ events, now, changed, planeOf, log, maxInFlight }: VitalsOptions) {
    this.#events = events
    this.#now = now
    this.#changed = changed
    this.#planeOf = planeOf
    const undecided = undecidedChecks(log, now)
    this.#pulse = makePulse<BackendState>({
      onResult: (backend, result) => this.#observe(backend, result),
      onUndecided: ({ service, id }, reason) => undecided({ service: service.id, backend: id }, reason),
      ...(maxInFlight === undefined ? {} : { maxInFlight }),
    })
  }

  /** Makes the checks those of the service's record. `stored` gives the health kept over a restart. */
  follow(service: ServiceState, stored?: (backend: BackendRecord) => string | undefined): void {
    const wanted = service.record?.backends ?? []
    if (
      wanted.length !== service.backends.size ||
      wanted.some((backend) => !service.backends.has(backend.id))
    ) {
      const names = new Set(wanted.map((backend) => backend.id))
      for (const [id, backend] of service.backends) if (!names.has(id)) this.#end(service, backend)
    }
    for (const record of wanted) {
      let backend = service.backends.get(record.id)
      if (backend === undefined) {
        backend = new BackendState(service, record)
        service.backends.set(record.id, backend)
        const text = stored?.(record)
        if (text !== undefined) backend.health = decodeHealth(text)
      }
      backend.record = record
      const { host, port, pulse } = record.options
      const { address } = record
      this.#askPlane(backend)
      const place = { host, address, port }
      this.#pulse.set(backend, scheduleOf(pulse, place, stored !== undefined, backend.ask))
      this.#pulse.setPace(backend, pace(backend.health, configuredWeight(record)))
    }
  }

  /** The backends whose health changed since the last call. */
  takeUnsaved(): BackendState[] {
    const backends = [...this.#unsaved]
    this.#unsaved.clear()
    return backends
  }

  rowOf(backend: BackendState): Row {
    const key = backendKey(backend.service.id, backend.id)
    return { bucket: bucket.health, key, value: encodeHealth(backend.health) }
  }

  /** Has a backend's health stored again: the row was not written, or was taken away by a removal that was undone. */
  save(backend: BackendState): void {
    if (backend.service.backends.get(backend.id) === backend) this.#unsaved.add(backend)
  }

  /** What a plane found by itself. Of a backend that Torb checks, a plane that can be asked has nothing to say. */
  report(backend: BackendState, result: CheckResult): void {
    if (backend.ask !== null || this.#planeOf(backend.service)?.health === undefined)
      this.#observe(backend, result)
  }

  get inFlight(): number {
    return this.#pulse.inFlight
  }

  close(): void {
    this.#pulse.close()
  }

  /** Where the plane carries out a pulse of this kind it is asked at each interval; Torb makes no connection of its own. */
  #askPlane(backend: BackendState): void {
    const plane = this.#planeOf(backend.service)
    const isTold = plane?.health !== undefined && plane.can.checks.has(backend.record.options.pulse.type)
    if (!isTold) backend.ask = null
    else
      backend.ask ??= () => this.#planeOf(backend.service)?.health?.(backend.service.id, backend.id) ?? null
  }

  #end(service: ServiceState, backend: BackendState): void {
    this.#pulse.delete(backend)
    this.#unsaved.delete(backend)
    service.backends.delete(backend.id)
  }

  #observe(backend: BackendState, result: CheckResult): void {
    const { service } = backend
    // Its removal and a last result may cross.
    if (service.backends.get(backend.id) !== backend) return
    const { rise = 1, fall = 1, window = 100 } = backend.record.options.pulse
    // The plane's monitor has counted up to them already.
    const limits = backend.ask === null ? { rise, fall, window } : { rise: 1, fall: 1, window }
    const configured = configuredWeight(backend.record)
    const before = backend.health
    const wasHeld = backend.held !== null
    const health = observe(before, result, this.#now(), limits)
    backend.health = health
    backend.held = null
    backend.reason = result.up ? '' : result.reason
    const status = metrics(health).status
    const flipped = metrics(before).status !== status
    if (flipped) {
      this.#events.record({
        at: this.#now(),
        type: status === 0 ? 'backend-up' : 'backend-down',
        service: service.id,
        backend: backend.id,
        reason: result.reason,
      })
    }
    this.#pulse.setPace(backend, pace(health, configured))
    if (flipped || wasHeld || effectiveWeight(configured, before) !== effectiveWeight(configured, health)) {
      this.#unsaved.add(backend)
      this.#changed(service)
    }
  }
}
