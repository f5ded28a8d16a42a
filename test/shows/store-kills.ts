import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempDisposableSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { remote } from '../../lab/channel.ts'
import { crash, type CrashReport, type Victim } from './crashes.ts'
import type { StoreActor } from './storeActor.ts'

/** Ends a process that commits to a store with kill -9. */
export async function storeKills(count: number): Promise<CrashReport> {
  using place = mkdtempDisposableSync(join(tmpdir(), 'torb-kills-'))
  return await crash(count, join(place.path, 'data'), 150, startProcess)
}

async function startProcess(): Promise<Victim> {
  const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url))
  const child = fork(path('../../lab/actor.ts'), [path('storeActor.ts')], { execArgv: [] })
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

if (import.meta.main) {
  const report = await storeKills(Number(process.argv[2] ?? 300))
  console.log(
    `${report.crashes} kills, ${report.acknowledged} acknowledged commits, ${report.wrong.length} wrong`,
  )
  for (const text of report.wrong) console.log(text)
  process.exitCode = report.wrong.length === 0 ? 0 : 1
}
