import { editDistance } from '../../model/nearest.ts'
import type { VirtualService } from '../plane.ts'
import type { Uuid } from './ovsdb/ovsdb.ts'
import type { Northbound } from './tables.ts'
import type { Topology } from './topology.ts'

/** A row that a load balancer is attached to. */
export interface Attachment {
  readonly table: 'Logical_Switch' | 'Logical_Router' | 'Load_Balancer_Group'
  readonly uuid: Uuid
  /** As the service has it: its name, or its UUID. */
  readonly given: string
  readonly name: string
  readonly balancers: readonly unknown[]
}

export type Attach = NonNullable<VirtualService['attach']>

export const nowhere: Attach = { switches: [], routers: [], groups: [] }

const kinds = [
  ['switches', 'Logical_Switch', 'switch'],
  ['routers', 'Logical_Router', 'router'],
  ['groups', 'Load_Balancer_Group', 'load balancer group'],
] as const

/** The rows of these names; those that are not there are left out. */
export function attachmentsOf(topology: Topology, attach: Attach | null): readonly Attachment[] {
  if (attach === null) return []
  return kinds.flatMap(([list, table]) =>
    [...new Set(attach[list])].flatMap((name) =>
      rowsNamed(topology, table, name).map((row) => ({
        table,
        uuid: row.uuid,
        given: name,
        name: row.name ?? '',
        balancers: row.load_balancer ?? [],
      })),
    ),
  )
}

/** Why a service cannot be attached there, with the names that may have been meant; null where it can. */
export function attachProblem(
  topology: Topology,
  database: Pick<Northbound, 'rows'>,
  attach: Attach | null,
): string | null {
  if (attach === null) return null
  for (const [list, table, word] of kinds) {
    for (const name of attach[list]) {
      const found = rowsNamed(topology, table, name)
      if (found.length === 1) continue
      if (found.length > 1)
        return `attach.${list}: ${found.length} logical ${word === 'switch' ? 'switches' : `${word}s`} have the name ${name}; give the one that is meant by its UUID (${found.map(({ uuid }) => uuid).join(' or ')})`
      const names = namesIn(database, table)
      if (name === '') return `attach.${list}: "" is no name; ${meant(name, names)}`
      return `attach.${list}: there is no ${word} ${name} in the northbound database; ${meant(name, names)}`
    }
  }
  return null
}

function namesIn(database: Pick<Northbound, 'rows'>, table: Attachment['table']): readonly string[] {
  const rows: Iterable<object> = database.rows(table).values()
  const names = Array.from(rows, (row) => ('name' in row && typeof row.name === 'string' ? row.name : ''))
  return [...new Set(names)].filter((name) => name !== '')
}

function rowsNamed(topology: Topology, table: Attachment['table'], name: string) {
  switch (table) {
    case 'Logical_Switch':
      return topology.switchesNamed(name)
    case 'Logical_Router':
      return topology.routersNamed(name)
    case 'Load_Balancer_Group':
    default: {
      const group = topology.groupNamed(name)
      return group === null ? [] : [group]
    }
  }
}

/** Names that are shown at most. */
const most = 5

function meant(name: string, names: readonly string[]): string {
  if (names.length === 0) return 'it has none: make one first'
  const near = lookalikes(name, names)
  if (near.length > 0) return `did you mean ${near.join(' or ')}?`
  const some = names.toSorted().slice(0, most)
  return `there ${names.length === 1 ? 'is' : 'are'} ${some.join(', ')}${names.length > most ? ' and others' : ''}`
}

/** Names that differ from this one by a slip of the keys: the nearest first, three at most. */
export function lookalikes(name: string, names: readonly string[]): readonly string[] {
  const asked = name.toLowerCase()
  const limit = Math.max(1, Math.floor(asked.length / 3))
  return [...new Set(names)]
    .filter((candidate) => Math.abs(candidate.length - asked.length) <= limit)
    .map((candidate) => [candidate, editDistance(asked, candidate.toLowerCase())] as const)
    .filter(([, away]) => away <= limit)
    .toSorted(([a, first], [b, second]) => first - second || a.localeCompare(b))
    .slice(0, 3)
    .map(([candidate]) => candidate)
}
