import { Worker } from 'node:worker_threads'
import type { ServiceId } from '../../model/names.ts'
import { Refusal } from '../../model/refusal.ts'
import type { Change, Explanation, Flow, Outcome, Plane, ServiceCounters, VirtualService } from '../plane.ts'
import { userspaceCan } from './can.ts'
import type { PlaneLog } from './context.ts'
import type { FromWorker, Methods, WorkerSetup } from './worker.ts'

export interface ThreadOptions extends WorkerSetup {
  readonly log?: PlaneLog
  /**
   * The thread has died, which is a fault of Torb's: its clients hang. Absent: it is thrown, so that the process ends and a
   * supervisor starts it anew.
   */
  readonly failed?: (error: Error) => void
}

interface Waiting {
  resolve(value: unknown): void
  reject(error: unknown): void
}

/** The userspace plane in a thread of its own: what the other one does (the API, checks) does not hold up traffic. */
export class ThreadPlane implements Plane {
  readonly can = userspaceCan
  readonly #options: ThreadOptions
  readonly #waiting = new Map<number, Waiting>()
  #worker: Worker | null = null
  #lastId = 0
  /** Why it cannot be asked any more. */
  #ended: Refusal | null = null
  #closed: Promise<void> | null = null

  constructor(options: ThreadOptions = {}) {
    this.#options = options
  }

  /** Callable again; whatever is asked first does it otherwise. */
  open(): Promise<void> {
    return this.#ask('open')
  }

  async *observe(scope: 'all' | readonly ServiceId[]): AsyncGenerator<readonly [ServiceId, VirtualService]> {
    yield* await this.#ask('observe', scope)
  }

  async apply(changes: readonly Change<VirtualService, ServiceId>[]): Promise<readonly Outcome[]> {
    const outcomes = await this.#ask('apply', changes)
    return outcomes.map((outcome) =>
      outcome.ok ? outcome : { ok: false, error: new Refusal(outcome.code, outcome.message) },
    )
  }

  counters(keys?: readonly ServiceId[]): Promise<ReadonlyMap<ServiceId, ServiceCounters>> {
    return this.#ask('counters', keys)
  }

  explain(flow: Flow): Promise<Explanation> {
    return this.#ask('explain', flow)
  }

  withdraw(keys: readonly ServiceId[]): Promise<void> {
    return this.#ask('withdraw', keys)
  }

  zero(keys?: readonly ServiceId[]): Promise<void> {
    return this.#ask('zero', keys)
  }

  facts(): Promise<Readonly<Record<string, unknown>>> {
    return this.#ask('facts')
  }

  async reopenLog(): Promise<void> {
    if (this.#worker !== null) await this.#ask('reopenLog')
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#close())
  }

  async #close(): Promise<void> {
    if (this.#worker !== null && this.#ended === null) await this.#ask('close')
    this.#end(new Refusal('unreachable', 'the userspace plane is closed; start Torb anew'))
    await this.#worker?.terminate()
  }

  #ask<Name extends keyof Methods>(
    method: Name,
    ...args: Parameters<Methods[Name]>
  ): Promise<Awaited<ReturnType<Methods[Name]>>> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== null) return reject(this.#ended)
      const id = ++this.#lastId
      this.#waiting.set(id, { resolve, reject })
      this.#worker ??= this.#start()
      this.#worker.postMessage({ id, method, args }, [])
    })
  }

  #start(): Worker {
    const { log: _log, failed: _failed, ...setup } = this.#options
    const worker = new Worker(new URL('worker.ts', import.meta.url), { workerData: setup, execArgv: [] })
    worker.on('message', (message: FromWorker) => this.#told(message))
    worker.once('error', (error) => this.#died(error instanceof Error ? error : new Error(String(error))))
    worker.once('exit', (code) => this.#died(new Error(`it exited with code ${code}`)))
    return worker
  }

  #told(message: FromWorker): void {
    const { log } = this.#options
    if (message.type === 'info') return log?.info(message.text)
    if (message.type === 'warn') return log?.warn(message.fields, message.text)
    const waiting = this.#waiting.get(message.id)
    this.#waiting.delete(message.id)
    if (message.type === 'answer') waiting?.resolve(message.value)
    else waiting?.reject(message.error)
  }

  #died(cause: Error): void {
    if (this.#ended !== null) return
    const text = `the thread of the userspace plane has died: ${cause.message}; start Torb anew, and report this`
    this.#end(new Refusal('unreachable', text, { cause }))
    const error = new Error(text, { cause })
    if (this.#options.failed === undefined) throw error
    this.#options.failed(error)
  }

  #end(reason: Refusal): void {
    this.#ended ??= reason
    for (const waiting of this.#waiting.values()) waiting.reject(this.#ended)
    this.#waiting.clear()
  }
}
