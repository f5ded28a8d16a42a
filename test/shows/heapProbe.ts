import { setTimeout as sleep } from 'node:timers/promises'
import { startDaemon } from '../../src/daemon/daemon.ts'
import { request } from '../rig.ts'

/** Starts the daemon on a data directory and prints its heap after collection: what JavaScript holds, buffers included. */
const daemon = await startDaemon({
  listen: '127.0.0.1:0',
  interface: 'lo',
  data: process.argv[2],
  plane: 'userspace',
})
const ids = (await request(`${daemon.url}/service`)).body as string[]
let backends = 0
for (const id of ids.slice(0, 1)) {
  backends +=
    ((await request(`${daemon.url}/service/${id}`)).body as { backends: string[] }).backends.length *
    ids.length
}
for (let i = 0; i < 5; i++) {
  globalThis.gc?.()
  await sleep(50)
}
const { heapUsed, arrayBuffers } = process.memoryUsage()
process.stdout.write(JSON.stringify({ heap: heapUsed + arrayBuffers, backends }))
await daemon.close()
