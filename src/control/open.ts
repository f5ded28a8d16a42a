import type { PlaneName, ServiceId } from '../model/names.ts'
import type { Plane } from '../planes/plane.ts'
import type { Store } from '../store/store.ts'
import { Configuration } from './configuration.ts'
import { backendCreation, serviceCreation } from './creation.ts'
import type { Control } from './control.ts'
import { Drains } from './drains.ts'
import { changeBackend, changeService, deleteBackend, deleteService } from './desired.ts'
import { Adoption } from './adoption.ts'
import { defaultDrain } from './effective.ts'
import type { EventLog, Log } from './events.ts'
import { keepUnknown, openPlane } from './holdings.ts'
import { KeyLedger } from './ledger.ts'
import { makeNames, type NamesOptions } from './addresses.ts'
import { Reconciler } from './reconciler.ts'
import { backendKey, bucket, decodeRecords, ownerOf } from './records.ts'
import { DesiredState, type ServiceState } from './state.ts'
import { findBackend, viewBackends, viewService } from './views.ts'
import { Vitals } from './vitals.ts'
import { Audit } from './audit.ts'
import { appliedOn, Confirmations } from './confirmations.ts'
import { countersOf } from './counters.ts'
import { importForeign } from './imports.ts'
import { LagWatch } from './lag.ts'
import { Opening } from './opening.ts'
import { planeStatuses } from './planeStatus.ts'
import { standbyOf, untilWriting } from './standby.ts'
import { readPulse } from '../model/pulse.ts'
import { checkReached } from './reached.ts'

export interface ControlOptions extends NamesOptions {
  readonly store: Store
  readonly planes: ReadonlyMap<PlaneName, Plane>
  readonly defaultPlane: PlaneName
  readonly events: EventLog
  /** Remove what the planes hold before the stored services are applied. */
  readonly flush: boolean
  /** Take over an equal service that somebody else made in a plane. */
  readonly adopt: boolean
  /** What somebody changes in a plane behind Torb is only reported. */
  readonly observe: boolean
  /** At most so many health checks at a time. */
  readonly maxChecks: number
  readonly now: () => number
  readonly log: Log
}

export interface OpenControl extends Control {
  /** Makes services of what others have in virtual networks, where `adopt` is set. */
  importForeign(): Promise<void>
  close(): Promise<void>
}

/**
 * Opens the planes, loads what is stored, adopts what the planes hold and applies only the differences.
 *
 * @throws Refusal where a plane cannot be opened, Error where a stored object cannot be read
 */
export async function openControl(options: ControlOptions): Promise<OpenControl> {
  const { store, planes, defaultPlane, events, now, log } = options
  const outliving = new Set([...planes].filter(([, plane]) => plane.can.survivesExit).map(([name]) => name))
  const ledger = new KeyLedger(await store.load(bucket.ledger), outliving)
  const desired = new DesiredState()
  const records = decodeRecords(await store.load(bucket.service), await store.load(bucket.backend))
  const health = new Map(await store.load(bucket.health))
  for (const [id, record] of records) desired.put(id, record)

  const opening = new Opening({
    planes,
    defaultPlane,
    open: (name, plane) =>
      openPlane(name, plane, { desired, ledger, defaultPlane, flush: options.flush, log }),
    log,
  })
  const { unopened } = opening
  await opening.begin()

  const confirmations = new Map(
    [...planes].flatMap(([name, { confirmed }]) =>
      confirmed === undefined ? [] : [[name, new Confirmations(now)] as const],
    ),
  )
  const vitals = new Vitals({
    events,
    now,
    log,
    maxInFlight: options.maxChecks,
    changed: (state) => reconciler.touch(state),
    planeOf: (state) => planes.get(state.record?.options.plane ?? defaultPlane),
  })
  const reconciler = new Reconciler({
    desired,
    planes,
    defaultPlane,
    unopened,
    confirmations,
    observe: options.observe,
    store,
    ledger,
    vitals,
    events,
    now,
    isOwnListener: options.isOwnListener,
    adoption: new Adoption(planes, options.adopt),
    log,
  })
  for (const state of desired.services.values()) {
    vitals.follow(state, (backend) => health.get(backendKey(state.id, backend.id)))
    for (const name of state.held.keys()) takeUp(state, name)
    reconciler.touch(state)
  }
  const ended = new AbortController()
  for (const [name, plane] of planes) void followConfirmed(name, plane, ended.signal)
  await reconciler.settled()
  for (const state of desired.services.values()) state.advice = adviceOf(state)

  const counters = countersOf(planes, unopened, log, now)
  const drains = new Drains({
    desired,
    reconciler,
    counters,
    isCounted: (id) => planeOf(id)?.can.activeConnections === true,
    events,
    now,
  })
  for (const state of desired.services.values()) {
    if (state.record?.backends.some((backend) => backend.drainUntil > 0) === true) drains.watch(state.id)
  }
  const audit = new Audit({ desired, planes: [...outliving], reconciler, now })
  const names = makeNames(options)
  const configuration = new Configuration({ desired, reconciler, names })
  const lagWatch = new LagWatch(confirmations, events, now)
  for (const [name, plane] of planes) if (!unopened.has(name)) void follow(plane, ended.signal)
  opening.follow((name, plane) => {
    void follow(plane, ended.signal)
    for (const state of desired.services.values()) {
      if (!state.held.has(name) && (state.record?.options.plane ?? defaultPlane) !== name) continue
      takeUp(state, name)
      state.retryAt = 0
      reconciler.touch(state)
    }
    if (options.adopt) void importOf(name, plane)
  })

  /** What a plane was found to hold at its opening is left as it is where that is only to be reported, or health is unknown. */
  function takeUp(state: ServiceState, name: PlaneName): void {
    const held = state.held.get(name)
    if (held === undefined) return
    if (options.observe && outliving.has(name) && reconciler.reportHeld(state, name)) return
    keepUnknown(held, state.backends, (id) => health.has(backendKey(state.id, id)))
  }

  /** Now, or where another Torb writes to the plane as soon as this one does. */
  async function importOf(name: PlaneName, plane: Plane): Promise<void> {
    const write = () => importForeign({ desired, reconciler, name, plane, log })
    if (standbyOf(plane) === null) await write()
    else void untilWriting(plane, ended.signal).then((writes) => (writes ? write() : undefined))
  }

  async function followConfirmed(name: PlaneName, plane: Plane, signal: AbortSignal): Promise<void> {
    for await (const confirmation of plane.confirmed ?? []) {
      if (signal.aborted) return
      reconciler.confirm(name, confirmation)
    }
  }

  function planeOf(service: ServiceId): Plane | undefined {
    return planes.get(desired.record(service)?.options.plane ?? defaultPlane)
  }

  function adviceOf({ id, record }: ServiceState): readonly string[] {
    return record === null ? [] : (planes.get(record.options.plane ?? defaultPlane)?.advice?.(id) ?? [])
  }

  /** Health as a plane sees it comes in as the result of a check. */
  async function follow(plane: Plane, signal: AbortSignal): Promise<void> {
    for await (const report of plane.signals ?? []) {
      if (signal.aborted) return
      const backend = desired.services.get(report.service)?.backends.get(report.backend)
      if (backend !== undefined) vitals.report(backend, { up: report.up, reason: report.reason })
    }
  }

  return {
    events,
    async createService(id, { backends = {}, ...body }, source) {
      const read = await names.service(body)
      if (read.options.persistent && read.options.persistence === undefined) {
        log.info(
          { service: id },
          'persistent is kept and shown but pins no client; for that send "persistence": {"timeout": 300}',
        )
      }
      const plane = planes.get(read.options.plane ?? defaultPlane)
      const home = { id, options: read.options, plane }
      await reconciler.write(id, await serviceCreation(names, home, read.address, backends, source), source)
    },
    async patchService(id, body, source) {
      const address = body.host === undefined ? undefined : await names.serviceAddress(body.host)
      await reconciler.write(id, changeService(body, address, ownerOf(source)), source)
    },
    deleteService: (id, source) => reconciler.write(id, deleteService(ownerOf(source)), source),
    async createBackend(service, id, body, source) {
      const home = { id: service, options: desired.record(service)?.options, plane: planeOf(service) }
      await reconciler.write(service, await backendCreation(names, home, id, body, source), source)
    },
    async patchBackend(service, id, body, source) {
      const backend = desired.record(service)?.backends.find((one) => one.id === id)
      if (source === 'rest' && backend !== undefined && body.pulse !== undefined) {
        const { address, options } = backend
        await checkReached(planeOf(service), readPulse(body.pulse), { address, port: options.port })
      }
      await reconciler.write(service, changeBackend(id, body, ownerOf(source)), source)
    },
    async deleteBackend(service, id, source, drainMs) {
      const record = desired.record(service)
      const drain = drainMs ?? (record === null ? 0 : defaultDrain(record))
      const until = drain > 0 ? now() + drain : 0
      await reconciler.write(service, deleteBackend(id, ownerOf(source), until), source)
      if (until === 0) return
      const active = (await counters([service])).get(service)?.destinations.get(id)?.active ?? 0
      events.record({ at: now(), type: 'drain-started', service, backend: id, active })
      drains.watch(service)
    },
    replaceConfigured: (objects) => configuration.replace(objects),
    serviceIds: () =>
      [...desired.services.values()].filter((state) => state.record !== null).map((state) => state.id),
    service(id) {
      const state = desired.services.get(id)
      return state === undefined ? null : viewService(state, defaultPlane, adviceOf)
    },
    backend(service, id) {
      const state = desired.services.get(service)
      return state === undefined ? null : findBackend(state, id, now())
    },
    backends(service) {
      const state = desired.services.get(service)
      return state === undefined ? [] : viewBackends(state, now())
    },
    counters,
    async explain(flow) {
      for (const [name, plane] of planes) {
        if (unopened.has(name)) continue
        const explanation = await plane.explain(flow)
        if (explanation.service !== null || planes.size === 1) return explanation
      }
      const steps = [
        'no plane has a service for this destination',
        ...[...unopened].map(([name, why]) => `what the ${name} plane has is not known: ${why}`),
      ]
      return { service: null, backend: null, steps }
    },
    async zero(ids) {
      for (const [name, plane] of planes) if (!unopened.has(name)) await plane.zero(ids)
      const type = 'counters-zeroed'
      if (ids === undefined) events.record({ at: now(), type })
      for (const service of ids ?? []) events.record({ at: now(), type, service })
    },
    planes: () =>
      planeStatuses({
        planes,
        defaultPlane,
        unopened,
        desired,
        confirmations,
        auditedAt: () => audit.roundEndedAt,
      }),
    applied: (id, timeoutMs) =>
      appliedOn(
        [...confirmations.values()],
        id,
        AbortSignal.any([ended.signal, AbortSignal.timeout(timeoutMs)]),
      ),
    async importForeign() {
      if (!options.adopt) return
      for (const [name, plane] of planes) if (!unopened.has(name)) await importOf(name, plane)
    },
    async close() {
      ended.abort()
      await opening.close()
      lagWatch.close()
      audit.close()
      drains.close()
      vitals.close()
      await reconciler.close()
      for (const plane of planes.values()) await plane.close()
    },
  }
}
