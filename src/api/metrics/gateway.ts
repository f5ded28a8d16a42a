import type { CounterName } from '../../proxy/http/proxyCounters.ts'
import type { GatewayFacts } from '../functionFacts.ts'
import { labels, type Exposition, type MetricType } from './exposition.ts'

const families: readonly [suffix: string, type: MetricType, help: string, counter: CounterName][] = [
  ['client_connections', 'gauge', 'Connections of clients open now.', 'clients'],
  ['requests_total', 'counter', 'Requests taken.', 'requests'],
  [
    'refused_total',
    'counter',
    'Requests that the gateway answered itself: unknown functions, full ones, what is no HTTP.',
    'refused',
  ],
  ['connects_total', 'counter', 'Connections made to instances.', 'connects'],
  [
    'connect_failures_total',
    'counter',
    'Connections to instances that could not be made.',
    'connectFailures',
  ],
  ['reused_connections_total', 'counter', 'Requests sent on a connection that was open already.', 'reused'],
  [
    'stale_connections_total',
    'counter',
    'Open connections that the instance had closed when a request was sent.',
    'stale',
  ],
  ['retries_total', 'counter', 'Requests sent again, to the same or another instance.', 'retries'],
  [
    'timeouts_total',
    'counter',
    'Forwarded requests whose time was over, at the instance or at the client.',
    'timeouts',
  ],
  ['upgrades_total', 'counter', 'Connections that became tunnels, such as WebSockets.', 'upgrades'],
  ['received_bytes_total', 'counter', 'Bytes of bodies from clients.', 'requestBytes'],
  ['sent_bytes_total', 'counter', 'Bytes to clients, with the heads of answers.', 'responseBytes'],
]

const outcomes = ['completed', 'failed', 'abandoned'] as const satisfies readonly CounterName[]

/** The gateway as a whole, summed over its Workers. */
export function writeGateway(out: Exposition, gateway: GatewayFacts | null): void {
  out.single('torb_gateway_workers', 'gauge', 'Threads of the gateway; 0: none runs.', gateway?.workers ?? 0)
  if (gateway === null) return
  const parts = gateway.counters()
  const sum = (counter: CounterName): number => parts.reduce((all, part) => all + part[counter], 0)
  for (const [suffix, type, help, counter] of families)
    out.single(`torb_gateway_${suffix}`, type, help, sum(counter))
  out.family(
    'torb_gateway_forwarded_total',
    'counter',
    'Requests sent to instances, by how they ended; abandoned: the client went first.',
  )
  for (const outcome of outcomes)
    out.sample('torb_gateway_forwarded_total', labels({ outcome }), sum(outcome))
}
