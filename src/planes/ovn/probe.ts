import { OvsdbError, type Operation } from './ovsdb/ovsdb.ts'
import type { SelectionField } from './selection.ts'
import type { Northbound } from './tables.ts'

const fields: readonly SelectionField[] = ['ip_src', 'ip_dst', 'ipv6_src', 'ipv6_dst', 'tp_src']

/**
 * What this server's schema does not let a backend be chosen by. Each is tried in a transaction that cannot succeed: where the
 * insertion is what fails, the schema lacks the field, and where the condition after it fails, it would have been taken.
 */
export async function lackingFields(
  database: Pick<Northbound, 'transact' | 'has'>,
): Promise<ReadonlySet<SelectionField>> {
  if (!database.has('Load_Balancer', 'selection_fields')) return new Set(fields)
  const lacking = new Set<SelectionField>()
  for (const field of fields) {
    const never: Operation = {
      op: 'wait',
      table: 'Load_Balancer',
      where: [['name', '==', probeName]],
      columns: ['name'],
      until: '==',
      rows: [],
    }
    const row = { name: probeName, selection_fields: [field] }
    try {
      await database.transact([{ op: 'insert', table: 'Load_Balancer', row }, never])
    } catch (error) {
      if (!(error instanceof OvsdbError)) throw error
      if (error.operation === 0) lacking.add(field)
    }
  }
  return lacking
}

const probeName = 'torb-probe'
