import { openStore } from '../../src/store/sqlite.ts'
import type { Store } from '../../src/store/store.ts'
import { transaction, type Rows } from './acknowledged.ts'

let store: Store | null = null

const opened = (): Store => {
  if (store === null) throw new Error('the store is not open')
  return store
}

/** A store in another process or kernel, which its host kills. */
export const actor = {
  open: async (dir: string): Promise<{ head: Rows; log: Rows }> => {
    store = await openStore(dir)
    return { head: await store.load('head'), log: await store.load('log') }
  },
  /** Resolves when transaction `n` of the lane is durable. */
  commit: async (lane: number, n: number): Promise<void> => await opened().commit(transaction(lane, n)),
}
export type StoreActor = typeof actor
