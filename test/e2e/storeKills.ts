import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempDisposableSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { remote } from '../../lab/channel.ts'
import { crash, type CrashReport, type Victim } from '../shows/crashes.ts'
import type { StoreActor } from '../shows/storeActor.ts'

/** Ends a process that commits to a store with kill -9. */
export async function storeKills(count: number): Promise<CrashReport> {
  using place = mkdtempDisposableSync(join(tmpdir(), 'torb-kills-'))
  return await crash(count, join(place.path, 'data'), 150, startProcess)
}

async function startProcess(): Promise<Victim> {
  const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url))
  const child = fork(path('../../lab/actor.ts'), [path('../shows/storeActor.ts')], { execArgv: [] })
  const exited = once(child, 'exit')
  await once(child, 'message')
  const actor = remote<StoreActor>({
    send: (message) => void (child.connected && child.send(message as object)),
    onMessage: (listener) => void child.on('message', listener),
    onClose: (listener) => void child.once('disconnect', () => listener('killed')),
  })
  return {
    actor,
    kill: async () => {
      child.kill('SIGKILL')
      await exited
    },
  }
}
