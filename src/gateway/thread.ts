import { maxRetries } from '../model/function.ts'
import { HttpProxy } from '../proxy/http/proxy.ts'
import { ProxyCounters } from '../proxy/http/proxyCounters.ts'
import { AccessLog } from '../proxy/http/proxyLog.ts'
import type { ProxyOptions } from '../proxy/http/proxyOptions.ts'
import type { StreamEvents, StreamListener, StreamTransport } from '../proxy/stream.ts'
import { Board, type BoardSize } from './board.ts'
import { GatewayPolicy, type GatewayIdentity } from './policy.ts'
import type { TableChange } from './publisher.ts'
import { Statistics } from './statistics.ts'

/** The first instance and those of its retries, each on a connection that was open already and on a fresh one. */
const mostAttempts = 2 * (1 + maxRetries)

/** What a Worker is made with. */
export interface ThreadSetup {
  readonly identity: GatewayIdentity
  readonly size: BoardSize
  readonly epochMs: number
  readonly board: SharedArrayBuffer
  readonly statistics: SharedArrayBuffer
  readonly counters: SharedArrayBuffer
  readonly accessLog: SharedArrayBuffer | null
  readonly proxy: Partial<ProxyOptions>
  /** Clients wait until a message of type `begin`. */
  readonly held: boolean
}

export type ToThread =
  | { readonly type: 'change'; readonly change: TableChange; readonly sequence: number }
  /** The functions are there: clients are served from now on. */
  | { readonly type: 'begin' }
  /** Places may have come free in other Workers. */
  | { readonly type: 'sweep' }
  | { readonly type: 'stop'; readonly graceMs: number }

export type FromThread =
  | { readonly type: 'listening'; readonly port: number }
  /** It could not start. */
  | { readonly type: 'failed'; readonly message: string; readonly code: string }
  | { readonly type: 'applied'; readonly sequence: number }
  | { readonly type: 'released'; readonly version: number }
  | { readonly type: 'ejected'; readonly instance: string; readonly milliseconds: number }
  | { readonly type: 'room' }
  | { readonly type: 'stopped' }

/** Milliseconds since the epoch at which the clocks of this thread began. */
const { timeOrigin } = performance

/** One Worker's part of the gateway: a proxy over its transport, and the policy that it asks. */
export class GatewayThread {
  readonly #policy: GatewayPolicy
  readonly #proxy: HttpProxy
  readonly #tell: (message: FromThread) => void
  /** Places have come free since the last sweep: 1, it was told; 2, and more have. */
  #freed = 0

  constructor(transport: StreamTransport, setup: ThreadSetup, tell: (message: FromThread) => void) {
    const { identity, size, epochMs } = setup
    this.#tell = tell
    this.#policy = new GatewayPolicy({
      ...identity,
      board: new Board(size, epochMs, setup.board),
      statistics: new Statistics(size.members, size.functions, setup.statistics),
      exchanges: Math.floor(transport.arena.length / transport.slotBytes),
      now: () => timeOrigin + transport.now(),
      resume: (exchange) => this.#proxy.resume(exchange),
      room: () => this.#room(),
      ejected: (instance, milliseconds) => tell({ type: 'ejected', instance, milliseconds }),
      released: (version) => tell({ type: 'released', version }),
    })
    this.#proxy = new HttpProxy({
      transport,
      policy: this.#policy,
      held: setup.held,
      options: { attempts: mostAttempts, ...setup.proxy, upstreams: size.upstreams },
      counters: new ProxyCounters(setup.counters),
      ...(setup.accessLog === null ? {} : { log: new AccessLog(setup.accessLog) }),
    })
  }

  /** @throws the system's error */
  listen(address: string, port: number): Promise<StreamListener> {
    return this.#proxy.listen(address, port)
  }

  /** Takes clients of a socket that Workers share. */
  serve(listen: (events: StreamEvents) => StreamListener): void {
    this.#proxy.serve(listen)
  }

  async receive(message: ToThread): Promise<void> {
    switch (message.type) {
      case 'change':
        this.#change(message.change)
        this.#tell({ type: 'applied', sequence: message.sequence })
        return
      case 'begin':
        this.#proxy.begin()
        return
      case 'sweep':
        this.#policy.sweep()
        this.#swept()
        return
      case 'stop':
        await this.#proxy.stop(message.graceMs)
        this.#tell({ type: 'stopped' })
        return
      default:
        message satisfies never
    }
  }

  /** What is free now is seen by the sweep that follows, unless that is under way already: then by one more. */
  #room(): void {
    if (this.#freed === 0) this.#tell({ type: 'room' })
    this.#freed = Math.min(this.#freed + 1, 2)
  }

  #swept(): void {
    const isMore = this.#freed === 2
    this.#freed = 0
    if (isMore) this.#room()
  }

  #change({ retired, upstreams, functions, removed }: TableChange): void {
    for (const upstream of retired) this.#proxy.retire(upstream)
    for (const { upstream, text, address, port } of upstreams) {
      // Connections to where it was before are not used any more.
      this.#proxy.retire(upstream)
      this.#policy.setUpstream(upstream, text, address, port)
    }
    for (const route of functions) this.#policy.setFunction(route)
    for (const name of removed) this.#policy.removeFunction(name)
  }
}
