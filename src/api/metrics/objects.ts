import type { BackendView, Control, ServiceView } from '../../control/control.ts'
import type { ServiceId } from '../../model/names.ts'
import {
  connectBounds,
  type DestinationCounters,
  type Rates,
  type ServiceCounters,
  type TrafficCounters,
} from '../../planes/plane.ts'
import { each, labelPairs, labels, stride, type Exposition, type MetricType } from './exposition.ts'

interface ServiceRow {
  readonly view: ServiceView
  readonly counters: ServiceCounters | undefined
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

/**
 * Services and backends: GORB's gauges under its names and labels, then traffic and reconciler.
 *
 * Yields now and then, so that the caller can send what there is and let others work.
 */
export function* writeObjects(
  out: Exposition,
  control: Control,
  counters: ReadonlyMap<ServiceId, ServiceCounters>,
): Generator<void> {
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
    for (const backend of control.backends(id)) {
      const { id: name } = backend
      const { host, port } = backend.options
      const pairs = labelPairs({ service: id, backend: name })
      backends.push({
        view: backend,
        counters: held?.destinations.get(name),
        gorb: labels({ service_name: id, backend_name: name, backend_host: host, backend_port: port }),
        torb: `{${pairs}}`,
        pairs,
      })
      if (backends.length % stride === 0) yield
    }
  }
  yield* writeGorb(out, services, backends)
  yield* writeReconciler(out, services)
  yield* writeTraffic(out, 'service', services)
  yield* writeQueues(out, services)
  yield* writeTraffic(out, 'backend', backends)
  yield* writeConnectTimes(out, backends)
}

const serviceGauges: readonly [name: string, help: string, value: (view: ServiceView) => number][] = [
  ['gorb_service_health', 'Mean health of the backends, 0 to 1.', (view) => view.health],
  ['gorb_service_backends', 'Number of backends.', (view) => view.backends.length],
]

const backendGauges: readonly [name: string, help: string, value: (view: BackendView) => number][] = [
  [
    'gorb_service_backend_uptime_seconds',
    'Time since the backend was last not up.',
    (view) => view.metrics.uptime,
  ],
  ['gorb_service_backend_health', 'Share of good checks, 0 to 1.', (view) => view.metrics.health],
  ['gorb_service_backend_status', '0 up, 1 down, 2 removed.', (view) => view.metrics.status],
  ['gorb_service_backend_weight', 'Weight in force.', (view) => view.effectiveWeight],
]

function* writeGorb(
  out: Exposition,
  services: readonly ServiceRow[],
  backends: readonly BackendRow[],
): Generator<void> {
  for (const [name, help, value] of serviceGauges) {
    out.family(name, 'gauge', help)
    yield* each(services, (row) => out.sample(name, row.gorb, value(row.view)))
  }
  for (const [name, help, value] of backendGauges) {
    out.family(name, 'gauge', help)
    yield* each(backends, (row) => out.sample(name, row.gorb, value(row.view)))
  }
  out.family('torb_backend_configured_weight', 'gauge', 'Weight as configured.')
  yield* each(backends, (row) =>
    out.sample('torb_backend_configured_weight', row.torb, row.view.options.weight),
  )
  out.family('torb_backend_draining', 'gauge', '1 while the backend finishes its connections.')
  yield* each(backends, (row) => out.sample('torb_backend_draining', row.torb, row.view.draining ? 1 : 0))
}

function* writeReconciler(out: Exposition, services: readonly ServiceRow[]): Generator<void> {
  const name = 'torb_service_reconciled'
  out.family(
    name,
    'gauge',
    '1 where the data plane holds the service as it should be, 0 where it does not yet or refuses it.',
  )
  yield* each(services, (row) => out.sample(name, row.torb, row.view.reconcile.state === 'applied' ? 1 : 0))
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

/** Averages of the last seconds, for those who look at a page now; over longer times rates are made of the counters. */
const rates: readonly [suffix: string, help: string, value: (rates: Rates) => number][] = [
  ['connections_per_second', 'Connections taken a second.', (rates) => rates.connections],
  ['received_packets_per_second', 'Packets from clients a second.', (rates) => rates.packetsIn],
  ['sent_packets_per_second', 'Packets to clients a second.', (rates) => rates.packetsOut],
  ['received_bytes_per_second', 'Bytes from clients a second.', (rates) => rates.bytesIn],
  ['sent_bytes_per_second', 'Bytes to clients a second.', (rates) => rates.bytesOut],
]

function* writeTraffic(
  out: Exposition,
  of: 'service' | 'backend',
  rows: readonly { readonly torb: string; readonly counters: TrafficCounters | undefined }[],
): Generator<void> {
  for (const [suffix, type, help, value] of traffic) {
    const name = `torb_${of}_${suffix}`
    out.family(name, type, help)
    yield* each(rows, ({ torb, counters }) => {
      if (counters !== undefined) out.sample(name, torb, value(counters))
    })
  }
  for (const [suffix, help, value] of rates) {
    const name = `torb_${of}_${suffix}`
    out.family(name, 'gauge', help)
    yield* each(rows, ({ torb, counters }) => {
      if (counters?.rates !== undefined) out.sample(name, torb, value(counters.rates))
    })
  }
}

const unserved = ['overloaded', 'expired'] as const

/** Of services of http, under names like those of functions. */
function* writeQueues(out: Exposition, services: readonly ServiceRow[]): Generator<void> {
  const waiting = 'torb_service_waiting_requests'
  out.family(waiting, 'gauge', 'Requests in the queue of the http service.')
  yield* each(services, ({ torb, counters }) => {
    if (counters?.queue !== undefined) out.sample(waiting, torb, counters.queue.waiting)
  })
  const total = 'torb_service_unserved_requests_total'
  out.family(
    total,
    'counter',
    'Requests of the http service that came to no backend, as all were full: the queue was too, or they waited in vain.',
  )
  yield* each(services, ({ view, counters }) => {
    if (counters?.queue === undefined) return
    for (const reason of unserved)
      out.sample(total, labels({ service: view.id, reason }), counters.queue[reason])
  })
}

/** Upper bounds in seconds, as texts of the label `le`. */
const bounds = connectBounds.map((microseconds) => String(microseconds / 1e6))

function* writeConnectTimes(out: Exposition, backends: readonly BackendRow[]): Generator<void> {
  const name = 'torb_backend_connect_duration_seconds'
  out.family(name, 'histogram', 'Time to connect to the backend.')
  yield* each(backends, ({ counters, pairs }) => {
    const connect = counters?.connect
    if (connect === undefined) return
    out.histogram(name, pairs, bounds, connect.buckets, connect.count, connect.sum / 1e6)
  })
}
