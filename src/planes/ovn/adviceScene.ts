import type { VirtualService } from '../plane.ts'
import type { RouterRow, SwitchRow } from './logicalRows.ts'
import { clientsOf, type Clients } from './neighbourhood.ts'
import type { Topology } from './topology.ts'

/** What a rule of attachment looks at. */
export interface Scene {
  readonly spec: VirtualService
  readonly attach: NonNullable<VirtualService['attach']>
  readonly topology: Topology
  /** Switches and routers that evaluate the load balancer, groups' members included. */
  readonly switches: readonly SwitchRow[]
  readonly routers: readonly RouterRow[]
  /** Switches where backends are. */
  readonly serverSwitches: readonly SwitchRow[]
  readonly backendAddresses: ReadonlySet<string>
}

export type Rule = (scene: Scene) => readonly string[]

/** So many switches are looked at in search of clients, and so many are named. */
export const searched = 64
export const listed = 3

/** Switches with clients of a kind, of those given; no more than are worth naming. */
export function clientsOn(
  { topology, backendAddresses, spec }: Scene,
  rows: Iterable<SwitchRow>,
  are: (clients: Clients) => boolean = () => true,
): readonly Clients[] {
  const found: Clients[] = []
  let looked = 0
  for (const row of rows) {
    const clients = clientsOf(topology, row, backendAddresses, spec.family)
    if (clients === null) continue
    if (are(clients)) found.push(clients)
    if (found.length > listed || ++looked >= searched) break
  }
  return found
}

export const rowsOf = (clients: readonly Clients[]): readonly SwitchRow[] => clients.map(({ row }) => row)

/** `switch dmz`, `switches dmz and inside`, `switches a, b, c and others`. */
export function named(kind: 'switch' | 'router', rows: readonly { readonly name: string }[]): string {
  const names = rows.map(({ name }) => name)
  const plural = kind === 'switch' ? 'switches' : 'routers'
  if (names.length <= 1) return `${kind} ${names.join('')}`
  const last = names.length > listed ? 'others' : names.at(-1)
  return `${plural} ${names.slice(0, Math.min(listed, names.length - (names.length > listed ? 0 : 1))).join(', ')} and ${last}`
}
