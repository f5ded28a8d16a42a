import { familyOf, type Family } from '../../model/address.ts'
import { portAddresses, type RouterRow, type SwitchPortRow, type SwitchRow } from './logicalRows.ts'
import { hosts } from './subnet.ts'
import type { Datapath, Topology } from './topology.ts'

/** Those on a switch who may ask for a service. */
export interface Clients {
  readonly row: SwitchRow
  readonly from: 'endpoint' | 'outside'
  /** Of one of them. */
  readonly address: string
}

/** Clients that may be on a switch: endpoints other than these addresses', or hosts of a physical network; null where none. */
export function clientsOf(
  topology: Topology,
  row: SwitchRow,
  backends: ReadonlySet<string>,
  family: Family,
): Clients | null {
  for (const port of topology.endpoints(row)) {
    const address = isOther(port, backends) ? addressOf(port, family) : undefined
    if (address !== undefined) return { row, from: 'endpoint', address }
  }
  if (!topology.leadsOutside(row)) return null
  const network = topology.subnets(row).find(({ address }) => familyOf(address) === family)
  const [address] = network === undefined ? [] : hosts(network)
  return address === undefined ? null : { row, from: 'outside', address }
}

const isOther = (port: SwitchPortRow, addresses: ReadonlySet<string>): boolean =>
  !portAddresses(port).addresses.some((address) => addresses.has(address))

const addressOf = (port: SwitchPortRow, family: Family): string | undefined =>
  portAddresses(port).addresses.find((address) => familyOf(address) === family)

/** Switches that packets reach from some, these included, by routers but for those to leave out; the nearest first. */
export function* connected(
  topology: Topology,
  from: readonly SwitchRow[],
  without: ReadonlySet<string> = new Set(),
): Generator<SwitchRow> {
  const seen = new Set<string>(without)
  const waiting: Datapath[] = []
  const meet = (one: Datapath): void => {
    if (seen.has(one.row.uuid)) return
    seen.add(one.row.uuid)
    waiting.push(one)
  }
  for (const row of from) meet({ kind: 'switch', row })
  // The list grows while it is walked.
  for (const one of waiting) {
    if (one.kind === 'switch') {
      yield one.row
      for (const { router: row } of topology.links(one.row)) meet({ kind: 'router', row })
    } else {
      for (const link of topology.linksOf(one.row)) meet({ kind: 'switch', row: link.switch })
      for (const row of peersOf(topology, one.row)) meet({ kind: 'router', row })
    }
  }
}

const peersOf = (topology: Topology, router: RouterRow): readonly RouterRow[] =>
  topology.routerPorts(router).flatMap((port) => {
    const peer = topology.peerOf(port)
    return (peer === null ? null : topology.routerOf(peer)) ?? []
  })

/** Routers beside a router: on its switches, or face to face. */
export function neighboursOf(topology: Topology, router: RouterRow): readonly RouterRow[] {
  const beside = topology
    .linksOf(router)
    .flatMap((link) => topology.links(link.switch).map((one) => one.router))
  const all = [...beside, ...peersOf(topology, router)].filter(({ uuid }) => uuid !== router.uuid)
  return [...new Map(all.map((one) => [one.uuid, one])).values()]
}

/** Switches with a port of one of these addresses; of networks that overlap those that some datapaths have a way to. */
export function switchesNear(
  topology: Topology,
  datapaths: readonly Datapath[],
  addresses: ReadonlySet<string>,
): readonly SwitchRow[] {
  const holders = [...addresses].map((address) => topology.holders(address))
  const found = holders.flat().flatMap((port) => topology.switchOf(port) ?? [])
  const rows = [...new Map(found.map((row) => [row.uuid, row])).values()]
  if (holders.every(({ length }) => length < 2)) return rows
  const start = datapaths.flatMap((one) =>
    one.kind === 'switch' ? [one.row] : topology.linksOf(one.row).map((link) => link.switch),
  )
  const near = new Set(Array.from(connected(topology, start), ({ uuid }) => uuid))
  return rows.filter(({ uuid }) => near.has(uuid))
}
