import { metrics } from '../pulse/health.ts'
import type { BackendId, PlaneName } from '../model/names.ts'
import type { BackendView, ServiceView } from './control.ts'
import { weightsInForce } from './effective.ts'
import { configuredWeight, type BackendRecord } from './records.ts'
import type { ServiceState } from './state.ts'

/** A service as it is shown; null where it is not wished for. */
export function viewService(
  state: ServiceState,
  defaultPlane: PlaneName,
  adviceOf: (state: ServiceState) => readonly string[],
): ServiceView | null {
  const { record } = state
  if (record === null) return null
  let sum = 0
  for (const backend of record.backends) sum += metrics(state.vital(backend.id).health).health
  return {
    id: record.id,
    options: record.options,
    address: record.address,
    owner: record.owner,
    plane: record.options.plane ?? defaultPlane,
    health: record.backends.length === 0 ? 0 : sum / record.backends.length,
    backends: record.backends.map((backend) => backend.id),
    reconcile: state.reconcile,
    // Only made for who shows it.
    get advice() {
      return adviceOf(state)
    },
  }
}

/** All backends of a service as they are shown, in list order. */
export function viewBackends(state: ServiceState, now: number): BackendView[] {
  const { record } = state
  if (record === null) return []
  const weights = weightsInForce(record, state.vital)
  return record.backends.map((backend, index) => viewBackend(state, backend, weights[index] ?? 0, now))
}

export function findBackend(state: ServiceState, id: BackendId, now: number): BackendView | null {
  return viewBackends(state, now).find((backend) => backend.id === id) ?? null
}

function viewBackend(state: ServiceState, backend: BackendRecord, weight: number, now: number): BackendView {
  const configured = configuredWeight(backend)
  return {
    id: backend.id,
    options: backend.override === null ? backend.options : { ...backend.options, weight: configured },
    address: backend.address,
    owner: state.record?.owner ?? 'rest',
    effectiveWeight: weight,
    overridden: backend.override !== null,
    draining: backend.drainUntil > 0,
    metrics: metrics(state.vital(backend.id).health),
    reason: reasonOf(state, backend, weight, now),
  }
}

/** Why a backend does not get its full share, as a clause; '' where it does. */
function reasonOf(state: ServiceState, backend: BackendRecord, weight: number, now: number): string {
  if (backend.drainUntil > 0) {
    const seconds = Math.max(0, Math.ceil((backend.drainUntil - now) / 1000))
    return `draining: removed when its connections have ended, in ${seconds} s at the latest`
  }
  const { health } = state.vital(backend.id)
  const reason = state.backends.get(backend.id)?.reason ?? ''
  const configured = configuredWeight(backend)
  if (metrics(health).status !== 0) {
    const why = reason === '' ? 'it was Down before the restart and has not been checked since' : reason
    return weight > 0
      ? `Down: ${why}; gets traffic because every backend is Down (fb-zero-to-one)`
      : `Down: ${why}`
  }
  if (configured === 0) return 'its weight is 0: it takes no new connections'
  if (reason !== '') return `Up, but the last check failed: ${reason}`
  if (weight < configured)
    return `recovering: weight ${weight} of ${configured}, growing with each good check`
  return ''
}
