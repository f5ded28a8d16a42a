import { endpointText } from '../model/address.ts'
import { carrierOf, protocolNames, type Protocol } from '../model/names.ts'

/** Where a service is reached: what no two services of one plane may share. */
export interface VirtualEndpoint {
  readonly protocol: Protocol
  /** Canonical; '' with a firewall mark. */
  readonly address: string
  readonly port: number | 'any'
  /** 0: selected by address. */
  readonly fwmark: number
}

/** One text for one socket address or mark: `tcp 10.0.0.1:80` (http too), `udp [2001:db8::1]:any`, `fwmark 7`. The ledger's note. */
export function endpointKey({ protocol, address, port, fwmark }: VirtualEndpoint): string {
  return fwmark === 0 ? `${carrierOf(protocol)} ${endpointText(address, port)}` : `fwmark ${fwmark}`
}

/** The endpoint of a text made by `endpointKey`, or null where it is none. A mark's protocol is tcp, as in the model. */
export function parseEndpointKey(key: string): VirtualEndpoint | null {
  const mark = /^fwmark (\d+)$/.exec(key)
  if (mark !== null) return { protocol: 'tcp', address: '', port: 0, fwmark: Number(mark[1]) }
  const parts = /^(\w+) (?:\[(.+)\]|([^:]+)):(\d+|any)$/.exec(key)
  const protocol = protocolNames.find((name) => name === parts?.[1])
  if (parts === null || protocol === undefined) return null
  const port = parts[4] === 'any' ? 'any' : Number(parts[4])
  return { protocol, address: parts[2] ?? parts[3] ?? '', port, fwmark: 0 }
}
