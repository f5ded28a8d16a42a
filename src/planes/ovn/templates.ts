import type { VirtualService } from '../plane.ts'
import { lookalikes } from './attachments.ts'
import { identifier } from './identifier.ts'
import { mark } from './marks.ts'
import type { Operation } from './ovsdb/ovsdb.ts'
import type { NorthboundRow } from './tables.ts'
import { unchanged } from './writes.ts'

/** The variable that holds the virtual address of a service: another one for each owner and service. */
export const variableOf = (owner: string, service: string): string =>
  `torb_${identifier(owner)}__${identifier(service)}`

type VariableRow = NorthboundRow<'Chassis_Template_Var'>

/** A variable for every chassis; null: it goes. */
export interface Variable {
  readonly name: string
  readonly values: ReadonlyMap<string, string> | null
}

/** The virtual addresses of a service by chassis: that of its template, and its own one everywhere else. */
export function variableFor(
  { id, address, ovn }: VirtualService,
  owner: string,
  chassis: Iterable<string>,
): Variable | null {
  if (ovn?.template === undefined) return null
  const { template } = ovn
  const names = new Set([...chassis, ...Object.keys(template)])
  return {
    name: variableOf(owner, id),
    values: new Map([...names].map((name) => [name, template[name] ?? address])),
  }
}

/** Chassis that are named at most. */
const most = 5

/** Chassis of a template that nobody knows, with the names that may have been meant: one of that name may come later. */
export function templateAdvice(
  { id, ovn }: VirtualService,
  chassis: Iterable<{ readonly name: string; readonly hostname: string }>,
): readonly string[] {
  const asked = Object.keys(ovn?.template ?? {})
  if (asked.length === 0) return []
  const known = [...chassis]
  const names = known.map(({ name }) => name).toSorted()
  return asked
    .filter((one) => !names.includes(one))
    .map((one) => {
      const host = known.find(({ hostname }) => hostname === one)
      const near = lookalikes(one, names)
      const cure =
        host !== undefined
          ? `that is the host name of chassis ${host.name}: name it so`
          : names.length === 0
            ? 'OVN has none yet'
            : `${near.length > 0 ? `did you mean ${near.join(' or ')}? ` : ''}OVN has ${names.slice(0, most).join(', ')}${names.length > most ? ' and others' : ''}`
      return `template of service ${id} has an address for chassis ${one}, which is not there, and that has no effect until it is; ${cure}`
    })
}

/**
 * Brings the rows of all chassis to these variables; what others have in them stays.
 *
 * A row without variables is left: where the row of a chassis goes and comes again its ovn-controller ends by an assertion
 * (template_vars_update, OVN 23.03 and later).
 */
export function variableOperations(
  rows: Iterable<VariableRow>,
  variables: readonly Variable[],
  owner: string,
): readonly Operation[] {
  const missing = new Map<string, Record<string, string>>()
  for (const { name, values } of variables) {
    for (const [chassis, value] of values ?? [])
      missing.set(chassis, { ...missing.get(chassis), [name]: value })
  }
  const operations: Operation[] = []
  for (const row of rows) {
    const { chassis = '', variables: held = new Map<string, string>() } = row
    missing.delete(chassis)
    const wanted = new Map(held)
    for (const { name, values } of variables) {
      const value = values?.get(chassis)
      if (value === undefined) wanted.delete(name)
      else wanted.set(name, value)
    }
    if (sameEntries(held, wanted)) continue
    operations.push(unchanged('Chassis_Template_Var', row, ['variables']), {
      op: 'update',
      table: 'Chassis_Template_Var',
      where: { uuid: row.uuid },
      row: { variables: wanted },
    })
  }
  for (const [chassis, values] of missing) {
    operations.push({
      op: 'insert',
      table: 'Chassis_Template_Var',
      row: { chassis, variables: values, external_ids: { [mark.owner]: owner } },
    })
  }
  return operations
}

/** True where every chassis has these values. */
export const hasVariable = (rows: Iterable<VariableRow>, variable: Variable, owner: string): boolean =>
  variableOperations(rows, [variable], owner).length === 0

const sameEntries = (a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean =>
  a.size === b.size && [...a].every(([key, value]) => b.get(key) === value)
