import { parentPort, workerData } from 'node:worker_threads'
import type { ServiceId } from '../../model/names.ts'
import type { RefusalCode } from '../../model/refusal.ts'
import type { Change, Flow, VirtualService } from '../plane.ts'
import { openUserspace, type UserspaceOptions } from './plane.ts'

/** What the Worker of a `ThreadPlane` gets as its workerData. */
export type WorkerSetup = Pick<
  UserspaceOptions,
  'timeouts' | 'connectTimeoutMs' | 'closeWithinMs' | 'accessLog'
>

/** What is asked by messages, each answered by one with the same number. */
export type Question = {
  [Name in keyof Methods]: {
    readonly id: number
    readonly method: Name
    readonly args: Parameters<Methods[Name]>
  }
}[keyof Methods]

export type FromWorker =
  | { readonly type: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly type: 'failure'; readonly id: number; readonly error: unknown }
  | { readonly type: 'info'; readonly text: string }
  | { readonly type: 'warn'; readonly fields: object; readonly text: string }

/** An outcome as a message carries it: of a class, only what its built-in ancestor has arrives. */
export type PlainOutcome =
  | { readonly ok: true }
  | { readonly ok: false; readonly code: RefusalCode; readonly message: string }

const port = parentPort
if (port === null) throw new Error('src/planes/userspace/worker.ts runs as the Worker of a ThreadPlane')
const tell = (message: FromWorker): void => port.postMessage(message)

const plane = openUserspace({
  ...(workerData as WorkerSetup),
  log: {
    info: (text) => tell({ type: 'info', text }),
    warn: (fields, text) => tell({ type: 'warn', fields, text }),
  },
})

const methods = {
  open: () => plane.open(),
  observe: (scope: 'all' | readonly ServiceId[]) => Array.fromAsync(plane.observe(scope)),
  apply: async (changes: readonly Change<VirtualService, ServiceId>[]): Promise<PlainOutcome[]> =>
    (await plane.apply(changes)).map((outcome) =>
      outcome.ok ? outcome : { ok: false, code: outcome.error.code, message: outcome.error.message },
    ),
  counters: (keys?: readonly ServiceId[]) => plane.counters(keys),
  explain: (flow: Flow) => plane.explain(flow),
  withdraw: (keys: readonly ServiceId[]) => plane.withdraw(keys),
  zero: (keys?: readonly ServiceId[]) => plane.zero(keys),
  facts: () => plane.facts(),
  reopenLog: () => plane.reopenLog(),
  close: () => plane.close(),
}
export type Methods = typeof methods

port.on('message', ({ id, method, args }: Question) => {
  const run = methods[method] as (...args: unknown[]) => Promise<unknown>
  run(...args).then(
    (value) => tell({ type: 'answer', id, value }),
    (error: unknown) => tell({ type: 'failure', id, error }),
  )
})
