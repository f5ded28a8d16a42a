import type { PlaneName, ServiceId } from '../model/names.ts'
import type { Ledger } from '../planes/plane.ts'
import type { Row } from '../store/store.ts'
import { bucket, endpointOf, type ServiceRecord } from './records.ts'

/** The planes to which services were given, as the bucket `ledger` has them. */
export function planesInLedger(rows: readonly (readonly [string, string])[]): Set<PlaneName> {
  return new Set(rows.map(([key]) => (JSON.parse(key) as [PlaneName, ServiceId])[0]))
}

/**
 * Which services were given to which plane, kept over restarts for planes whose entries outlive Torb: kernels keep no
 * owner's mark. A key is noted in the same transaction as the wish, before the plane is asked, and cleared after the
 * plane has dropped it; a crash in between leaves a key too many, never an entry that nobody owns.
 */
export class KeyLedger {
  readonly #notes = new Map<PlaneName, Map<ServiceId, string>>()
  readonly #outliving: ReadonlySet<PlaneName>
  #cleared: Row[] = []

  /** @param rows the bucket `ledger` as loaded; @param outliving planes with `can.survivesExit` */
  constructor(rows: readonly (readonly [string, string])[], outliving: ReadonlySet<PlaneName>) {
    this.#outliving = outliving
    for (const [key, note] of rows) {
      const [plane, id] = JSON.parse(key) as [PlaneName, ServiceId]
      this.#of(plane).set(id, note)
    }
  }

  /** What a plane gets to see: its own keys. */
  view(plane: PlaneName): Ledger {
    const notes = this.#of(plane)
    return { has: (key) => notes.has(key), keys: () => notes.keys(), note: (key) => notes.get(key) }
  }

  /** The rows to store with a wish, before its plane is asked. */
  rowsBefore(plane: PlaneName, record: ServiceRecord | null): Row[] {
    if (record === null || !this.#outliving.has(plane)) return []
    const note = endpointOf(record)
    if (this.#of(plane).get(record.id) === note) return []
    this.#of(plane).set(record.id, note)
    return [{ bucket: bucket.ledger, key: JSON.stringify([plane, record.id]), value: note }]
  }

  /** Forgets the keys of a plane that are neither held nor wished for: a crash may leave some. */
  keep(plane: PlaneName, wanted: (id: ServiceId) => boolean): void {
    for (const id of this.#of(plane).keys()) if (!wanted(id)) this.removed(plane, id)
  }

  /** The plane has dropped the service. */
  removed(plane: PlaneName, id: ServiceId): void {
    if (!this.#of(plane).delete(id)) return
    this.#cleared.push({ bucket: bucket.ledger, key: JSON.stringify([plane, id]), value: null })
  }

  /** The rows to clear since the last call; clearing late is harmless. */
  takeCleared(): Row[] {
    const rows = this.#cleared
    this.#cleared = []
    // A service that came back meanwhile is noted again.
    return rows.filter(({ key }) => {
      const [plane, id] = JSON.parse(key) as [PlaneName, ServiceId]
      return !this.#of(plane).has(id)
    })
  }

  /** Rows that could not be cleared: they come with the next call of `takeCleared`. */
  giveBack(rows: readonly Row[]): void {
    this.#cleared.push(...rows)
  }

  #of(plane: PlaneName): Map<ServiceId, string> {
    const notes = this.#notes.get(plane) ?? new Map<ServiceId, string>()
    this.#notes.set(plane, notes)
    return notes
  }
}
