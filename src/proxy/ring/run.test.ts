import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { afterEach, describe, expect, it } from 'vitest'
import { ringMissing } from '../../kernel/uring/probe.ts'
import { listenOn, type ListeningSocket } from '../../kernel/uring/sockets.ts'
import { openWake, type Wake } from '../../kernel/uring/wake.ts'
import type { EchoWorkerData } from './echo.actor.ts'
import { Rig, whole } from './rig.ts'
import { until } from '../../../lab/until.ts'

const missing = await ringMissing()
if (missing !== null) console.warn(`skipped: Workers that live for a ring, as ${missing}`)

class EchoWorker {
  readonly worker: Worker
  readonly wake: Wake

  private constructor(worker: Worker, wake: Wake) {
    this.worker = worker
    this.wake = wake
  }

  static async start(socket: ListeningSocket, counts: Int32Array, index: number): Promise<EchoWorker> {
    const wake = await openWake()
    const { descriptor, port } = socket
    const workerData: EchoWorkerData = { wake: wake.descriptor, socket: { descriptor, port }, counts, index }
    const worker = new Worker(new URL('echo.actor.ts', import.meta.url), { workerData })
    const started = new EchoWorker(worker, wake)
    expect(await once(worker, 'message')).toEqual(['ready'])
    return started
  }

  /** Its answer to a message that it was woken for. */
  async ask(message: number | 'close'): Promise<unknown> {
    const answer = once(this.worker, 'message')
    this.worker.postMessage(message, [])
    this.wake.wake()
    return (await answer)[0]
  }

  async end(): Promise<void> {
    const exit = once(this.worker, 'exit')
    this.worker.postMessage('end', [])
    this.wake.wake()
    expect(await exit).toEqual([0])
    this.wake.close()
  }
}

describe.skipIf(missing !== null)('a Worker that lives for a ring', () => {
  const rig = new Rig()
  afterEach(() => rig.end())

  async function start(count: number) {
    const socket = await listenOn('127.0.0.1', 0)
    const counts = new Int32Array(new SharedArrayBuffer(4 * count))
    const workers: EchoWorker[] = []
    for (let index = 0; index < count; index += 1) workers.push(await EchoWorker.start(socket, counts, index))
    const end = async (): Promise<void> => {
      for (const worker of workers) await worker.end()
      socket.close()
    }
    return { socket, counts, workers, end }
  }

  async function askEcho(port: number): Promise<string> {
    const client = rig.client(port)
    const answer = whole(client)
    client.end('hello')
    return String(await answer)
  }

  it('gets every message for which it is woken, while it waits in the kernel', async () => {
    const { workers, end } = await start(1)
    for (let message = 0; message < 200; message += 1) expect(await workers[0]?.ask(message)).toBe(message)
    await end()
  })

  it('gets messages also while it has much to do', async () => {
    const { socket, workers, end } = await start(1)
    const client = rig.client(socket.port)
    client.on('data', (chunk) => client.write(chunk))
    client.write(new Uint8Array(200_000))
    for (let message = 0; message < 50; message += 1) expect(await workers[0]?.ask(message)).toBe(message)
    client.destroy()
    await end()
  })

  it('shares a socket with others: each takes clients, and what one leaves the others take', async () => {
    const before = readdirSync('/proc/self/fd').length
    const { socket, counts, workers, end } = await start(2)
    for (let round = 0; round < 10; round += 1) {
      const answers = await Promise.all(Array.from({ length: 40 }, () => askEcho(socket.port)))
      expect(new Set(answers)).toEqual(new Set(['hello']))
    }
    const [first = 0, second = 0] = counts
    expect(first + second).toBe(400)
    expect(first).toBeGreaterThan(0)
    expect(second).toBeGreaterThan(0)
    await workers[0]?.ask('close')
    for (let client = 0; client < 40; client += 1) expect(await askEcho(socket.port)).toBe('hello')
    // It may have had its accepts under way.
    expect(counts[0]).toBeLessThanOrEqual(first + 8)
    expect((counts[0] ?? 0) + (counts[1] ?? 0)).toBe(440)
    await end()
    rig.end()
    await until(() => readdirSync('/proc/self/fd').length <= before)
  })

  it('ends by force too: it comes out of the kernel in time', async () => {
    const { socket, workers } = await start(1)
    await workers[0]?.worker.terminate()
    workers[0]?.wake.close()
    socket.close()
  })
})
