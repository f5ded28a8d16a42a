import type { Uuid } from './ovsdb/ovsdb.ts'

const nothing: ReadonlySet<Uuid> = new Set()

/** Which rows of a table have a key, kept up change by change. */
export class RowIndex<R extends { readonly uuid: Uuid }> {
  readonly #keysOf: (row: R) => Iterable<string>
  readonly #rows = new Map<string, Set<Uuid>>()

  /** @param keysOf under what a row is to be found; must depend on the row alone */
  constructor(keysOf: (row: R) => Iterable<string>) {
    this.#keysOf = keysOf
  }

  /** Takes over that a row came (before null), went (after null) or changed. */
  replace(before: R | null, after: R | null): void {
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
