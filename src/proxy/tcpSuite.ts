import { createHash, randomBytes, randomInt } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Listener, Transport } from './transport.ts'

/** Sends `size` random bytes in chunks of any size at any pace, and tells their hash. */
async function send(socket: Socket, size: number): Promise<string> {
  const hash = createHash('sha256')
  for (let left = size; left > 0;) {
    const chunk = randomBytes(Math.min(left, randomInt(2) === 0 ? randomInt(1, 200) : randomInt(1, 200_000)))
    left -= chunk.length
    hash.update(chunk)
    if (!socket.write(chunk)) await once(socket, 'drain')
  }
  socket.end()
  return hash.digest('hex')
}

/** Reads to the end, stopping for a while now and then, and tells the hash. */
async function receive(socket: Socket): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of socket) {
    hash.update(chunk as Buffer)
    if (randomInt(20) === 0) await new Promise((resolve) => setTimeout(resolve, randomInt(5)))
  }
  return hash.digest('hex')
}

/** Sends more than the kernel's buffers on the way hold, in chunks that the relay reads one by one, and tells their hash. */
async function trickle(socket: Socket): Promise<string> {
  const hash = createHash('sha256')
  for (let i = 0; i < 8000; i++) {
    const chunk = randomBytes(randomInt(1000, 3000))
    hash.update(chunk)
    if (!socket.write(chunk)) await once(socket, 'drain')
    await new Promise((resolve) => setImmediate(resolve))
  }
  socket.end()
  return hash.digest('hex')
}

async function proxyTo(server: Server, transport: Transport): Promise<Listener> {
  const { port } = server.address() as AddressInfo
  return await transport.listenTcp('127.0.0.1', 0, {
    accept: (connection) => {
      connection.dial('127.0.0.1', port)
      return {
        dialed: () => null,
        dialFailed: () => connection.reset(),
        received: () => {},
        returned: () => {},
        halfClosed: () => {},
        closed: () => {},
      }
    },
    acceptFailed: (error) => {
      throw error
    },
  })
}

/** What every Transport does with TCP. @param open makes one; the suite ends it */
export function tcpSuite(name: string, open: () => Transport | Promise<Transport>): void {
  describe(`TCP over the ${name} transport`, () => {
    let transport: Transport
    beforeAll(async () => {
      transport = await open()
    })
    afterAll(() => transport.end())

    it('mixes no bytes of connections that share buffers, whatever their pace, sizes and ends', async () => {
      const expected = new Map<string, Promise<string>>()
      const server = createServer({ allowHalfOpen: true }, (socket) => {
        socket.on('error', () => {})
        socket.once('data', (name: Buffer) => {
          const sent = send(socket, randomInt(1, 3_000_000))
          sent.catch(() => {})
          expected.set(String(name), sent)
        })
      }).listen(0, '127.0.0.1')
      await once(server, 'listening')
      const listener = await proxyTo(server, transport)
      const open = async (name: string): Promise<Socket> => {
        const socket = connect({ port: listener.port, host: '127.0.0.1' })
        await once(socket, 'connect')
        socket.write(name)
        return socket
      }
      await Promise.all(
        Array.from({ length: 40 }, async (_, worker) => {
          for (let i = 0; i < 3; i++) {
            const name = `${worker}.${i}`
            const socket = await open(name)
            if (randomInt(4) === 0) {
              // Broken in the middle, so that its buffer goes to another.
              await once(socket, 'data')
              socket.resetAndDestroy()
              continue
            }
            const received = await receive(socket)
            expect(received).toBe(await expected.get(name))
          }
        }),
      )
      listener.close()
      server.close()
    }, 60_000)

    it('a small chunk that waits for a late reader is not overwritten by those after it', async () => {
      let sent: Promise<string> | undefined
      const server = createServer((socket) => {
        sent = trickle(socket)
      }).listen(0, '127.0.0.1')
      await once(server, 'listening')
      const listener = await proxyTo(server, transport)
      const client = connect({ port: listener.port, host: '127.0.0.1' }).pause()
      await once(client, 'connect')
      await new Promise((resolve) => setTimeout(resolve, 500))
      expect(await receive(client)).toBe(await sent)
      listener.close()
      server.close()
    }, 60_000)
  })
}
