import { endpointText } from '../model/address.ts'
import type { Destination, VirtualService } from '../planes/plane.ts'

/**
 * What a plane holds, under the names of those who wished for it: kernels know addresses and weights, no ids.
 *
 * Destinations are matched by address and port, and come in the order of the wish; those nobody wished for come last,
 * under the text of their endpoint.
 */
export function identified(seen: VirtualService, wished: VirtualService): VirtualService {
  const byPlace = new Map(seen.destinations.map((destination) => [placeOf(destination), destination]))
  const known: Destination[] = []
  for (const wish of wished.destinations) {
    const found = byPlace.get(placeOf(wish))
    if (found === undefined) continue
    byPlace.delete(placeOf(wish))
    // Of what a kernel does not keep, the wish is what it was given.
    const { id, maxWeight, maxConnections, check } = wish
    known.push({ ...found, id, maxWeight, maxConnections, check })
  }
  const unknown = [...byPlace.values()].map((found) => ({ ...found, id: placeOf(found) }))
  const { id, proxyProtocol, attach, ovn } = wished
  return { ...seen, id, proxyProtocol, attach, ovn, destinations: [...known, ...unknown] }
}

const placeOf = ({ address, port }: Destination): string => endpointText(address, port)
