import type { PlaneStatus } from '../../control/control.ts'
import type { EventLog, TorbEvent } from '../../control/events.ts'
import type { AnnouncerStatus } from '../wirePlane.ts'
import { labels, type Exposition } from './exposition.ts'

/** Counts events by type from its creation on. */
export class EventCounts {
  readonly #counts = new Map<TorbEvent['type'], number>()
  readonly #unsubscribe: () => void

  constructor(log: EventLog) {
    for (const { event } of log.since(0)) this.#count(event)
    this.#unsubscribe = log.subscribe(({ event }) => this.#count(event))
  }

  write(out: Exposition): void {
    out.family('torb_events_total', 'counter', 'Events by type, as in /events.')
    for (const [type, count] of this.#counts) out.sample('torb_events_total', labels({ type }), count)
  }

  close(): void {
    this.#unsubscribe()
  }

  #count({ type }: TorbEvent): void {
    this.#counts.set(type, (this.#counts.get(type) ?? 0) + 1)
  }
}

/** The planes, as the reconciler sees them. */
export function writePlanes(out: Exposition, status: readonly PlaneStatus[]): void {
  const planes = status.map((plane) => ({ plane, text: labels({ plane: plane.name }) }))
  out.family('torb_plane_services', 'gauge', 'Services that the data plane carries.')
  for (const { plane, text } of planes) out.sample('torb_plane_services', text, plane.services)
  out.family('torb_plane_failing_services', 'gauge', 'Services that the data plane refuses now.')
  for (const { plane, text } of planes) out.sample('torb_plane_failing_services', text, plane.failing)
  out.family('torb_plane_up', 'gauge', '1 where the data plane answers, 0 where not.')
  for (const { plane, text } of planes) {
    const isUp = plane.problem === '' && connectionsOf(plane).every(([, isConnected]) => isConnected)
    out.sample('torb_plane_up', text, isUp ? 1 : 0)
  }
  out.family(
    'torb_plane_connected',
    'gauge',
    '1 for each peer that the data plane is connected to, 0 where it is not.',
  )
  for (const { plane } of planes)
    for (const [to, isConnected] of connectionsOf(plane))
      out.sample('torb_plane_connected', labels({ plane: plane.name, to }), isConnected ? 1 : 0)
  out.family(
    'torb_plane_drifted_services',
    'gauge',
    'Services that somebody changed in the data plane and that are only reported.',
  )
  for (const { plane, text } of planes) out.sample('torb_plane_drifted_services', text, plane.drifted)
  writeLag(out, status)
  out.family(
    'torb_plane_last_audit_timestamp_seconds',
    'gauge',
    'When all it holds was last compared, since the epoch; 0: not yet.',
  )
  for (const { plane, text } of planes)
    out.sample('torb_plane_last_audit_timestamp_seconds', text, plane.auditedAt / 1000)
  out.family('torb_plane_foreign_services', 'gauge', 'Services in the data plane that somebody else made.')
  for (const { plane, text } of planes)
    if (plane.problem === '') out.sample('torb_plane_foreign_services', text, plane.foreign.length)
}

/** Of what a plane tells of itself: those it is connected to (ovn: its databases). */
function connectionsOf({ facts }: PlaneStatus): [to: string, isConnected: boolean][] {
  return Object.entries(facts).flatMap(([name, fact]): [string, boolean][] =>
    typeof fact === 'object' && fact !== null && 'connected' in fact && typeof fact.connected === 'boolean'
      ? [[name, fact.connected]]
      : [],
  )
}

/** Of planes whose effect comes later than their acceptance. */
function writeLag(out: Exposition, status: readonly PlaneStatus[]): void {
  const now = Date.now()
  const planes = status.flatMap(({ name, lag }) => (lag === null ? [] : [{ name, lag }]))
  out.family(
    'torb_plane_accepted_services',
    'gauge',
    'Services of which the data plane has accepted something that is not in effect yet.',
  )
  for (const { name, lag } of planes)
    out.sample('torb_plane_accepted_services', labels({ plane: name }), lag.services)
  out.family(
    'torb_plane_accepted_age_seconds',
    'gauge',
    'For how long the oldest of these has waited; 0 without any.',
  )
  for (const { name, lag } of planes) {
    const age = lag.since === 0 ? 0 : Math.max(0, now - lag.since) / 1000
    out.sample('torb_plane_accepted_age_seconds', labels({ plane: name }), age)
  }
  out.family(
    'torb_plane_lagging_services',
    'gauge',
    'Of how many services each chassis that lags has not followed yet.',
  )
  for (const { name, lag } of planes)
    for (const [chassis, services] of lag.lagging)
      out.sample('torb_plane_lagging_services', labels({ plane: name, chassis }), services)
}

/** Who tells others of services. */
export function writeAnnouncers(out: Exposition, status: readonly AnnouncerStatus[]): void {
  const announcers = status.map((announcer) => ({ announcer, text: labels({ announcer: announcer.name }) }))
  out.family('torb_announcer_up', 'gauge', '1 where whom it tells of services answers, 0 where not.')
  for (const { announcer, text } of announcers)
    out.sample('torb_announcer_up', text, announcer.state === 'unreachable' ? 0 : 1)
  out.family('torb_announcer_pending', 'gauge', 'Announcements still to be made or taken back.')
  for (const { announcer, text } of announcers) out.sample('torb_announcer_pending', text, announcer.pending)
}
