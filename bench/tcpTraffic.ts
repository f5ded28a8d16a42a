import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import type { Endpoint } from '../lab/client.ts'

/** Size of a small question and of its answer; the first byte tells what is asked. */
const messageBytes = 64
const chunk = Buffer.alloc(256 * 1024, 'x')

/**
 * The backend: 64 bytes that begin with `q` are answered by 64 bytes; 64 bytes that begin with `b` and a number by so
 * many.
 */
async function serve(host: string): Promise<number> {
  const server = createServer({ noDelay: true }, (socket) => {
    let pending: Buffer = Buffer.alloc(0)
    socket.on('error', () => socket.destroy())
    socket.on('data', (data: Buffer) => {
      pending = pending.length === 0 ? data : Buffer.concat([pending, data])
      while (pending.length >= messageBytes) {
        const message = pending.subarray(0, messageBytes)
        pending = pending.subarray(messageBytes)
        if (message[0] === 0x62) pour(socket, Number.parseInt(message.toString('latin1', 1), 10))
        else socket.write(message)
      }
    })
  })
  server.listen({ host, port: 0, backlog: 4096 })
  await once(server, 'listening')
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

function pour(socket: Socket, bytes: number): void {
  let left = bytes
  const go = (): void => {
    while (left > 0) {
      const part = left < chunk.length ? chunk.subarray(0, left) : chunk
      left -= part.length
      if (!socket.write(part)) {
        socket.once('drain', go)
        return
      }
    }
  }
  go()
}

/** Connect, one small question and answer, close: `count` times. @returns wall seconds, and how many failed */
async function connections(
  to: Endpoint,
  count: number,
  concurrency: number,
): Promise<{ seconds: number; failed: number }> {
  const question = Buffer.alloc(messageBytes, 'q')
  let begun = 0
  let failed = 0
  const started = performance.now()
  const one = (): Promise<boolean> =>
    new Promise((resolve) => {
      const socket = connect({ host: to.address, port: to.port, noDelay: true })
      let received = 0
      socket.on('connect', () => socket.write(question))
      socket.on('data', (data: Buffer) => {
        received += data.length
        if (received >= messageBytes) socket.end()
      })
      socket.on('error', () => socket.destroy())
      socket.on('close', () => resolve(received === messageBytes))
    })
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      while (begun++ < count) if (!(await one())) failed++
    }),
  )
  return { seconds: (performance.now() - started) / 1000, failed }
}

/**
 * Connections that stay: on each, so many questions one after the other, for answers of so many bytes. Connects and closes
 * are not told apart, so `each` is to be large.
 *
 * @returns wall seconds, and how many failed
 */
async function messages(
  to: Endpoint,
  clients: number,
  each: number,
  bytes: number,
): Promise<{ seconds: number; failed: number }> {
  const question =
    bytes === messageBytes ? Buffer.alloc(messageBytes, 'q') : Buffer.from(`b${bytes} `.padEnd(messageBytes))
  const started = performance.now()
  const one = (): Promise<number> =>
    new Promise((resolve) => {
      const socket = connect({ host: to.address, port: to.port, noDelay: true })
      let left = each
      let received = 0
      socket.on('connect', () => socket.write(question))
      socket.on('data', (data: Buffer) => {
        received += data.length
        if (received < bytes) return
        received = 0
        left--
        if (left === 0) socket.end()
        else socket.write(question)
      })
      socket.on('error', () => socket.destroy())
      socket.on('close', () => resolve(left))
    })
  const left = await Promise.all(Array.from({ length: clients }, one))
  return { seconds: (performance.now() - started) / 1000, failed: left.reduce((sum, one) => sum + one, 0) }
}

/** One transfer from the backend to the client. @returns wall seconds */
async function bulk(to: Endpoint, bytes: number): Promise<number> {
  const socket = connect({ host: to.address, port: to.port })
  const started = performance.now()
  socket.write(`b${bytes} `.padEnd(messageBytes))
  let received = 0
  await new Promise<void>((resolve, reject) => {
    socket.on('error', reject)
    socket.on('end', () => reject(new Error(`the transfer ended after ${received} of ${bytes} bytes`)))
    socket.on('data', (data: Buffer) => {
      received += data.length
      if (received === bytes) resolve()
    })
  })
  socket.destroy()
  return (performance.now() - started) / 1000
}

export const actor = { serve, connections, messages, bulk }
export type BenchTraffic = typeof actor
