import type { BackendView, Control, ServiceView } from '../../control/control.ts'
import type { ServiceId } from '../../model/names.ts'
import {
  connectBounds,
  type DestinationCounters,
  type ServiceCounters,
  type TrafficCounters,
} from '../../planes/plane.ts'
import { labelPairs, labels, type Exposition, type MetricType } from './exposition.ts'

interface ServiceRow {
  readonly view: ServiceView
  readonly counters: TrafficCounters | undefined
  /** GORB's labels, and Torb's. */
  readonly gorb: string
  readonly torb: string
}

interface BackendRow {
  readonly view: BackendView
  readonly counters: DestinationCounters | undefined
  readonly gorb: string
  readonly torb: string
  readonly pairs: string
}

/** Services and backends: GORB's gauges under its names and labels, then traffic and reconciler. */
export function writeObjects(
  out: Exposition,
  control: Control,
  counters: ReadonlyMap<ServiceId, ServiceCounters>,
): void {
  const services: ServiceRow[] = []
  const backends: BackendRow[] = []
  for (const id of control.serviceIds()) {
    const view = control.service(id)
    if (view === null) continue
    const { host, port, protocol } = view.options
    const held = counters.get(id)
    services.push({
      view,
      counters: held,
      gorb: labels({ service_name: id, service_host: host, service_port: port, protocol }),
      torb: labels({ service: id }),
    })
    for (const name of view.backends) {
      const backend = control.backend(id, name)
      if (backend === null) continue
      const { host, port } = backend.options
      const pairs = labelPairs({ service: id, backend: name })
      backends.push({
        view: backend,
        counters: held?.destinations.get(name),
        gorb: labels({ service_name: id, backend_name: name, backend_host: host, backend_port: port }),
        torb: `{${pairs}}`,
        pairs,
      })
    }
  }
  writeGorb(out, services, backends)
  writeReconciler(out, services)
  writeTraffic(out, 'service', services)
  writeTraffic(out, 'backend', backends)
  writeConnectTimes(out, backends)
}

function writeGorb(out: Exposition, services: readonly ServiceRow[], backends: readonly BackendRow[]): void {
  const service = (name: string, help: string, value: (view: ServiceView) => number): void => {
    out.family(name, 'gauge', help)
    for (const row of services) out.sample(name, row.gorb, value(row.view))
  }
  const backend = (name: string, help: string, value: (view: BackendView) => number): void => {
    out.family(name, 'gauge', help)
    for (const row of backends) out.sample(name, row.gorb, value(row.view))
  }
  service('gorb_service_health', 'Mean health of the backends, 0 to 1.', (view) => view.health)
  service('gorb_service_backends', 'Number of backends.', (view) => view.backends.length)
  backend(
    'gorb_service_backend_uptime_seconds',
    'Time since the backend was last not up.',
    (view) => view.metrics.uptime,
  )
  backend('gorb_service_backend_health', 'Share of good checks, 0 to 1.', (view) => view.metrics.health)
  backend('gorb_service_backend_status', '0 up, 1 down, 2 removed.', (view) => view.metrics.status)
  backend('gorb_service_backend_weight', 'Weight in force.', (view) => view.effectiveWeight)
  backend('torb_backend_configured_weight', 'Weight as configured.', (view) => view.options.weight)
  backend('torb_backend_draining', '1 while the backend finishes its connections.', (view) =>
    view.draining ? 1 : 0,
  )
}

function writeReconciler(out: Exposition, services: readonly ServiceRow[]): void {
  const name = 'torb_service_reconciled'
  out.family(
    name,
    'gauge',
    '1 where the data plane holds the service as it should be, 0 where it does not yet or refuses it.',
  )
  for (const row of services) out.sample(name, row.torb, row.view.reconcile.state === 'applied' ? 1 : 0)
}

const traffic: readonly [
  suffix: string,
  type: MetricType,
  help: string,
  value: (counters: TrafficCounters) => number,
][] = [
  ['connections_total', 'counter', 'Connections taken.', (counters) => counters.connections],
  [
    'connection_errors_total',
    'counter',
    'Connections that could not be made, or broke.',
    (counters) => counters.errors,
  ],
  ['received_packets_total', 'counter', 'Packets from clients.', (counters) => counters.packetsIn],
  ['sent_packets_total', 'counter', 'Packets to clients.', (counters) => counters.packetsOut],
  ['received_bytes_total', 'counter', 'Bytes from clients.', (counters) => counters.bytesIn],
  ['sent_bytes_total', 'counter', 'Bytes to clients.', (counters) => counters.bytesOut],
  ['active_connections', 'gauge', 'Connections open now.', (counters) => counters.active],
  [
    'inactive_connections',
    'gauge',
    'Connections closing or waiting out a time-out.',
    (counters) => counters.inactive,
  ],
]

function writeTraffic(
  out: Exposition,
  of: 'service' | 'backend',
  rows: readonly { readonly torb: string; readonly counters: TrafficCounters | undefined }[],
): void {
  for (const [suffix, type, help, value] of traffic) {
    const name = `torb_${of}_${suffix}`
    out.family(name, type, help)
    for (const { torb, counters } of rows) if (counters !== undefined) out.sample(name, torb, value(counters))
  }
}

/** Upper bounds in seconds, as texts of the label `le`. */
const bounds = connectBounds.map((microseconds) => String(microseconds / 1e6))

function writeConnectTimes(out: Exposition, backends: readonly BackendRow[]): void {
  const name = 'torb_backend_connect_duration_seconds'
  out.family(name, 'histogram', 'Time to connect to the backend.')
  for (const { counters, pairs, torb } of backends) {
    const connect = counters?.connect
    if (connect === undefined) continue
    // The plane counts each bucket for itself, Prometheus wants all up to the bound.
    let below = 0
    bounds.forEach((bound, index) => {
      below += connect.buckets[index] ?? 0
      out.sample(`${name}_bucket`, `{${pairs},le="${bound}"}`, below)
    })
    out.sample(`${name}_bucket`, `{${pairs},le="+Inf"}`, connect.count)
    out.sample(`${name}_sum`, torb, connect.sum / 1e6)
    out.sample(`${name}_count`, torb, connect.count)
  }
}
