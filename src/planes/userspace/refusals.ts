import { endpointText, familyOf } from '../../model/address.ts'
import { flagBit } from '../../model/names.ts'
import { Refusal } from '../../model/refusal.ts'
import type { VirtualService } from '../plane.ts'
import { userspaceCan as can } from './can.ts'

export const refused = (text: string, cause?: unknown): Refusal =>
  new Refusal('refused', text, cause === undefined ? undefined : { cause })

/** Why this plane cannot do a service, or null. Control asks `can` before; this holds where it did not. */
export function unsupported(service: VirtualService): Refusal | null {
  const no = (what: string, cure: string): Refusal =>
    refused(`service ${service.id}: the userspace plane cannot do ${what}; ${cure}`)
  if (service.fwmark !== 0)
    return no('firewall marks', 'give an address and a port, or choose the plane ipvs')
  if (service.port === 'any') return no('services of any port', 'give one port, or choose the plane ipvs')
  if (!can.protocols.has(service.protocol))
    return no(service.protocol, 'use tcp, udp or http, or choose the plane ipvs')
  if (!can.schedulers.has(service.scheduler))
    return no(`the scheduler ${service.scheduler}`, 'choose another')
  if (service.attach !== null) return no('attachments', 'leave them out, or choose the plane ovn')
  if (service.proxyProtocol && service.protocol !== 'tcp') {
    return no(`PROXY protocol over ${service.protocol}`, 'leave proxy_protocol out, or use tcp')
  }
  if (service.protocol === 'http' && (service.flags & flagBit.onePacket) !== 0)
    return no('the flag one-packet over http', 'leave it out: each request is scheduled anew')
  for (const destination of service.destinations) {
    if (!can.forwarding.has(destination.forwarding)) {
      return no(
        `the forwarding "${destination.forwarding}" of backend ${destination.id}`,
        'use nat, or choose the plane ipvs',
      )
    }
    if (familyOf(destination.address) === null || destination.port < 1) {
      return no(
        `backend ${destination.id} at ${endpointText(destination.address, destination.port)}`,
        'give it an address and a port',
      )
    }
    if (destination.address === service.address && destination.port === service.port) {
      return no(`backend ${destination.id}, which is the service itself`, 'give it an address of its own')
    }
  }
  return null
}

const causes: Readonly<Record<string, (address: string) => string>> = {
  EADDRINUSE: () =>
    `another program or service listens there; end it (\`ss -lntup\` shows which it is), or give the service another port`,
  EACCES: () =>
    'ports below 1024 need a privilege; start torb with CAP_NET_BIND_SERVICE, or lower net.ipv4.ip_unprivileged_port_start, or take a higher port',
  EADDRNOTAVAIL: (address) =>
    `no interface of this host has the address; let Torb add it (-vipi lo), add it yourself (\`ip address add ${address}/${familyOf(address) === 6 ? 128 : 32} dev lo\`), or give the service one that it has`,
  EMFILE: () => 'the process has no file descriptor left; raise its limit (ulimit -n, LimitNOFILE=)',
  ENFILE: () => 'the system has no file descriptor left; raise fs.file-max',
  EAFNOSUPPORT: () => 'this kernel has no such address family; enable IPv6, or give an IPv4 address',
}

/** What a failed listen or bind means, and what helps. */
export function listenRefused(service: VirtualService, error: unknown): Refusal {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const endpoint = endpointText(service.address, service.port)
  const reason = causes[code]?.(service.address) ?? (error instanceof Error ? error.message : String(error))
  const named = code === '' ? '' : ` (${code})`
  return refused(
    `service ${service.id}: cannot listen on ${service.protocol} ${endpoint}${named}: ${reason}`,
    error,
  )
}

export const descriptorsRefused = (service: VirtualService, limit: number): Refusal =>
  refused(
    `service ${service.id}: cannot listen on ${service.protocol} ${endpointText(service.address, service.port)}: the process may ` +
      `have ${limit} file descriptors and all are spoken for; raise the limit (ulimit -n, LimitNOFILE=)`,
  )
