import { parseInterval } from '../model/duration.ts'
import type { BackendOptions } from '../model/backend.ts'
import type { PulseOptions } from '../model/pulse.ts'
import type { CheckResult, CheckSpec, Pulse, Schedule } from '../pulse/check.ts'
import { decodeHealth, effectiveWeight, encodeHealth, metrics, observe, pace } from '../pulse/health.ts'
import { makePulse } from '../pulse/pulse.ts'
import type { Row } from '../store/store.ts'
import type { EventLog, Log } from './events.ts'
import { backendKey, bucket, configuredWeight, type BackendRecord } from './records.ts'
import { BackendState, type ServiceState } from './state.ts'

/** GORB: a TCP check waits 5 s, an HTTP check 2 s. */
const tcpTimeoutMs = 5000
const httpTimeoutMs = 2000
const fastIntervalMs = 2000
const complaintEveryMs = 10_000
/** After a restart the first check comes within this, however long the interval. */
const firstAfterRestartMs = 2000

export interface VitalsOptions {
  readonly events: EventLog
  readonly now: () => number
  /** The weight in force of a backend of this service may have changed. */
  readonly changed: (service: ServiceState) => void
  readonly log: Log
  readonly maxInFlight?: number
}

/** Keeps each backend's health: runs its pulse, notes what comes of it, and what of that must be stored. */
export class Vitals {
  readonly #pulse: Pulse<BackendState>
  readonly #events: EventLog
  readonly #now: () => number
  readonly #changed: (service: ServiceState) => void
  /** Backends whose stored health is out of date. */
  readonly #unsaved = new Set<BackendState>()

  constructor({ events, now, changed, log, maxInFlight }: VitalsOptions) {
    this.#events = events
    this.#now = now
    this.#changed = changed
    let quietUntil = 0
    this.#pulse = makePulse<BackendState>({
      onResult: (backend, result) => this.#observe(backend, result),
      // Our own shortage says nothing of the backend: its health stays as it is.
      onUndecided: (backend, reason) => {
        if (now() < quietUntil) return
        quietUntil = now() + complaintEveryMs
        log.warn(
          { service: backend.service.id, backend: backend.id },
          `health checks cannot be made: ${reason}`,
        )
      },
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
      this.#pulse.set(backend, scheduleOf(record, stored !== undefined))
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

  /** A result from elsewhere than a check of ours, such as a plane's own monitor. */
  report(backend: BackendState, result: CheckResult): void {
    this.#observe(backend, result)
  }

  get inFlight(): number {
    return this.#pulse.inFlight
  }

  close(): void {
    this.#pulse.close()
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
    const configured = configuredWeight(backend.record)
    const before = backend.health
    const wasHeld = backend.held !== null
    const health = observe(before, result, this.#now(), { rise, fall, window })
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

function scheduleOf(record: BackendRecord, restarted: boolean): Schedule {
  const { pulse } = record.options
  const intervalMs = parseInterval(pulse.interval)
  return {
    check: checkOf(record.options, record.address),
    intervalMs,
    fastIntervalMs: Math.min(
      intervalMs,
      pulse.fast_interval === undefined ? fastIntervalMs : parseInterval(pulse.fast_interval),
    ),
    backoffMs: pulse.backoff === undefined ? 0 : parseInterval(pulse.backoff),
    firstWithinMs: restarted ? Math.min(intervalMs, firstAfterRestartMs) : intervalMs,
  }
}

function checkOf(options: BackendOptions, address: string): CheckSpec {
  const { pulse, port } = options
  const timeoutMs = pulse.timeout === undefined ? undefined : parseInterval(pulse.timeout)
  switch (pulse.type) {
    case 'none':
      return { kind: 'none' }
    case 'tcp':
      return { kind: 'tcp', address, port, timeoutMs: timeoutMs ?? tcpTimeoutMs }
    case 'http':
      return httpCheck(pulse, options.host, address, port, timeoutMs)
    default:
      return pulse.type satisfies never
  }
}

function httpCheck(
  pulse: PulseOptions,
  host: string,
  address: string,
  port: number,
  timeoutMs: number | undefined,
): CheckSpec {
  const { args } = pulse
  return {
    kind: 'http',
    scheme: args?.scheme ?? 'http',
    address: args?.host ?? address,
    port: args?.port ?? port,
    host: args?.host ?? host,
    method: args?.method ?? 'GET',
    path: args?.path ?? '/',
    expect: args?.expect ?? 200,
    timeoutMs: timeoutMs ?? (args?.timeout === undefined ? httpTimeoutMs : args.timeout * 1000),
  }
}
