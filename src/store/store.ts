/**
 * The seam of the store: durable text rows under (bucket, key). It knows nothing of what they mean.
 *
 * Buckets in use: see src/control/records.ts and src/announce/address/addresses.ts.
 */
export interface Row {
  readonly bucket: string
  readonly key: string
  /** null deletes. */
  readonly value: string | null
}

export interface Store {
  /** All rows of a bucket, in key order. */
  load(bucket: string): Promise<readonly (readonly [key: string, value: string])[]>
  /**
   * All rows or none, durable (fsync) when it resolves. Commits that wait together become one transaction.
   *
   * @throws StoreFull when the disk has no room: nothing of it is kept
   */
  commit(rows: readonly Row[]): Promise<void>
  /** A consistent copy of the whole store into a new file, while it is in use. */
  backup(file: string): Promise<void>
  close(): Promise<void>
}

/** No room left for a durable write. */
export class StoreFull extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'StoreFull'
  }
}

/** Why a store is not opened: held by another process, written by a newer Torb, damaged, or not usable where it is. */
export class StoreRefused extends Error {
  readonly code: 'in-use' | 'newer' | 'damaged' | 'unusable'

  constructor(code: StoreRefused['code'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'StoreRefused'
    this.code = code
  }
}
