import type { Ipvs, IpvsDaemon, IpvsTimeouts } from '../../kernel/netlink/ipvsEntries.ts'
import { Refusal } from '../../model/refusal.ts'
import { asError, daemonRefused, errorName } from './refusals.ts'

/**
 * Starts the connection-sync daemons that do not run as they were asked for; others are left alone.
 *
 * @throws Refusal where the kernel does not start one
 */
export function startDaemons(ipvs: Ipvs, wanted: readonly IpvsDaemon[]): void {
  if (wanted.length === 0) return
  const running = ipvs.daemons()
  for (const daemon of wanted) {
    const held = running.find(({ state }) => state === daemon.state)
    if (held !== undefined && runsAs(held, daemon)) continue
    try {
      if (held !== undefined) ipvs.stopDaemon(daemon.state)
      ipvs.startDaemon(daemon)
    } catch (error) {
      throw daemonRefused(daemon.state, daemon.interface, asError(error))
    }
  }
}

/** What was left to the kernel (0, '') does not count. */
function runsAs(held: IpvsDaemon, wanted: IpvsDaemon): boolean {
  const { maxLength, group, port, ttl } = wanted
  return (
    held.interface === wanted.interface &&
    held.syncId === wanted.syncId &&
    (maxLength === 0 || held.maxLength === maxLength) &&
    (group === '' || held.group === group) &&
    (port === 0 || held.port === port) &&
    (ttl === 0 || held.ttl === ttl)
  )
}

/** Writes what is asked for and differs: they hold for all services of the kernel, also those of others. */
export function setTimeouts(ipvs: Ipvs, wanted: Partial<IpvsTimeouts>): void {
  const held = ipvs.timeouts()
  const names = (['tcp', 'tcpfin', 'udp'] as const).filter(
    (name) => wanted[name] !== undefined && wanted[name] !== held[name],
  )
  if (names.length === 0) return
  try {
    ipvs.setTimeouts(Object.fromEntries(names.map((name) => [name, wanted[name]])))
  } catch (error) {
    throw new Refusal(
      'refused',
      `the time-outs of IPVS cannot be set (${errorName(asError(error))}): give ${names.join(', ')} as seconds from 1 to 2147483`,
      { cause: error },
    )
  }
}
