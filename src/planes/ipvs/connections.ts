import { createReadStream } from 'node:fs'
import { addressText } from '../../model/address.ts'

/** A line of /proc/net/ip_vs_conn (ip_vs_conn_seq_show). */
export interface Connection {
  /** As the kernel writes it: TCP, UDP, SCTP; IP for a persistence template of a firewall mark. */
  readonly protocol: string
  readonly client: string
  /** 0: a persistence template. */
  readonly clientPort: number
  readonly virtual: string
  readonly virtualPort: number
  readonly backend: string
  readonly backendPort: number
  readonly state: string
  /** Seconds. */
  readonly expires: number
}

/** About 120,000 connections: more are not searched for an explanation. */
const mostBytes = 8 << 20

/**
 * The connections of the kernel for which `wanted` holds.
 *
 * @returns complete: false where the table is longer than what is read of it
 */
export async function findConnections(
  wanted: (connection: Connection) => boolean,
  file = '/proc/net/ip_vs_conn',
): Promise<{ readonly found: readonly Connection[]; readonly complete: boolean }> {
  const found: Connection[] = []
  let rest = ''
  let bytes = 0
  for await (const chunk of createReadStream(file, { encoding: 'latin1', highWaterMark: 1 << 16 })) {
    const lines = `${rest}${chunk as string}`.split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const connection = parseConnection(line)
      if (connection !== null && wanted(connection)) found.push(connection)
    }
    bytes += (chunk as string).length
    if (bytes >= mostBytes) return { found, complete: false }
  }
  return { found, complete: true }
}

/** Null for the heading and for what is no connection. */
export function parseConnection(line: string): Connection | null {
  const [protocol = '', client, clientPort, virtual, virtualPort, backend, backendPort, state = '', expires] =
    line.trim().split(/ +/)
  const from = parseEnd(client, clientPort)
  const to = parseEnd(virtual, virtualPort)
  const at = parseEnd(backend, backendPort)
  if (from === null || to === null || at === null) return null
  return {
    protocol,
    client: from.address,
    clientPort: from.port,
    virtual: to.address,
    virtualPort: to.port,
    backend: at.address,
    backendPort: at.port,
    state,
    expires: Number(expires),
  }
}

/** `0A030001`, or eight groups of four hexadecimal digits; the port in four. */
function parseEnd(address = '', port = ''): { address: string; port: number } | null {
  const known = /^[\dA-F]{8}$/.test(address) || /^([\da-f]{4}:){7}[\da-f]{4}$/.test(address)
  if (!known || !/^[\dA-F]{4}$/.test(port)) return null
  const digits = address.replaceAll(':', '')
  const bytes = Uint8Array.from({ length: digits.length / 2 }, (_, index) =>
    Number.parseInt(digits.slice(index * 2, index * 2 + 2), 16),
  )
  return { address: addressText(bytes), port: Number.parseInt(port, 16) }
}
