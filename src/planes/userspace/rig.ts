import { plainDestination, plainService } from '../plain.ts'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { ringMissing } from '../../kernel/uring/probe.ts'
import { portable } from '../../proxy/portable/transport.ts'
import { openRingTransport } from '../../proxy/ring/transport.ts'
import type { Change, Destination, ServiceCounters, VirtualService } from '../plane.ts'
import { openUserspace, type UserspaceOptions, type UserspacePlane } from './plane.ts'
import { freePort } from '../freePort.ts'

const noRing = await ringMissing()
if (noRing !== null) console.warn(`skipped: the userspace plane on the ring, as ${noRing}`)

/** Those that can be had here, for tests that run over each. */
export const transports = [
  { transport: 'portable', openTransport: () => portable },
  ...(noRing === null ? [{ transport: 'ring', openTransport: openRingTransport }] : []),
] as const

/** What the tests of this plane share: real servers and clients on loopback, and a plane that ends with the test. */
export class Rig implements AsyncDisposable {
  readonly plane: UserspacePlane
  /** Milliseconds that the plane's clock is ahead of the real one. */
  ahead = 0
  readonly #ends: (() => void)[] = []
  #backends = 0

  constructor(options: UserspaceOptions = {}) {
    this.plane = openUserspace({ closeWithinMs: 0, clock: () => performance.now() + this.ahead, ...options })
  }

  /** Lets so many seconds pass for the plane at once. */
  pass(seconds: number): void {
    this.ahead += seconds * 1000
    // Twice, since an entry beyond the wheel's horizon is asked, put back, and asked again.
    this.plane.tick()
    this.ahead += 1000
    this.plane.tick()
  }

  async server(handler: (socket: Socket) => void, host = '127.0.0.1'): Promise<Backend> {
    const sockets = new Set<Socket>()
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => sockets.delete(socket))
      handler(socket)
    })
    server.listen(0, host)
    await once(server, 'listening')
    const { address, port } = server.address() as AddressInfo
    this.onEnd(() => {
      server.close()
      for (const socket of sockets) socket.destroy()
    })
    return { server, sockets, destination: this.destination(address, port) }
  }

  /** Answers its own id, then echoes; ends when the client does. */
  async named(host?: string): Promise<Backend> {
    const backend = await this.server((socket) => {
      socket.write(backend.destination.id)
      socket.pipe(socket)
    }, host)
    return backend
  }

  /** A backend that takes no connection and refuses none: stopped, with a full backlog. */
  async silent(): Promise<Destination> {
    const listen = `require('net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, function () { process.send(this.address().port) })`
    const child = spawn(process.execPath, ['-e', listen], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] })
    this.onEnd(() => child.kill('SIGKILL'))
    const [port] = (await once(child, 'message')) as [number]
    child.kill('SIGSTOP')
    // The queue holds one more than the backlog; of three, one stays outside.
    const waiting = [0, 1, 2].map(() => connect(port, '127.0.0.1'))
    for (const socket of waiting) this.onEnd(() => socket.destroy())
    await Promise.all(waiting.slice(0, 2).map((socket) => once(socket, 'connect')))
    return this.destination('127.0.0.1', port)
  }

  destination(address: string, port: number, rest: Partial<Destination> = {}): Destination {
    return plainDestination(address, {
      id: `b${this.#backends++}`,
      port,
      weight: 100,
      maxWeight: 100,
      ...rest,
    })
  }

  async service(
    destinations: readonly Destination[],
    rest: Partial<VirtualService> = {},
  ): Promise<VirtualService> {
    const protocol = rest.protocol ?? 'tcp'
    const address = rest.address ?? '127.0.0.1'
    const port = rest.port ?? (await freePort(address))
    const spec = plainService({ ...rest, protocol, address, port, destinations })
    await this.put(spec)
    return spec
  }

  async put(spec: VirtualService): Promise<void> {
    const change: Change<VirtualService, string> = { key: spec.id, before: null, after: spec }
    const [outcome] = await this.plane.apply([change])
    if (outcome?.ok !== true) throw outcome?.error ?? new Error('no outcome')
  }

  client(spec: VirtualService, from?: string): Socket {
    const options = { host: spec.address, port: Number(spec.port), allowHalfOpen: true }
    const socket = connect(from === undefined ? options : { ...options, localAddress: from })
    socket.on('error', () => {})
    this.onEnd(() => socket.destroy())
    return socket
  }

  /** Whom a new connection reaches, or the error code it ends with. */
  async reach(spec: VirtualService): Promise<string> {
    const client = this.client(spec)
    const answer = await ended(client, (socket) => socket.end())
    return answer
  }

  async counters(id = 'web'): Promise<ServiceCounters> {
    const counters = (await this.plane.counters([id])).get(id)
    if (counters === undefined) throw new Error(`no counters of ${id}`)
    return counters
  }

  onEnd(end: () => void): void {
    this.#ends.push(end)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.plane.close()
    for (const end of this.#ends) end()
  }
}

export interface Backend {
  readonly server: Server
  readonly sockets: ReadonlySet<Socket>
  readonly destination: Destination
}

/** All that a socket receives until it ends; the error code where it breaks. `then` runs at the first bytes. */
export function ended(socket: Socket, then: (socket: Socket) => void = () => {}): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    socket.on('data', (chunk) => {
      if (text === '') then(socket)
      text += String(chunk)
    })
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    socket.on('end', () => resolve(text))
  })
}
