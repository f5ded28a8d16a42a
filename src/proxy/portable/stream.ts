import { connect, createServer, type Server, type Socket } from 'node:net'
import { canonicalAddress } from '../../model/address.ts'
import type { Connection, Endpoint, StreamEvents, StreamListener, StreamTransport } from '../stream.ts'

export interface PortableStreamsOptions {
  /** Connections at most. */
  readonly slots: number
  readonly slotBytes: number
  /** A listener on an IPv6 address takes IPv4 clients too. */
  readonly bothFamilies?: boolean
}

/** The kernel cuts it to net.core.somaxconn. */
const backlog = 4096
/** For errors that node:net gives without a number (errno-base.h: EIO). */
const inputOutputError = -5
const ENOBUFS = 105

/**
 * What all connections of this thread are read into: libuv reads and hands over in one go, so none needs a buffer of its own
 * while it is idle.
 */
const readBuffer = Buffer.allocUnsafeSlow(64 * 1024)

/** StreamTransport over node:net, for where io_uring is not allowed. */
export class PortableStreams implements StreamTransport {
  readonly name = 'portable'
  readonly arena: Uint8Array
  readonly slotBytes: number
  readonly #connections: (PortableConnection | null)[]
  readonly #free: Connection[]
  /** Sends under way out of each slot, whoever's they are: until they are done nobody else gets it. */
  readonly #holds: Uint32Array
  readonly #servers = new Set<Server>()
  readonly #bothFamilies: boolean
  #wake: NodeJS.Timeout | undefined

  constructor({ slots, slotBytes, bothFamilies = false }: PortableStreamsOptions) {
    this.slotBytes = slotBytes
    this.#bothFamilies = bothFamilies
    // Not touched until used: its pages are the kernel's zero page.
    this.arena = new Uint8Array(slots * slotBytes)
    this.#connections = Array<PortableConnection | null>(slots).fill(null)
    this.#free = Array.from({ length: slots }, (_, index) => slots - 1 - index)
    this.#holds = new Uint32Array(slots)
  }

  slotOf(connection: Connection): number {
    return connection * this.slotBytes
  }

  listen(address: string, port: number, events: StreamEvents): Promise<StreamListener> {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      const connection = this.#take(socket, events, 'accepted')
      if (connection !== null) return events.accepted(connection.number)
      socket.resetAndDestroy()
      events.refused?.(-ENOBUFS)
    })
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      const ipv6Only = !this.#bothFamilies
      server.listen({ host: address, port, backlog, ipv6Only, exclusive: true }, () => {
        server.off('error', reject)
        // accept(2) failed (EMFILE): the client waits or goes, those that are open go on.
        server.on('error', (error) => events.refused?.(errnoOf(error)))
        this.#servers.add(server)
        const bound = server.address()
        resolve({
          port: bound !== null && typeof bound === 'object' ? bound.port : port,
          close: () => {
            server.close()
            this.#servers.delete(server)
          },
        })
      })
    })
  }

  connect(address: string, port: number, events: StreamEvents): Connection {
    if (this.#free.length === 0) return -1
    let connection: PortableConnection | null = null
    const socket = connect({
      host: address,
      port,
      allowHalfOpen: true,
      noDelay: true,
      onread: {
        buffer: readBuffer,
        callback: (bytes) => connection?.read(readBuffer, bytes) ?? false,
      },
    })
    connection = this.#take(socket, events, 'connecting')
    return connection?.number ?? -1
  }

  receive(connection: Connection, at: number, bytes: number): void {
    this.#connections[connection]?.receive(at, bytes)
  }

  /** `more` is not used: node:net has no MSG_MORE. */
  send(connection: Connection, at: number, bytes: number): void {
    const sender = this.#connections[connection]
    if (sender === null || sender === undefined) return
    const slot = Math.floor(at / this.slotBytes)
    this.#holds[slot]! += 1
    sender.send(at, bytes, () => this.#release(slot))
  }

  shutdown(connection: Connection): void {
    this.#connections[connection]?.socket.end()
  }

  close(connection: Connection): void {
    this.#give(connection)?.destroy()
  }

  reset(connection: Connection): void {
    const socket = this.#give(connection)
    if (socket === null) return
    if (socket.connecting) socket.destroy()
    else socket.resetAndDestroy()
  }

  peerOf(connection: Connection): Endpoint {
    const socket = this.#connections[connection]?.socket
    return endpointOf(socket?.remoteAddress, socket?.remotePort)
  }

  localOf(connection: Connection): Endpoint {
    const socket = this.#connections[connection]?.socket
    return endpointOf(socket?.localAddress, socket?.localPort)
  }

  now(): number {
    return performance.now()
  }

  wakeAfter(milliseconds: number, wake: () => void): void {
    this.#wake = setTimeout(wake, milliseconds).unref()
  }

  end(): void {
    clearTimeout(this.#wake)
    for (const server of this.#servers) server.close()
    this.#servers.clear()
    for (const connection of this.#connections) if (connection !== null) this.close(connection.number)
  }

  #take(socket: Socket, events: StreamEvents, state: 'accepted' | 'connecting'): PortableConnection | null {
    const number = this.#free.pop()
    if (number === undefined) return null
    const connection = new PortableConnection(number, socket, this.arena, events, state)
    this.#connections[number] = connection
    return connection
  }

  #give(number: Connection): Socket | null {
    const connection = this.#connections[number]
    if (connection === null || connection === undefined) return null
    this.#connections[number] = null
    if (this.#holds[number] === 0) this.#free.push(number)
    connection.open = false
    return connection.socket
  }

  #release(slot: number): void {
    this.#holds[slot]! -= 1
    if (this.#holds[slot] === 0 && this.#connections[slot] === null) this.#free.push(slot)
  }
}

class PortableConnection {
  readonly number: Connection
  readonly socket: Socket
  /** False once closed: what the socket still says is for nobody. */
  open = true
  readonly #arena: Uint8Array
  readonly #events: StreamEvents
  /** Where the receive under way writes; bytes 0: none is under way. */
  #at = 0
  #bytes = 0
  /** Came before it was asked for, or more than was. */
  #early: Buffer | null = null
  /** The socket is read no further until `early` has been asked for. */
  #stopped = false
  /** What receives are answered with once `early` is empty: 0 at the end, or an errno. */
  #last: number | null = null
  #connecting = false

  constructor(
    number: Connection,
    socket: Socket,
    arena: Uint8Array,
    events: StreamEvents,
    state: 'accepted' | 'connecting',
  ) {
    this.number = number
    this.socket = socket
    this.#arena = arena
    this.#events = events
    if (state === 'accepted') {
      socket.on('data', (chunk: Buffer) => {
        if (!this.read(chunk, chunk.length)) socket.pause()
      })
    } else {
      this.#connecting = true
      socket.once('connect', () => {
        this.#connecting = false
        if (this.open) events.connected(number, 0)
      })
    }
    socket.on('end', () => this.#finish(0))
    socket.on('error', (error: NodeJS.ErrnoException) => {
      const result = errnoOf(error)
      if (this.#connecting && this.open) events.connected(number, result)
      else this.#finish(result)
    })
  }

  receive(at: number, bytes: number): void {
    this.#at = at
    this.#bytes = bytes
    if (this.#early !== null || this.#last !== null) process.nextTick(() => this.#answer())
    else this.#goOn()
  }

  /** @param done is called when the bytes are not needed any more, also where nobody hears of the send */
  send(at: number, bytes: number, done: () => void): void {
    const view = Buffer.from(this.#arena.buffer, this.#arena.byteOffset + at, bytes)
    this.socket.write(view, (error) => {
      done()
      if (this.open) this.#events.sent(this.number, error ? errnoOf(error) : bytes)
    })
  }

  /** @returns false: to be read no further for now */
  read(from: Buffer, bytes: number): boolean {
    if (!this.open) return false
    const taken = Math.min(bytes, this.#bytes)
    if (taken < bytes) {
      this.#early = Buffer.from(from.subarray(taken, bytes))
      this.#stopped = true
    }
    if (taken > 0) this.#deliver(from, taken)
    return !this.#stopped
  }

  #deliver(from: Buffer, bytes: number): void {
    from.copy(this.#arena, this.#at, 0, bytes)
    this.#bytes = 0
    this.#events.received(this.number, bytes)
  }

  /** Answers a receive out of what is there already. */
  #answer(): void {
    if (!this.open || this.#bytes === 0) return
    const early = this.#early
    if (early !== null) {
      const taken = Math.min(early.length, this.#bytes)
      this.#early = taken < early.length ? early.subarray(taken) : null
      this.#deliver(early, taken)
    } else if (this.#last !== null) {
      this.#bytes = 0
      this.#events.received(this.number, this.#last)
    }
  }

  #goOn(): void {
    if (!this.#stopped) return
    this.#stopped = false
    this.socket.resume()
  }

  #finish(result: number): void {
    if (this.#last === null || this.#last === 0) this.#last = result
    this.#answer()
  }
}

function endpointOf(address: string | undefined, port = 0): Endpoint {
  if (address === undefined) return { address: '', port: 0 }
  return { address: address.startsWith('::ffff:') ? canonicalAddress(address) : address, port }
}

function errnoOf(error: NodeJS.ErrnoException): number {
  return error.errno !== undefined && error.errno < 0 ? error.errno : inputOutputError
}
