import { parentPort, workerData } from 'node:worker_threads'
import { PortableStreams } from '../proxy/portable/stream.ts'
import { runRing } from '../proxy/ring/run.ts'
import { RingStream } from '../proxy/ring/stream.ts'
import { GatewayThread, type FromThread, type ThreadSetup, type ToThread } from './thread.ts'

/** What a Worker of the gateway gets as its workerData. */
export interface WorkerSetup extends ThreadSetup {
  readonly slots: number
  readonly slotBytes: number
  /** ring: a socket that all Workers share. portable: where this one Worker listens. */
  readonly listen:
    | { readonly on: 'ring'; readonly descriptor: number; readonly port: number; readonly wake: number }
    | { readonly on: 'portable'; readonly address: string; readonly port: number }
}

const port = parentPort
if (port === null) throw new Error('src/gateway/worker.ts runs as a Worker of the gateway')
const setup = workerData as WorkerSetup
const tell = (message: FromThread): void => port.postMessage(message)

const started = setup.listen.on === 'ring' ? startOnRing(setup.listen) : startPortable(setup.listen)
const run = await started.catch(({ message, code = '' }: NodeJS.ErrnoException) => {
  tell({ type: 'failed', message, code })
})
// What is thrown in there ends the Worker, and the main thread hears of it.
await run?.()

/** @returns what runs it to its end */
async function startOnRing(
  socket: Extract<WorkerSetup['listen'], { on: 'ring' }>,
): Promise<() => Promise<void>> {
  const { slots, slotBytes } = setup
  const stream = await RingStream.open({ slots, slotBytes, wake: socket.wake })
  const thread = new GatewayThread(stream, setup, tell)
  receive(thread, () => stream.end())
  thread.serve((events) => stream.listenShared(socket, events))
  tell({ type: 'listening', port: socket.port })
  return () => runRing(stream)
}

async function startPortable({ address, port }: { address: string; port: number }): Promise<undefined> {
  const { slots, slotBytes } = setup
  const stream = new PortableStreams({ slots, slotBytes, bothFamilies: address === '::' })
  const thread = new GatewayThread(stream, setup, tell)
  receive(thread, () => stream.end())
  const listener = await thread.listen(address, port)
  tell({ type: 'listening', port: listener.port })
}

function receive(thread: GatewayThread, end: () => void): void {
  port?.on('message', (message: ToThread) => {
    void thread.receive(message).then(() => {
      if (message.type !== 'stop') return
      end()
      port.close()
    })
  })
}
