import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { actor as trace } from '../../../lab/actors/netlinkTrace.ts'
import { openStore } from '../../../src/store/sqlite.ts'
import { request, type Answer } from '../../rig.ts'

const torb = fileURLToPath(new URL('../../../bin/torb', import.meta.url))

let child: ChildProcess | null = null
let errors = ''

/** Stands in the director's namespace: runs Torb there, asks it, looks what the kernel holds, counts what it is asked. */
export const actor = {
  /** Starts `torb serve` and gives the milliseconds until it was ready. */
  async serve(args: readonly string[]): Promise<number> {
    const begin = performance.now()
    const started = spawn(torb, ['serve', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    child = started
    errors = ''
    started.stderr.on('data', (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(-20_000)))
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    createInterface({ input: started.stdout }).on('line', (line) => {
      if (line.startsWith('torb ready ')) resolve()
    })
    started.once('exit', (code) => reject(new Error(`torb ended with ${code}: ${errors}`)))
    await promise
    return performance.now() - begin
  },

  async end(signal: NodeJS.Signals): Promise<void> {
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill(signal)
    await exited
  },

  signal: async (signal: NodeJS.Signals): Promise<void> => void child?.kill(signal),

  /** Standard error of the Torb that was started last. */
  errors: async (): Promise<string> => errors,

  api: async (method: string, path: string, body?: unknown): Promise<Answer> =>
    await request(`http://127.0.0.1:4672${path}`, method, body),

  write: async (path: string, text: string): Promise<void> => await writeFile(path, text),

  ipvsadm: async (args: readonly string[]): Promise<string> =>
    execFileSync('ipvsadm', args, { encoding: 'utf8', maxBuffer: 64 << 20 }),

  /** Takes rows out of a store that no Torb has open: what is on the disk after a crash behind a durable delete. */
  async forget(data: string, rows: readonly (readonly [bucket: string, key: string])[]): Promise<void> {
    const store = await openStore(data, { log: () => undefined })
    await store.commit(rows.map(([bucket, key]) => ({ bucket, key, value: null })))
    await store.close()
  },

  trace: async (): Promise<void> => await trace.start(),
  /** Milliseconds between the first and the last request that were traced since the last call. */
  span: async (): Promise<number> => await trace.span(),
  traced: async (): Promise<Record<string, number>> => await trace.take(),
}
export type Director = typeof actor
