import { umlMissing } from '../../lab/uml/install.ts'
import { mkdtempDisposableSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bootUml, makeDisk } from '../../lab/uml/uml.ts'
import { crash, type CrashReport } from './crashes.ts'
import type { Show } from './show.ts'
import type { StoreActor } from './storeActor.ts'

/** Cuts the power of a machine that commits to a store on ext4: a User-Mode Linux kernel, ended with SIGKILL. */
async function cutPower(count: number): Promise<CrashReport> {
  using place = mkdtempDisposableSync(join(tmpdir(), 'torb-power-'))
  const disk = join(place.path, 'disk')
  makeDisk(disk, 64)
  const actor = fileURLToPath(new URL('storeActor.ts', import.meta.url))
  const setup = ['bb mkdir /run/disk', 'bb mount -t ext4 /dev/ubda /run/disk']
  return await crash(count, '/run/disk/data', 1500, async () => {
    const uml = await bootUml<StoreActor>({ actor, disk, setup, limitMs: 60_000 })
    return { actor: uml.guest, kill: async () => await uml.kill() }
  })
}

/** A show of the catalogue: every acknowledged commit is there after each cut, whole. */
export const powerCuts: Show = {
  about: 'power cuts under a store on ext4: every acknowledged commit present, none half-present',
  missing: umlMissing,
  inOtherKernel: true,
  async run(size) {
    const { crashes, acknowledged, wrong } = await cutPower(size === 'full' ? 20 : 2)
    if (wrong.length > 0) throw new Error(wrong.join('\n'))
    return { 'power cuts': crashes, 'acknowledged commits': acknowledged, lost: 0 }
  },
}
