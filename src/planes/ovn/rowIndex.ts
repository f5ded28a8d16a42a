import type { Uuid } from './ovsdb/ovsdb.ts'

const nothing: ReadonlySet<Uuid> = new Set()

/** Which rows of a table have a key, kept up change by change. */
export class RowIndex<R extends { readonly uuid: Uuid }> {
  readonly #keysOf: (row: R) => Iterable<string>
  readonly #columns: readonly (keyof R)[]
  readonly #rows = new Map<string, Set<Uuid>>()

  /**
   * @param keysOf under what a row is to be found; must depend on the row alone
   * @param columns of which only; where the values of these are the very same, nothing is to be done
   */
  constructor(keysOf: (row: R) => Iterable<string>, columns: readonly (keyof R)[] = []) {
    this.#keysOf = keysOf
    this.#columns = columns
  }

  /** Takes over that a row came (before null), went (after null) or changed. */
  replace(before: R | null, after: R | null): void {
    if (before !== null && after !== null && this.#columns.length > 0) {
      if (this.#columns.every((column) => before[column] === after[column])) return
    }
    const old = new Set(before === null ? [] : this.#keysOf(before))
    if (after !== null) {
      for (const key of this.#keysOf(after)) if (!old.delete(key)) this.#add(key, after.uuid)
    }
    if (before !== null) for (const key of old) this.#remove(key, before.uuid)
  }

  get(key: string): ReadonlySet<Uuid> {
    return this.#rows.get(key) ?? nothing
  }

  #add(key: string, uuid: Uuid): void {
    const rows = this.#rows.get(key)
    if (rows === undefined) this.#rows.set(key, new Set([uuid]))
    else rows.add(uuid)
  }

  #remove(key: string, uuid: Uuid): void {
    const rows = this.#rows.get(key)
    rows?.delete(uuid)
    if (rows?.size === 0) this.#rows.delete(key)
  }
}
