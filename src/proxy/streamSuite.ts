import { createHash } from 'node:crypto'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import type { Connection, StreamEvents, StreamTransport } from './stream.ts'

export interface StreamSuiteOptions {
  readonly slots: number
  readonly slotBytes: number
}

type Event = readonly [
  kind: 'accepted' | 'connected' | 'received' | 'sent',
  connection: number,
  result: number,
]

/** Events in the order in which they came, for who waits for the next one. */
class Recorder implements StreamEvents {
  readonly #events: Event[] = []
  #waiting: ((event: Event) => void) | null = null

  accepted(connection: Connection): void {
    this.#add(['accepted', connection, 0])
  }
  connected(connection: Connection, result: number): void {
    this.#add(['connected', connection, result])
  }
  received(connection: Connection, result: number): void {
    this.#add(['received', connection, result])
  }
  sent(connection: Connection, result: number): void {
    this.#add(['sent', connection, result])
  }

  #add(event: Event): void {
    if (this.#waiting === null) this.#events.push(event)
    else this.#waiting(event)
    this.#waiting = null
  }

  next(): Promise<Event> {
    const event = this.#events.shift()
    if (event !== undefined) return Promise.resolve(event)
    return new Promise((resolve) => (this.#waiting = resolve))
  }

  /** The next one's connection, which must be of this kind. */
  async expect(kind: Event[0]): Promise<Connection> {
    const event = await this.next()
    expect(event[0]).toBe(kind)
    return event[1]
  }

  get waiting(): readonly Event[] {
    return this.#events
  }
}

/** A peer over node:net: all that it got, and whether it saw an end or an error. */
class Peer {
  readonly socket: Socket
  readonly #chunks: Buffer[] = []
  readonly closed: Promise<string>
  readonly ended: Promise<void>
  #waiting: (() => void) | null = null

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk)
      this.#waiting?.()
    })
    this.ended = new Promise((resolve) => socket.once('end', resolve))
    this.closed = new Promise((resolve) => {
      let error = ''
      socket.on('error', (cause: NodeJS.ErrnoException) => (error = cause.code ?? ''))
      socket.once('close', () => resolve(error))
    })
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks)
  }

  async has(bytes: number): Promise<Buffer> {
    while (this.#chunks.reduce((sum, chunk) => sum + chunk.length, 0) < bytes)
      await new Promise<void>((resolve) => (this.#waiting = resolve))
    return this.bytes
  }
}

const econnreset = -104
const econnrefused = -111

/** What every StreamTransport does. @param open makes one; the suite ends it */
export function streamSuite(
  name: string,
  open: (options: StreamSuiteOptions) => StreamTransport | Promise<StreamTransport>,
): void {
  describe(`the ${name} transport`, () => {
    const cleanups: (() => void)[] = []
    afterEach(() => {
      for (const cleanup of cleanups.splice(0)) cleanup()
    })

    async function make(slots = 8, slotBytes = 4096): Promise<StreamTransport> {
      const transport = await open({ slots, slotBytes })
      cleanups.push(() => transport.end())
      return transport
    }

    function client(port: number): Peer {
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
      cleanups.push(() => socket.destroy())
      return new Peer(socket)
    }

    /** A server over node:net, and the port where it listens. */
    async function server(accept: (peer: Peer) => void): Promise<number> {
      const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
        cleanups.push(() => socket.destroy())
        accept(new Peer(socket))
      })
      cleanups.push(() => server.close())
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      return (server.address() as AddressInfo).port
    }

    /** A transport that listens, a client, and their connection. */
    async function accepted(slots?: number, slotBytes?: number) {
      const transport = await make(slots, slotBytes)
      const events = new Recorder()
      const listener = await transport.listen('127.0.0.1', 0, events)
      const peer = client(listener.port)
      const connection = await events.expect('accepted')
      return { transport, events, listener, peer, connection, at: transport.slotOf(connection) }
    }

    const put = (transport: StreamTransport, at: number, text: string): number => {
      transport.arena.set(Buffer.from(text, 'latin1'), at)
      return text.length
    }
    const text = (transport: StreamTransport, at: number, bytes: number): string =>
      Buffer.from(transport.arena.subarray(at, at + bytes)).toString('latin1')

    it('accepts, receives into the slot and sends out of it', async () => {
      const { transport, events, peer, connection, at } = await accepted()
      transport.receive(connection, at + 10, 100)
      peer.socket.write('hello')
      expect(await events.next()).toEqual(['received', connection, 5])
      expect(text(transport, at + 10, 5)).toBe('hello')
      transport.send(connection, at + 10, 5, false)
      expect(await events.next()).toEqual(['sent', connection, 5])
      expect((await peer.has(5)).toString()).toBe('hello')
    })

    it('connects, and gives the other end', async () => {
      const transport = await make()
      const events = new Recorder()
      const port = await server((peer) => peer.socket.write('hi'))
      const connection = transport.connect('127.0.0.1', port, events)
      expect(await events.next()).toEqual(['connected', connection, 0])
      expect(transport.peerOf(connection)).toEqual({ address: '127.0.0.1', port })
      transport.receive(connection, transport.slotOf(connection), 100)
      expect(await events.next()).toEqual(['received', connection, 2])
    })

    it('tells where a client comes from', async () => {
      const { transport, peer, connection } = await accepted()
      expect(transport.peerOf(connection)).toEqual({ address: '127.0.0.1', port: peer.socket.localPort })
    })

    it('tells of a refused connection by its errno', async () => {
      const transport = await make()
      const events = new Recorder()
      const listener = await transport.listen('127.0.0.1', 0, events)
      listener.close()
      await new Promise((resolve) => setTimeout(resolve, 10))
      const connection = transport.connect('127.0.0.1', listener.port, events)
      expect(await events.next()).toEqual(['connected', connection, econnrefused])
      transport.close(connection)
    })

    it('refuses an address that is taken', async () => {
      const transport = await make()
      const port = await server(() => undefined)
      await expect(transport.listen('127.0.0.1', port, new Recorder())).rejects.toThrow(/EADDRINUSE/)
    })

    it('keeps what came before it was asked for, in order', async () => {
      const { transport, events, peer, connection, at } = await accepted()
      peer.socket.end('abcdefgh')
      await new Promise((resolve) => setTimeout(resolve, 20))
      for (const part of ['abc', 'def', 'gh']) {
        transport.receive(connection, at, 3)
        expect(await events.next()).toEqual(['received', connection, part.length])
        expect(text(transport, at, part.length)).toBe(part)
      }
      transport.receive(connection, at, 3)
      expect(await events.next()).toEqual(['received', connection, 0])
    })

    it('sends on after the peer has ended (half-close)', async () => {
      const { transport, events, peer, connection, at } = await accepted()
      transport.receive(connection, at, 100)
      peer.socket.end()
      expect(await events.next()).toEqual(['received', connection, 0])
      transport.send(connection, at, put(transport, at, 'late'), false)
      expect(await events.next()).toEqual(['sent', connection, 4])
      transport.shutdown(connection)
      await peer.ended
      expect(peer.bytes.toString()).toBe('late')
    })

    it('receives on after its own end', async () => {
      const { transport, events, peer, connection, at } = await accepted()
      transport.shutdown(connection)
      await peer.ended
      peer.socket.write('more')
      transport.receive(connection, at, 100)
      expect(await events.next()).toEqual(['received', connection, 4])
    })

    it('tells of a reset where a receive is under way', async () => {
      const { transport, events, peer, connection, at } = await accepted()
      transport.receive(connection, at, 100)
      peer.socket.resetAndDestroy()
      expect(await events.next()).toEqual(['received', connection, econnreset])
    })

    it('tells of a reset where one is asked for later, and of the send after it', async () => {
      const { transport, events, peer, connection, at } = await accepted()
      peer.socket.resetAndDestroy()
      await peer.closed
      await new Promise((resolve) => setTimeout(resolve, 10))
      transport.receive(connection, at, 100)
      const [kind, , result] = await events.next()
      expect([kind, result < 0]).toEqual(['received', true])
      transport.send(connection, at, 5, false)
      const [sent, , why] = await events.next()
      expect([sent, why < 0]).toEqual(['sent', true])
    })

    it('resets', async () => {
      const { transport, peer, connection } = await accepted()
      transport.reset(connection)
      expect(await peer.closed).toBe('ECONNRESET')
    })

    it('closes', async () => {
      const { transport, peer, connection } = await accepted()
      peer.socket.resume()
      transport.close(connection)
      await peer.ended
    })

    it('says nothing of a closed connection, also not of what was under way', async () => {
      const { transport, events, peer, connection, at } = await accepted()
      transport.receive(connection, at, 100)
      peer.socket.write('never seen')
      transport.close(connection)
      const other = client((await transport.listen('127.0.0.1', 0, events)).port)
      // The number may be the same one: what arrives is the new connection's.
      const next = await events.expect('accepted')
      transport.receive(next, transport.slotOf(next), 100)
      other.socket.write('new')
      expect(await events.next()).toEqual(['received', next, 3])
      expect(events.waiting).toEqual([])
    })

    it('sends all, however slowly the peer takes it', async () => {
      const slotBytes = 4 * 1024 * 1024
      const { transport, events, peer, connection, at } = await accepted(2, slotBytes)
      peer.socket.pause()
      for (let index = 0; index < slotBytes; index++)
        transport.arena[at + index] = (index * 31 + (index >> 8)) & 0xff
      const hash = createHash('sha256')
        .update(transport.arena.subarray(at, at + slotBytes))
        .digest('hex')
      transport.send(connection, at, slotBytes, false)
      await new Promise((resolve) => setTimeout(resolve, 20))
      // More than loopback's buffers hold: it waits for the peer.
      expect(events.waiting).toEqual([])
      peer.socket.resume()
      expect(await events.next()).toEqual(['sent', connection, slotBytes])
      expect(
        createHash('sha256')
          .update(await peer.has(slotBytes))
          .digest('hex'),
      ).toBe(hash)
    })

    it('gives the slot of a closed connection to nobody while others send out of it', async () => {
      const slotBytes = 4 * 1024 * 1024
      const { transport, events, listener, connection: source, at } = await accepted(2, slotBytes)
      const reader = client(listener.port)
      const sink = await events.expect('accepted')
      reader.socket.pause()
      const port = await server(() => undefined)
      for (let index = 0; index < slotBytes; index++)
        transport.arena[at + index] = (index * 31 + (index >> 8)) & 0xff
      const bytes = Buffer.from(transport.arena.subarray(at, at + slotBytes))
      transport.send(sink, at, slotBytes, false)
      transport.close(source)
      await new Promise((resolve) => setTimeout(resolve, 20))
      expect(transport.connect('127.0.0.1', port, events)).toBe(-1)
      reader.socket.resume()
      expect(await events.next()).toEqual(['sent', sink, slotBytes])
      expect((await reader.has(slotBytes)).equals(bytes)).toBe(true)
      await expect.poll(() => transport.connect('127.0.0.1', port, events)).toBe(source)
    })

    it('receives and sends at the same time', async () => {
      const { transport, events, peer, connection, at } = await accepted()
      transport.receive(connection, at, 1000)
      transport.send(connection, at + 2000, put(transport, at + 2000, 'out'), true)
      expect(await events.next()).toEqual(['sent', connection, 3])
      transport.send(connection, at + 2000, put(transport, at + 2000, 'side'), false)
      expect(await events.next()).toEqual(['sent', connection, 4])
      await peer.has(7)
      peer.socket.write('in')
      expect(await events.next()).toEqual(['received', connection, 2])
      expect(peer.bytes.toString()).toBe('outside')
    })

    it('has no more connections than slots, and gives freed ones again', async () => {
      const { transport, events, listener, connection } = await accepted(1)
      expect(transport.connect('127.0.0.1', listener.port, events)).toBe(-1)
      const second = client(listener.port)
      expect(await second.closed).toMatch(/^(ECONNRESET|EPIPE|)$/)
      transport.close(connection)
      client(listener.port)
      const third = await events.expect('accepted')
      expect(transport.slotOf(third)).toBe(transport.slotOf(connection))
    })

    it('carries bytes whole through a relay of its own connections', async () => {
      const transport = await make(4, 64 * 1024)
      const size = 3_000_000
      const port = await server((peer) => peer.socket.pipe(peer.socket))
      // An echo back and forth: what is received is sent from where it lies.
      const listener = await transport.listen('127.0.0.1', 0, {
        accepted: (connection) => {
          const other = transport.connect('127.0.0.1', port, relay)
          pair.set(connection, other).set(other, connection)
        },
        connected: () => undefined,
        received: (connection, result) => relay.received(connection, result),
        sent: (connection, result) => relay.sent(connection, result),
      })
      const pair = new Map<Connection, Connection>()
      const other = (connection: Connection): Connection => pair.get(connection) ?? -1
      const relay: StreamEvents = {
        accepted: () => undefined,
        connected: (connection) => {
          for (const one of [connection, other(connection)])
            transport.receive(one, transport.slotOf(one), transport.slotBytes)
        },
        received: (connection, result) => {
          if (result > 0) transport.send(other(connection), transport.slotOf(connection), result, false)
          else transport.shutdown(other(connection))
        },
        sent: (connection) => {
          const from = other(connection)
          transport.receive(from, transport.slotOf(from), transport.slotBytes)
        },
      }
      const peer = client(listener.port)
      const body = Buffer.alloc(size)
      for (let index = 0; index < size; index++) body[index] = (index * 7 + (index >> 10)) & 0xff
      peer.socket.end(body)
      const echoed = await peer.has(size)
      expect(echoed.equals(body)).toBe(true)
      await peer.ended
    })

    it('wakes once', async () => {
      const transport = await make()
      const before = transport.now()
      await new Promise<void>((resolve) => {
        const keep = setInterval(() => undefined, 1000)
        transport.wakeAfter(5, () => {
          clearInterval(keep)
          resolve()
        })
      })
      expect(transport.now()).toBeGreaterThanOrEqual(before)
    })

    it('ends its listeners and connections', async () => {
      const { transport, listener, peer } = await accepted()
      transport.end()
      peer.socket.resume()
      await Promise.race([peer.ended, peer.closed])
      expect(await client(listener.port).closed).toBe('ECONNREFUSED')
    })
  })
}
