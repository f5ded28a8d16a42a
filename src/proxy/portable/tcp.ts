import { connect, createServer, type Server, type Socket } from 'node:net'
import { canonicalAddress, familyOf } from '../../model/address.ts'
import type { Listener, TcpAcceptor, TcpConnection, TcpHandler } from '../transport.ts'
import { ReadBuffers } from './readBuffers.ts'

/** The kernel cuts it to net.core.somaxconn. */
const backlog = 4096

const buffers = new ReadBuffers()

export function listenTcp(address: string, port: number, acceptor: TcpAcceptor): Promise<Listener> {
  const unknown = familyOf(address) === 6 ? '::' : '0.0.0.0'
  // The client is read only once a backend answers: until then its bytes are the kernel's to keep.
  const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (client) => {
    const relay = new Relay(client, unknown)
    const handler = acceptor.accept(relay)
    if (handler === null) relay.reset()
    else relay.start(handler)
  })
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host: address, port, backlog, ipv6Only: true, exclusive: true }, () => {
      server.off('error', reject)
      server.on('error', (error) => acceptor.acceptFailed(error))
      resolve({ port: boundPort(server, port), close: () => server.close() })
    })
  })
}

function boundPort(server: Server, wanted: number): number {
  if (wanted !== 0) return wanted
  const bound = server.address()
  return bound !== null && typeof bound === 'object' ? bound.port : wanted
}

const unmapped = (address: string): string =>
  address.startsWith('::ffff:') ? canonicalAddress(address) : address

/**
 * One client and its backend.
 *
 *     dialing ──answered──► relaying ──both sides ended──► closed
 *        │  ▲                  │
 *        └──┘ another          └──error on either side: RST to the other──► closed
 *
 * Each side is read only as fast as the other one takes it.
 */
class Relay implements TcpConnection {
  readonly #client: Socket
  /** The unspecified address: what is told of a client that has gone before it was asked for. */
  readonly #unknown: string
  #backend: Socket | null = null
  #handler: TcpHandler | null = null
  #buffer: Buffer | null = null
  /** Sides that are not closed yet, once relaying. */
  #open = 2

  constructor(client: Socket, unknown: string) {
    this.#client = client
    this.#unknown = unknown
    client.on('error', (error) => this.#finish(error))
  }

  get remoteAddress(): string {
    return unmapped(this.#client.remoteAddress ?? this.#unknown)
  }
  get remotePort(): number {
    return this.#client.remotePort ?? 0
  }
  get localAddress(): string {
    return unmapped(this.#client.localAddress ?? this.#unknown)
  }
  get localPort(): number {
    return this.#client.localPort ?? 0
  }

  start(handler: TcpHandler): void {
    this.#handler = handler
  }

  dial(address: string, port: number): void {
    this.#backend?.destroy()
    const buffer = (this.#buffer ??= buffers.first())
    const backend = connect({
      host: address,
      port,
      allowHalfOpen: true,
      noDelay: true,
      onread: {
        buffer: () => this.#buffer ?? buffer,
        callback: (bytes, into) => this.#returned(bytes, into),
      },
    })
    this.#backend = backend
    const failed = (error: Error): void => {
      if (this.#backend !== backend) return
      this.#backend = null
      this.#handler?.dialFailed(error)
    }
    backend.on('error', failed)
    backend.once('connect', () => {
      if (this.#backend !== backend) return
      backend.off('error', failed)
      this.#relay(backend)
    })
  }

  reset(): void {
    this.#finish(null)
  }

  #relay(backend: Socket): void {
    const client = this.#client
    const handler = this.#handler
    if (handler === null) return
    const closed = (): void => {
      if (--this.#open === 0) this.#finish(null)
    }
    backend.on('error', (error) => this.#finish(error))
    backend.on('close', closed)
    client.on('close', closed)
    const ended = (other: Socket) => () => {
      other.end()
      this.#handler?.halfClosed()
    }
    client.on('end', ended(backend))
    backend.on('end', ended(client))
    client.on('drain', () => backend.resume())
    backend.on('drain', () => client.resume())
    const preface = handler.dialed()
    if (preface !== null) backend.write(preface)
    client.on('data', (chunk) => {
      handler.received(chunk.length)
      if (!backend.write(chunk)) client.pause()
    })
    client.resume()
  }

  /** @returns false: read no more until the client has taken what it was given */
  #returned(bytes: number, into: Uint8Array): boolean {
    const client = this.#client
    const buffer = this.#buffer
    if (buffer === null) return false
    this.#handler?.returned(bytes)
    const chunk = into.subarray(0, bytes)
    // Copied where an earlier write waits, so that what waits takes the memory of its bytes and not of whole buffers.
    if (client.writableLength > 0) return client.write(Buffer.from(chunk))
    const goOn = client.write(chunk)
    this.#buffer = client.writableLength > 0 ? buffers.another(buffer) : buffers.next(buffer, bytes)
    return goOn
  }

  #finish(error: Error | null): void {
    const handler = this.#handler
    this.#handler = null
    if (!this.#client.destroyed) this.#client.resetAndDestroy()
    const backend = this.#backend
    this.#backend = null
    if (backend !== null) end(backend)
    if (this.#buffer !== null) buffers.giveBack(this.#buffer)
    this.#buffer = null
    handler?.closed(error)
  }
}

/** By RST, or where the dial is still open simply so. */
function end(socket: Socket): void {
  if (socket.destroyed) return
  if (socket.connecting) socket.destroy()
  else socket.resetAndDestroy()
}
