import { BlockList } from 'node:net'
import { familyOf, readNetwork } from '../../model/address.ts'
import { parseInterval } from '../../model/duration.ts'
import type { HttpOptions } from '../../model/http.ts'

const defaultWait = '1s'

/** The options of an http service, ready for its requests. */
export class HttpSettings {
  /** Requests that may wait while all backends are full, … */
  readonly queue: number
  /** … and for how long. */
  readonly waitMs: number
  readonly #trusted: BlockList | null

  constructor({ trusted_proxies: networks, queue = 0, wait = defaultWait }: HttpOptions = {}) {
    this.queue = queue
    this.waitMs = parseInterval(wait)
    this.#trusted = networks === undefined ? null : listOf(networks)
  }

  isTrusted(address: string): boolean {
    return this.#trusted?.check(address, familyOf(address) === 6 ? 'ipv6' : 'ipv4') ?? false
  }
}

function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList()
  for (const text of networks) {
    const network = readNetwork(text)
    if (network !== null) list.addSubnet(network.address, network.prefix, `ipv${network.family}`)
  }
  return list
}
