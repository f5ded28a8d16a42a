import type { Connection, StreamEvents, StreamListener, StreamTransport } from '../stream.ts'
import { ClientConnection } from './connectionClient.ts'
import type { Exchange, ProxyPolicy, UpstreamNumber } from './policy.ts'
import { ProxyContext } from './proxyContext.ts'
import { ProxyCounters } from './proxyCounters.ts'
import type { AccessLog } from './proxyLog.ts'
import { type ProxyOptions, usualOptions } from './proxyOptions.ts'

export interface ProxyParts {
  readonly transport: StreamTransport
  readonly policy: ProxyPolicy
  /** What differs from `usualOptions`. */
  readonly options?: Partial<ProxyOptions>
  readonly counters?: ProxyCounters
  readonly log?: AccessLog
  /** Clients are accepted, but wait until `begin`. */
  readonly held?: boolean
}

export interface ClientWatch {
  accepted(exchange: Exchange): void
  /** @param error a negated errno */
  refused(error: number): void
}

/** An HTTP/1.1 reverse proxy over one transport. It belongs to the thread that owns the transport. */
export class HttpProxy {
  readonly counters: ProxyCounters
  /** Exchange numbers are below this. */
  readonly exchanges: number
  readonly #context: ProxyContext
  readonly #listeners = new Set<StreamListener>()
  readonly #clientEvents: StreamEvents
  /** Accepted while the proxy is held; null: it is not. */
  #early: Connection[] | null
  #stopped: (() => void) | null = null
  #over = false
  #graceEnds = Infinity

  constructor({ transport, policy, options, counters, log, held = false }: ProxyParts) {
    this.#early = held ? [] : null
    const upstreamEvents: StreamEvents = {
      accepted: () => undefined,
      connected: (connection, result) => context.upstreams[connection]?.connected(result),
      received: (connection, result) => context.upstreams[connection]?.received(result),
      sent: (connection, result) => context.upstreams[connection]?.sent(result),
      relaying: (connection, bytes) => context.upstreams[connection]?.relaying(bytes),
      relayed: (connection, result) => context.upstreams[connection]?.relayed(result),
    }
    const context = new ProxyContext({
      transport,
      policy,
      options: { ...usualOptions, ...options },
      counters: counters ?? new ProxyCounters(),
      log: log ?? null,
      upstreamEvents,
      clientClosed: () => this.#clientClosed(),
    })
    this.#clientEvents = {
      accepted: (connection) => this.#accepted(connection),
      connected: () => undefined,
      received: (connection, result) => context.clients[connection]?.received(result),
      sent: (connection, result) => context.clients[connection]?.sent(result),
      relaying: (connection, bytes) => context.clients[connection]?.relaying(bytes),
      relayed: (connection, result) => context.clients[connection]?.relayed(result),
    }
    this.#context = context
    this.counters = context.counters
    this.exchanges = context.clients.length
    transport.wakeAfter(context.options.sweepMs, () => this.#sweep())
  }

  /**
   * @param watch hears of each client of this listener, whose requests will be that exchange, and of those that could not be taken
   * @throws the system's error
   */
  async listen(address: string, port: number, watch?: ClientWatch): Promise<StreamListener> {
    const events = watch === undefined ? this.#clientEvents : this.#watched(watch)
    const listener = await this.#context.transport.listen(address, port, events)
    this.#listeners.add(listener)
    const close = (): void => {
      if (this.#listeners.delete(listener)) listener.close()
    }
    return { port: listener.port, close }
  }

  /** Takes clients of a listener that `listen` makes, such as of a socket that threads share. */
  serve(listen: (events: StreamEvents) => StreamListener): void {
    this.#listeners.add(listen(this.#clientEvents))
  }

  /** The client of an exchange gets no further request served: it ends now, or after the one under way. */
  dismiss(exchange: Exchange): void {
    const client = this.#context.clients[exchange]
    if (client?.open === true) client.stop()
  }

  /** Serves those who wait since they were accepted, and all who come. */
  begin(): void {
    const early = this.#early ?? []
    this.#early = null
    for (const connection of early) this.#accepted(connection)
  }

  /** There is room for a request that the policy let wait: it is decided again. Within a call of the proxy's only as the last thing in `ended`. */
  resume(exchange: Exchange): void {
    this.#context.clients[exchange]?.resume()
  }

  /** An upstream is gone: its idle connections end, those at work end with their request. Its number may stand for another one. */
  retire(upstream: UpstreamNumber): void {
    const { pool, retirements, upstreams } = this.#context
    retirements[upstream] = (retirements[upstream] as number) + 1
    for (let idle = pool.take(upstream); idle >= 0; idle = pool.take(upstream)) upstreams[idle]?.drop()
  }

  /**
   * Takes no more clients, ends idle ones, and lets the others finish their request.
   *
   * @param graceMs after which what is left is reset
   * @returns when the last client has gone
   */
  stop(graceMs: number): Promise<void> {
    const context = this.#context
    for (const connection of this.#early ?? []) context.transport.reset(connection)
    this.#early = null
    context.stopping = true
    for (const listener of this.#listeners) listener.close()
    this.#listeners.clear()
    context.tick()
    const stopped = new Promise<void>((resolve) => (this.#stopped = resolve))
    this.#graceEnds = context.now + graceMs
    for (const client of context.clients) if (client?.open === true) client.stop()
    this.#clientClosed()
    return stopped
  }

  #watched(watch: ClientWatch): StreamEvents {
    return {
      ...this.#clientEvents,
      accepted: (connection) => {
        watch.accepted(connection)
        this.#accepted(connection)
      },
      refused: (result) => watch.refused(result),
    }
  }

  #accepted(connection: Connection): void {
    if (this.#early !== null) {
      this.#early.push(connection)
      return
    }
    const context = this.#context
    context.tick()
    const client = (context.clients[connection] ??= new ClientConnection(connection, context))
    client.accepted()
  }

  #clientClosed(): void {
    if (this.#stopped === null || this.#over) return
    if (this.#context.openClients > 0) return
    this.#over = true
    for (const upstream of this.#context.upstreams) upstream?.drop()
    this.#stopped()
  }

  /** One look at all deadlines instead of a timer for each. */
  #sweep(): void {
    const context = this.#context
    if (this.#over) return
    context.transport.wakeAfter(context.options.sweepMs, () => this.#sweep())
    context.tick()
    const { deadlines, now, clients, upstreams } = context
    for (let connection = 0; connection < deadlines.length; connection++) {
      if ((deadlines[connection] as number) > now) continue
      const client = clients[connection]
      if (client?.open === true) client.expire()
      else upstreams[connection]?.drop()
    }
    if (now < this.#graceEnds) return
    for (const client of clients) client?.cut()
  }
}
