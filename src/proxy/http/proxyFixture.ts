import { afterEach } from 'vitest'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import type { StreamTransport } from '../stream.ts'
import { Piece } from './headPiece.ts'
import { HttpProxy } from './proxy.ts'
import { AccessLog } from './proxyLog.ts'
import type { ProxyOptions } from './proxyOptions.ts'
import type {
  Decision,
  Exchange,
  ExchangeEnd,
  ProxyPolicy,
  ProxyRequest,
  Upstream,
  UpstreamNumber,
} from './policy.ts'

/** A policy for tests: all to the first of its upstreams, the next one where that cannot be had, and all outcomes kept. */
export class RecordingPolicy implements ProxyPolicy {
  readonly ownRequestFields: readonly string[] = ['x-forwarded-for', 'x-own']
  readonly watchedRequestFields: readonly string[] = ['x-forwarded-for', 'x-watched']
  upstreams: Upstream[] = []
  readonly ends: ExchangeEnd[] = []
  readonly statuses: number[] = []
  readonly failures: number[] = []
  /** Requests under way by their count of `ended`. */
  open = 0
  decided: (decision: Decision, request: ProxyRequest, exchange: Exchange) => void = () => undefined

  upstream(upstream: UpstreamNumber): Upstream {
    const found = this.upstreams[upstream]
    if (found === undefined) throw new Error(`upstream ${upstream} was chosen but does not exist`)
    return found
  }

  decide(exchange: Exchange, request: ProxyRequest, decision: Decision): void {
    decision.action = 'forward'
    decision.upstream = 0
    this.decided(decision, request, exchange)
    if ((decision.action as Decision['action']) !== 'refuse') this.open++
  }

  next(_exchange: Exchange, upstream: UpstreamNumber, error: number): UpstreamNumber {
    this.failures.push(error)
    return upstream + 1 < this.upstreams.length ? upstream + 1 : -1
  }

  requestFields(
    _exchange: Exchange,
    request: ProxyRequest,
    _upstream: UpstreamNumber,
    into: Uint8Array,
    at: number,
  ): number {
    const client = Buffer.from(request.client.subarray(0, request.clientLength)).toString('latin1')
    const line = Buffer.from(`X-Forwarded-For: ${client}\r\n`, 'latin1')
    into.set(line, at)
    return at + line.length
  }

  responseFields(_exchange: Exchange, upstream: UpstreamNumber, into: Uint8Array, at: number): number {
    const line = Buffer.from(`X-Final-Host: ${upstream}\r\n`, 'latin1')
    into.set(line, at)
    return at + line.length
  }

  responded(_exchange: Exchange, _upstream: UpstreamNumber, status: number): void {
    this.statuses.push(status)
  }

  ended(_exchange: Exchange, end: ExchangeEnd): void {
    this.open--
    this.ends.push({ ...end })
  }
}

/** The other end has ended the connection while more was awaited. */
class WireEnded extends Error {}

/** A raw connection of a client or an upstream: text out, text in. */
export class Wire {
  readonly socket: Socket
  #received: Buffer = Buffer.alloc(0)
  #ended = false
  #error = ''
  #changed: (() => void)[] = []

  constructor(socket: Socket) {
    this.socket = socket
    const changed = (): void => {
      for (const wake of this.#changed.splice(0)) wake()
    }
    socket.on('data', (chunk: Buffer) => {
      this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk])
      changed()
    })
    socket.on('end', () => {
      this.#ended = true
      changed()
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#error = error.code ?? 'error'
      changed()
    })
    socket.on('close', () => {
      this.#ended = true
      changed()
    })
  }

  get text(): string {
    return this.#received.toString('latin1')
  }

  get bytes(): Buffer {
    return this.#received
  }

  get over(): boolean {
    return this.#ended
  }

  /** '' or the code of the error that ended it. */
  get error(): string {
    return this.#error
  }

  send(text: string | Uint8Array): this {
    this.socket.write(typeof text === 'string' ? Buffer.from(text, 'latin1') : text)
    return this
  }

  /** Each byte in a segment of its own: after each, both loops get their turn. */
  async sendBytewise(text: string): Promise<void> {
    for (const character of text) {
      this.send(character)
      await turn()
    }
  }

  /** Waits until what came is so; fails when the connection ends before. */
  async until(enough: (text: string) => boolean): Promise<string> {
    while (!enough(this.text)) {
      if (this.#ended) throw new WireEnded(`the connection ended (${this.#error}) after: ${this.text}`)
      await new Promise<void>((resolve) => this.#changed.push(resolve))
    }
    return this.text
  }

  has(part: string): Promise<string> {
    return this.until((text) => text.includes(part))
  }

  /** All that came up to the end, which may be an error. */
  async end(): Promise<string> {
    while (!this.#ended) await new Promise<void>((resolve) => this.#changed.push(resolve))
    return this.text
  }

  /** Takes what came out, so that the next one begins anew. */
  take(bytes = this.#received.length): Buffer {
    const taken = this.#received.subarray(0, bytes)
    this.#received = this.#received.subarray(bytes)
    return taken
  }

  /** The next response whose length is told by Content-Length or that has no body. */
  async response(withoutBody = false): Promise<{ head: string; body: string }> {
    const text = await this.has('\r\n\r\n')
    const headEnd = text.indexOf('\r\n\r\n') + 4
    const head = text.slice(0, headEnd)
    const length = withoutBody ? 0 : Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0)
    await this.until((text) => text.length >= headEnd + length)
    this.take(headEnd)
    return { head, body: this.take(length).toString('latin1') }
  }
}

/** What an upstream does with one connection. */
export type Play = (wire: Wire) => void | Promise<void>

async function played(play: void | Promise<void>): Promise<void> {
  try {
    await play
  } catch (error) {
    if (!(error instanceof WireEnded)) throw error
  }
}

/** Both ends' loops have had a turn. */
export const turn = (): Promise<void> =>
  new Promise((resolve) => setImmediate(() => setImmediate(() => resolve())))

/** What one test opens, ended together. */
export class Cleanup {
  readonly #steps: (() => void | Promise<void>)[] = []

  add(step: () => void | Promise<void>): void {
    this.#steps.push(step)
  }

  async run(): Promise<void> {
    for (const step of this.#steps.splice(0).reverse()) await step()
  }

  /** A client's connection. */
  wire(port: number, allowHalfOpen = true): Wire {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen, noDelay: true })
    this.add(() => void socket.destroy())
    return new Wire(socket)
  }

  /** A server whose connections the test plays itself, each until its playing is over or the proxy ends it. */
  async backend(accept: Play): Promise<Upstream & { close(): void }> {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      this.add(() => void socket.destroy())
      void played(accept(new Wire(socket)))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    this.add(() => void server.close())
    const { port } = server.address() as AddressInfo
    return {
      address: '127.0.0.1',
      port,
      host: new Piece(`127.0.0.1:${port}`),
      close: () => void server.close(),
    }
  }
}

/** Makes a transport of one kind; the tests end it. */
export type OpenTransport = (options: {
  slots: number
  slotBytes: number
}) => StreamTransport | Promise<StreamTransport>

const slotBytes = 64 * 1024

/** Proxies over one kind of transport, each test's own. */
export class Bench extends Cleanup {
  readonly #open: OpenTransport

  constructor(open: OpenTransport) {
    super()
    this.#open = open
    afterEach(() => this.run())
  }

  /** @param accepts one for each upstream */
  async proxy(accepts: readonly Play[], options: Partial<ProxyOptions> = {}, slots = 64) {
    const policy = new RecordingPolicy()
    const backends = await Promise.all(accepts.map((accept) => this.backend(accept)))
    policy.upstreams = backends
    const transport = await this.#open({ slots, slotBytes })
    this.add(() => transport.end())
    const log = new AccessLog(256)
    const proxy = new HttpProxy({ transport, policy, log, options: { sweepMs: 5, ...options } })
    const { port } = await proxy.listen('127.0.0.1', 0)
    return { proxy, policy, backends, log, port, transport, client: (half = true) => this.wire(port, half) }
  }
}

/** Answers each request head (without a body) with what a function makes of it. */
export const answering =
  (answer: (head: string) => string): Play =>
  async (wire) => {
    while (!wire.over) {
      await wire.until((text) => wire.over || text.includes('\r\n\r\n')).catch(() => '')
      const end = wire.text.indexOf('\r\n\r\n')
      if (end < 0) break
      wire.send(answer(wire.take(end + 4).toString('latin1')))
    }
    wire.socket.end()
  }

export const ok = (body: string, fields = ''): string =>
  `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n${fields}\r\n${body}`
