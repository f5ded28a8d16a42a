import type { Ipvs, IpvsDaemon } from '../../kernel/netlink/ipvsEntries.ts'
import { asError, daemonRefused } from './refusals.ts'

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
