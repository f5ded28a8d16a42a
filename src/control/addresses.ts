import { canonicalAddress, endpointText, familyOf } from '../model/address.ts'
import { invalid, message } from '../model/refusal.ts'
import { readService, type ServiceBody, type ServiceOptions } from '../model/service.ts'

export interface NamesOptions {
  /** The first address of a DNS name. Rejects with a message for people. */
  readonly resolve: (name: string) => Promise<string>
  /** The default virtual address now; null where the interface has none. */
  readonly defaultHost: () => string | null
  /** True where Torb's own API listens there: a backend there would carry strangers into local trust. */
  readonly isOwnListener: (address: string, port: number) => boolean
}

export interface Names {
  service(body: ServiceBody): Promise<{ readonly options: ServiceOptions; readonly address: string }>
  serviceAddress(host: string): Promise<string>
  backendAddress(host: string, port: number): Promise<string>
}

/** Turns the hosts of services and backends into addresses, once, when they are created. */
export function makeNames({ resolve, defaultHost, isOwnListener }: NamesOptions): Names {
  const addressOf = async (host: string): Promise<string> => {
    if (familyOf(host) !== null) return canonicalAddress(host)
    try {
      return canonicalAddress(await resolve(host))
    } catch (error) {
      throw invalid(
        `host "${host}" is neither an address nor a name that resolves: ${error instanceof Error ? error.message : String(error)}`,
      )
    }
  }
  const serviceAddress = async (host: string): Promise<string> => {
    if (host !== '') return addressOf(host)
    const address = defaultHost()
    if (address === null) throw invalid(message.endpointMissing)
    return canonicalAddress(address)
  }
  return {
    serviceAddress,
    async service(body) {
      const options = readService(body, defaultHost() !== null)
      return { options, address: options.fwmark === undefined ? await serviceAddress(options.host) : '' }
    },
    async backendAddress(host, port) {
      const address = await addressOf(host)
      if (isOwnListener(address, port)) {
        throw invalid(ownListener(address, port))
      }
      return address
    },
  }
}

/** Why a backend that is Torb's own API is refused. */
export const ownListener = (address: string, port: number): string =>
  `backend ${endpointText(address, port)} is Torb's own API: balancing to it would let strangers in as local; name the port of a server`
