import type { Control } from '../control/control.ts'
import type { ServiceId } from '../model/names.ts'

/** Tells the world outside which services there are; what it tells follows control and never holds a write up. */
export interface Announcer {
  readonly name: string
  status(): AnnouncerStatus
  /** Takes back what it announced, within a limit of time. */
  close(): Promise<void>
}

export interface AnnouncerStatus {
  readonly name: string
  /** Whom it tells, without credentials. */
  readonly url: string
  /** behind: it answers, but not all is told. unreachable: it does not answer. */
  readonly state: 'in step' | 'behind' | 'unreachable'
  /** Milliseconds since the epoch of the last change of state. */
  readonly since: number
  /** Why it is not in step, in one sentence; '' where it is. */
  readonly message: string
  /** How many announcements are still to be made or taken back. */
  readonly pending: number
}

/** A service as it is announced: those of a firewall mark have no address and are not. */
export interface AnnouncedService {
  readonly id: ServiceId
  /** Canonical IP address in use. */
  readonly address: string
  /** 0: any port. */
  readonly port: number
}

export interface FollowedServices {
  /** Always as control has them. */
  readonly services: ReadonlyMap<ServiceId, AnnouncedService>
  close(): void
}

/**
 * Keeps the set of services that are to be announced: each from when its write was accepted until it is deleted.
 *
 * @param changed is called after each change of the set
 */
export function followServices(
  control: Pick<Control, 'events' | 'serviceIds' | 'service'>,
  changed: () => void,
): FollowedServices {
  const services = new Map<ServiceId, AnnouncedService>()
  const take = (id: ServiceId): boolean => {
    const view = control.service(id)
    if (view === null || view.address === '') return services.delete(id)
    const port = view.options.port === 'any' ? 0 : view.options.port
    const before = services.get(id)
    if (before?.address === view.address && before.port === port) return false
    services.set(id, { id, address: view.address, port })
    return true
  }
  for (const id of control.serviceIds()) take(id)
  const close = control.events.subscribe(({ event }) => {
    if (
      event.type === 'service-created' ||
      event.type === 'service-changed' ||
      event.type === 'service-deleted'
    ) {
      if (take(event.service)) changed()
    }
  })
  return { services, close }
}
