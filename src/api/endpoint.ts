import { lookup } from 'node:dns/promises'
import { networkInterfaces } from 'node:os'
import { familyOf } from '../model/address.ts'
import type { Listener } from './listeners.ts'

/** GORB's. */
export const defaultListen = ':4672'

/** `HOST:PORT`, `[IPV6]:PORT` or `:PORT`; null where it is neither. The host is '' in the last case. */
export function parseEndpoint(text: string): { readonly host: string; readonly port: number } | null {
  const parts = /^(?:\[([^\]]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text)
  const port = Number(parts?.[3])
  if (parts === null || port > 65_535) return null
  const [, bracketed, plain = ''] = parts
  if (bracketed !== undefined && familyOf(bracketed) !== 6) return null
  return { host: bracketed ?? plain, port }
}

/**
 * Where somebody is to listen: one address, also for a name that has several.
 *
 * @param who for people
 * @throws Error in one sentence
 */
export async function listenPlace(who: string, listen: string): Promise<Listener> {
  const endpoint = parseEndpoint(listen)
  if (endpoint === null) {
    throw new Error(
      `${who} cannot listen on "${listen}", which is not [HOST]:PORT such as :4672 or 127.0.0.1:4672`,
    )
  }
  const { host, port } = endpoint
  if (host === '') return { address: anyAddress(), port }
  try {
    return { address: (await lookup(host)).address, port }
  } catch (error) {
    throw new Error(
      `${who} cannot listen on "${listen}": the name ${host} does not resolve; name an address of this host`,
      {
        cause: error,
      },
    )
  }
}

/** Both families where the host has IPv6. */
function anyAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((entries) => entries ?? [])
  return addresses.some(({ family }) => family === 'IPv6') ? '::' : '0.0.0.0'
}
