import { resolve } from 'node:path'
import { Worker } from 'node:worker_threads'
import { errorOf, unpackRows, type Reply, type Request } from './protocol.ts'
import { StoreFull, type Row, type Store } from './store.ts'

export interface StoreOptions {
  readonly log?: (message: string) => void
}

/**
 * Opens the store of a directory, and makes both where there are none. The directory is this process's alone until `close`.
 *
 * @throws StoreRefused in use (names the pid), newer, damaged (nothing of it is changed) or not usable
 */
export async function openStore(dir: string, options: StoreOptions = {}): Promise<Store> {
  const store = new ThreadedStore(resolve(dir))
  await store.opened
  options.log?.(`store ${resolve(dir)} is open`)
  return store
}

interface Waiting {
  readonly rows: readonly Row[]
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/** A store whose database lives in a worker thread. Commits that arrive while one is written wait and go together. */
class ThreadedStore implements Store {
  readonly opened: Promise<Reply>
  readonly #dir: string
  readonly #worker: Worker
  /** Requests on their way, oldest first: the worker answers in order. */
  readonly #asked: { resolve: (reply: Reply) => void; reject: (error: Error) => void }[] = []
  #waiting: Waiting[] = []
  #writing: Promise<void> | null = null
  #end: Error | null = null
  #closing: Promise<void> | null = null

  constructor(dir: string) {
    this.#dir = dir
    this.#worker = new Worker(new URL('worker.ts', import.meta.url), { workerData: { dir }, execArgv: [] })
    this.opened = this.#answer()
    this.#worker.on('message', (reply: Reply) => this.#onReply(reply))
    this.#worker.on('error', (error) =>
      this.#fail(new Error(`the store in ${dir} failed: ${String(error)}`, { cause: error })),
    )
    this.#worker.on('exit', () => this.#fail(new Error(`the store in ${dir} is closed`)))
  }

  async load(bucket: string): Promise<readonly (readonly [key: string, value: string])[]> {
    const reply = await this.#ask({ op: 'load', bucket })
    return reply.op === 'load' ? unpackRows(reply.parts) : []
  }

  async commit(rows: readonly Row[]): Promise<void> {
    this.#checkOpen()
    for (const { bucket, key, value } of rows) {
      if (!bucket.isWellFormed() || !key.isWellFormed() || value?.isWellFormed() === false) {
        throw new TypeError(
          `row ${JSON.stringify(key)} of ${bucket} holds half a surrogate pair, which UTF-8 cannot keep`,
        )
      }
    }
    const written = new Promise<void>((resolve, reject) => {
      this.#waiting.push({ rows, resolve, reject })
    })
    this.#writing ??= this.#write()
    await written
  }

  async backup(file: string): Promise<void> {
    this.#checkOpen()
    // A thread and a connection of its own: writers do not wait for a reader.
    const worker = new Worker(new URL('backupWorker.ts', import.meta.url), {
      workerData: { dir: this.#dir, file: resolve(file) },
      execArgv: [],
    })
    await new Promise<void>((done, failed) => {
      worker.on('error', (error) =>
        failed(error instanceof Error && error.name === 'StoreFull' ? new StoreFull(error.message) : error),
      )
      worker.on('exit', () => done())
    })
  }

  async close(): Promise<void> {
    this.#closing ??= this.#close()
    await this.#closing
  }

  async #close(): Promise<void> {
    while (this.#writing !== null) await this.#writing
    if (this.#end !== null) return
    const closed = this.#ask({ op: 'close' })
    this.#end = new Error(`the store in ${this.#dir} is closed`)
    await closed
    await this.#worker.terminate()
  }

  /** Sends what waits until nothing does; one transaction is under way at a time. */
  async #write(): Promise<void> {
    // What is asked for in the same turn goes together.
    await Promise.resolve()
    while (this.#waiting.length > 0) {
      const together = this.#waiting
      this.#waiting = []
      try {
        const reply = await this.#ask({ op: 'commit', commits: together.map(({ rows }) => rows) })
        const faults = reply.op === 'commit' ? reply.faults : []
        together.forEach(({ resolve, reject }, index) => {
          const fault = faults[index]
          if (fault === null) resolve()
          else reject(fault === undefined ? new Error('the store gave no answer') : errorOf(fault))
        })
      } catch (error) {
        for (const { reject } of together) reject(error as Error)
      }
    }
    this.#writing = null
  }

  async #ask(request: Request): Promise<Reply> {
    this.#checkOpen()
    const answer = this.#answer()
    this.#worker.postMessage(request, [])
    return await answer
  }

  /** The process stays alive for an answer, and not for an idle store. */
  async #answer(): Promise<Reply> {
    this.#worker.ref()
    return await new Promise<Reply>((resolve, reject) => {
      this.#asked.push({ resolve, reject })
    })
  }

  #onReply(reply: Reply): void {
    const asked = this.#asked.shift()
    if (this.#asked.length === 0) this.#worker.unref()
    if (reply.op === 'failed') asked?.reject(errorOf(reply.fault))
    else asked?.resolve(reply)
  }

  #fail(error: Error): void {
    this.#end ??= error
    for (const { reject } of this.#asked.splice(0)) reject(error)
  }

  #checkOpen(): void {
    if (this.#end !== null) throw this.#end
  }
}
