import type { ServiceId } from '../../model/names.ts'
import type { VirtualService } from '../plane.ts'
import { mark, markedService } from './marks.ts'
import type { RowChange, Uuid } from './ovsdb/ovsdb.ts'
import type { Northbound, NorthboundRow, northboundTables } from './tables.ts'

type BalancerRow = NorthboundRow<'Load_Balancer'>

/** The Load_Balancer rows that bear an owner's mark, by service: kept up by the replica's changes. */
export class OwnRows {
  readonly #owner: string
  readonly #rows = new Map<ServiceId, Map<Uuid, BalancerRow>>()

  constructor(database: Pick<Northbound, 'rows'>, owner: string) {
    this.#owner = owner
    for (const row of database.rows('Load_Balancer').values()) this.#add(row)
  }

  apply(changes: readonly RowChange<typeof northboundTables>[]): void {
    for (const { table, before, after } of changes) {
      if (table !== 'Load_Balancer') continue
      if (before !== null) this.#remove(before as BalancerRow)
      if (after !== null) this.#add(after as BalancerRow)
    }
  }

  /** Services that have a row of their own, whatever is in it. */
  *ids(): Generator<ServiceId> {
    for (const id of this.#rows.keys()) if (this.main(id) !== null) yield id
  }

  /** Services that have any row, one that only makes OVN watch included. */
  all(): Iterable<ServiceId> {
    return this.#rows.keys()
  }

  has(id: ServiceId): boolean {
    return this.#rows.has(id)
  }

  /** The row that carries a service's traffic. */
  main(id: ServiceId): BalancerRow | null {
    return this.#of(id, false)[0] ?? null
  }

  /** The service as the database has it, whether or not somebody changed its row; null where it has none, or its marks cannot be read. */
  spec(id: ServiceId): VirtualService | null {
    const row = this.main(id)
    return row === null ? null : specOf(row)
  }

  /** The row that only makes OVN watch. */
  watch(id: ServiceId): BalancerRow | null {
    return this.#of(id, true)[0] ?? null
  }

  /** Rows of a service that are there besides those two. */
  surplus(id: ServiceId): readonly BalancerRow[] {
    return [...this.#of(id, false).slice(1), ...this.#of(id, true).slice(1)]
  }

  isOwn(row: BalancerRow): boolean {
    return row.external_ids.get(mark.owner) === this.#owner && row.external_ids.has(mark.service)
  }

  #of(id: ServiceId, watching: boolean): readonly BalancerRow[] {
    const rows = [...(this.#rows.get(id)?.values() ?? [])]
    const found = rows.filter((row) => row.external_ids.has(mark.watch) === watching)
    return found.length < 2 ? found : found.toSorted((a, b) => (a.uuid < b.uuid ? -1 : 1))
  }

  #add(row: BalancerRow): void {
    if (!this.isOwn(row)) return
    const id = row.external_ids.get(mark.service) ?? ''
    const rows = this.#rows.get(id) ?? new Map<Uuid, BalancerRow>()
    this.#rows.set(id, rows.set(row.uuid, row))
  }

  #remove(row: BalancerRow): void {
    const id = row.external_ids.get(mark.service) ?? ''
    const rows = this.#rows.get(id)
    if (rows?.delete(row.uuid) === true && rows.size === 0) this.#rows.delete(id)
  }
}

const read = new WeakMap<BalancerRow, { readonly spec: VirtualService | null }>()

/** The service that a row of Torb's was written for; null where its marks cannot be read. Rows never change. */
export function specOf(row: BalancerRow): VirtualService | null {
  const known = read.get(row)
  if (known !== undefined) return known.spec
  const spec = markedService(row.external_ids)
  read.set(row, { spec })
  return spec
}
