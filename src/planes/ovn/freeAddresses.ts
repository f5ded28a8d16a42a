import { familyOf, type Family } from '../../model/address.ts'
import type { SwitchRow } from './logicalRows.ts'
import { hosts } from './subnet.ts'
import type { Topology } from './topology.ts'

/** Addresses of a switch that nobody has and that its address management does not give away unasked; from the end of the network. */
export function* freeAddresses(topology: Topology, of: SwitchRow, family: Family): Generator<string> {
  const excluded = (of.other_config.get('exclude_ips') ?? '')
    .split(/\s+/)
    .flatMap((text) => range(text) ?? [])
  for (const subnet of topology.subnets(of)) {
    if (familyOf(subnet.address) !== family) continue
    for (const address of hosts(subnet)) {
      const number = family === 4 ? numberOf(address) : -1
      const reserved = excluded.some(([from, to]) => from <= number && number <= to)
      if (!reserved && !topology.isTaken(address)) yield address
    }
  }
}

const numberOf = (address: string): number =>
  address.split('.').reduce((number, part) => number * 256 + Number(part), 0)

/** `A` or `A..B` of exclude_ips. */
function range(text: string): readonly [readonly [number, number]] | null {
  const [from = '', to = from] = text.split('..')
  return familyOf(from) === 4 && familyOf(to) === 4 ? [[numberOf(from), numberOf(to)]] : null
}
