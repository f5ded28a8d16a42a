import type { EtcdAccess } from './access.ts'
import { EtcdConnection } from './connection.ts'
import { putIf, readPut } from './wire.ts'

/** Puts values into etcd, each only in the place of the one that is known; one at a time. */
export class Writer implements Disposable {
  readonly #urls: readonly URL[]
  readonly #access: EtcdAccess
  readonly #ended = new AbortController()
  #connection: EtcdConnection | null = null
  #turn = 0
  #last: Promise<unknown> = Promise.resolve()

  constructor(urls: readonly URL[], access: EtcdAccess) {
    this.#urls = urls
    this.#access = access
  }

  /** @returns the revision of what was put; null: the key has changed since `modRevision` @throws where no member takes it */
  put(key: string, modRevision: number, value: string): Promise<number | null> {
    const done = this.#last.then(() => this.#put(putIf(key, modRevision, value)))
    this.#last = done.catch(() => {})
    return done
  }

  [Symbol.dispose](): void {
    this.#ended.abort()
    this.#connection?.[Symbol.dispose]()
  }

  async #put(transaction: object): Promise<number | null> {
    const { signal } = this.#ended
    for (let member = 1; ; member++) {
      const url = this.#urls[this.#turn % this.#urls.length]
      if (url === undefined) return null
      try {
        this.#connection ??= await EtcdConnection.open(url, this.#access, signal)
        return readPut(await this.#connection.call('/v3/kv/txn', transaction, signal))
      } catch (error) {
        this.#connection?.[Symbol.dispose]()
        this.#connection = null
        this.#turn++
        if (signal.aborted || member >= this.#urls.length) throw error
      }
    }
  }
}
