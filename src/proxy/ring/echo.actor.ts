/** A Worker that lives for a ring: an echo server over a shared socket, which answers messages and counts its clients. */
import { parentPort, workerData } from 'node:worker_threads'
import { echo } from './rig.ts'
import { runRing } from './run.ts'
import { RingStream } from './stream.ts'

export interface EchoWorkerData {
  readonly wake: number
  readonly socket: { readonly descriptor: number; readonly port: number }
  /** Clients of each Worker. */
  readonly counts: Int32Array
  readonly index: number
}

const { wake, socket, counts, index } = workerData as EchoWorkerData
const stream = await RingStream.open({ slots: 2048, slotBytes: 65_536, wake })
const events = echo(stream)
const listener = stream.listenShared(socket, {
  ...events,
  accepted: (connection) => {
    Atomics.add(counts, index, 1)
    events.accepted(connection)
  },
})
const port = parentPort
port?.on('message', (message: number | 'close' | 'end') => {
  if (message === 'close') listener.close()
  if (message === 'end') {
    stream.end()
    port.close()
  } else port.postMessage(message)
})
port?.postMessage('ready')
await runRing(stream)
