import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { openFileLimit } from '../kernel/limits.ts'
import { refusalOf, ringMissing } from '../kernel/uring/probe.ts'
import { listenOn, type ListeningSocket } from '../kernel/uring/sockets.ts'
import { openWake, type Wake } from '../kernel/uring/wake.ts'
import type { FunctionName } from '../model/function.ts'
import { ProxyCounters, type CounterName } from '../proxy/http/proxyCounters.ts'
import type { ProxyOptions } from '../proxy/http/proxyOptions.ts'
import { AccessLogFile } from '../proxy/http/accessLogFile.ts'
import { Board, type BoardSize } from './board.ts'
import type { GatewayIdentity } from './policy.ts'
import { Publisher, type GatewayFunction } from './publisher.ts'
import {
  Statistics,
  sumFunctions,
  sumMembers,
  type FunctionCounters,
  type MemberCounters,
} from './statistics.ts'
import type { FromThread, ToThread } from './thread.ts'
import type { WorkerSetup } from './worker.ts'

export interface GatewayOptions extends GatewayIdentity {
  /** `::` takes IPv4 clients too. */
  readonly address: string
  readonly port: number
  /** Instances that are gateways, as they stand in `ips`. */
  readonly gateways: readonly string[]
  readonly transport: 'auto' | 'ring' | 'portable'
  /** Clients wait until `begin`, so that none is told that a function is unknown which only has not been loaded. */
  readonly held?: boolean
  /** Threads; 0: one for each core. */
  readonly workers: number
  /** File of the access log, and of how many requests one is logged; absent: there is none. */
  readonly accessLog?: { readonly path: string; readonly every: number } | undefined
  /** Time-outs and limits that differ from the proxy's usual ones. */
  readonly proxy?: Partial<ProxyOptions>
  readonly log: { info(fields: object, text: string): void; warn(fields: object, text: string): void }
  readonly ejected: (instance: string, milliseconds: number) => void
  /**
   * A Worker has died, which is a fault of Torb's: its clients hang, and its requests keep their places. Absent: it is thrown,
   * so that the process ends and a supervisor starts it anew.
   */
  readonly failed?: (error: Error) => void
  /** What its Workers run; worker.ts unless given. */
  readonly script?: URL
}

export interface GatewayChange {
  readonly name: FunctionName
  readonly published: GatewayFunction | null
}

export interface InstanceState extends MemberCounters {
  readonly instance: string
  readonly isGateway: boolean
  readonly active: number
  readonly isEjected: boolean
}

export interface FunctionState extends FunctionCounters {
  readonly waiting: number
  readonly instances: readonly InstanceState[]
}

const size: BoardSize = { upstreams: 16_384, functions: 16_384, members: 65_536 }
/** More than two heads of 16 KiB with room to rewrite one (slotLayout); what is not used of it is not had. */
const slotBytes = 65_536
/** Connections of all Workers at most … */
const mostSlots = 65_536
/** … and of each: its arena is at most 2 GiB. */
const mostSlotsOfWorker = 2 ** 31 / slotBytes
/** Of the descriptors of the process; the rest of Torb has the others. */
const descriptorShare = 3 / 4
const leastSlots = 16
const graceMs = 10_000
/** Milliseconds until all Workers are told of places that have come free: those of the time between are one word. */
const sweepEveryMs = 2

/**
 * The function gateway: one Worker a core on one listening socket. Functions come by `apply`; selection, limits and counters
 * are shared, so that order and limits hold over all Workers.
 */
export class Gateway {
  readonly transport: 'ring' | 'portable'
  /** Why there is no ring, with the cure; '' on the ring, and where node:net was asked for. */
  readonly portableReason: string
  readonly port: number
  readonly #options: GatewayOptions
  readonly #board: Board
  readonly #statistics: readonly Statistics[]
  readonly #counters: readonly ProxyCounters[]
  readonly #publisher: Publisher
  readonly #threads: readonly Thread[]
  readonly #socket: ListeningSocket | null
  readonly #accessLog: AccessLogFile | null
  #sequence = 0
  #closed: Promise<void> | null = null
  #isSweepDue = false

  private constructor(parts: {
    options: GatewayOptions
    board: Board
    statistics: readonly Statistics[]
    counters: readonly ProxyCounters[]
    publisher: Publisher
    threads: readonly Thread[]
    socket: ListeningSocket | null
    accessLog: AccessLogFile | null
    port: number
    portableReason: string
  }) {
    this.#options = parts.options
    this.#board = parts.board
    this.#statistics = parts.statistics
    this.#counters = parts.counters
    this.#publisher = parts.publisher
    this.#threads = parts.threads
    this.#socket = parts.socket
    this.#accessLog = parts.accessLog
    this.port = parts.port
    this.portableReason = parts.portableReason
    this.transport = parts.socket === null ? 'portable' : 'ring'
  }

  /** @throws Error with the cause where the address or a ring cannot be had; nothing stays behind */
  static async start(options: GatewayOptions): Promise<Gateway> {
    if (options.transport === 'portable') return await Gateway.#startOn('portable', options, '')
    let missing = await ringMissing()
    if (missing === null) {
      try {
        return await Gateway.#startOn('ring', options, '')
      } catch (error) {
        // Such as memory that suffices for one ring and not for all (RLIMIT_MEMLOCK).
        if (!(error instanceof NoRing)) throw error
        missing = error.message
      }
    }
    if (options.transport === 'ring') throw new Error(`no io_uring for the gateway: ${missing}`)
    options.log.warn({}, `the gateway runs on node:net, at about twice the CPU of io_uring: ${missing}`)
    return await Gateway.#startOn('portable', options, missing)
  }

  static async #startOn(
    transport: 'ring' | 'portable',
    options: GatewayOptions,
    portableReason: string,
  ): Promise<Gateway> {
    const isRing = transport === 'ring'
    const count = isRing ? options.workers || availableParallelism() : 1
    const all = Math.min(mostSlots, openFileLimit() * descriptorShare)
    const slots = Math.min(mostSlotsOfWorker, Math.max(leastSlots, Math.floor(all / count)))
    const epochMs = Date.now()
    const board = new Board(size, epochMs)
    const statistics = Array.from({ length: count }, () => new Statistics(size.members, size.functions))
    const counters = Array.from({ length: count }, () => new ProxyCounters())
    const publisher = new Publisher({ board, statistics, gateways: new Set(options.gateways) })
    const ended = new AsyncDisposableStack()
    try {
      const accessLog = openAccessLog(options, count, publisher)
      ended.defer(() => accessLog?.close())
      const socket = isRing ? await listenOn(options.address, options.port, options.address === '::') : null
      ended.defer(() => {
        // A Worker's accept may be under way still: the address is free at once all the same.
        socket?.end()
        socket?.close()
      })
      const threads: Thread[] = []
      for (const [index, part] of statistics.entries()) {
        const wake = socket === null ? null : await openWake()
        const setup: WorkerSetup = {
          identity: identityOf(options),
          size,
          epochMs,
          board: board.memory,
          statistics: part.memory,
          counters: counters[index]!.values.buffer as SharedArrayBuffer,
          accessLog: accessLog?.memories[index] ?? null,
          proxy: { logEvery: options.accessLog?.every ?? 0, ...options.proxy },
          held: options.held ?? false,
          slots,
          slotBytes,
          listen:
            socket === null || wake === null
              ? { on: 'portable', address: options.address, port: options.port }
              : { on: 'ring', descriptor: socket.descriptor, port: socket.port, wake: wake.descriptor },
        }
        const thread = new Thread(setup, wake, options.script)
        ended.defer(() => thread.terminate())
        threads.push(thread)
      }
      const ports = await Promise.all(threads.map((thread) => thread.listening)).catch((error: unknown) => {
        // The listening socket is there already: only the rings can be missing.
        throw isRing ? new NoRing(whyNoRings(error as NodeJS.ErrnoException, count), { cause: error }) : error
      })
      const gateway = new Gateway({
        options,
        board,
        statistics,
        counters,
        publisher,
        threads,
        socket,
        accessLog,
        portableReason,
        port: ports[0] ?? options.port,
      })
      for (const thread of threads) {
        thread.listen((message) => gateway.#receive(message))
        void thread.died.then((error) => gateway.#failed(error))
      }
      ended.move()
      return gateway
    } catch (error) {
      await ended.disposeAsync()
      throw error
    }
  }

  /** Serves those who wait since it was started `held`, and all who come. */
  begin(): void {
    for (const thread of this.#threads) thread.post({ type: 'begin' })
  }

  get workers(): number {
    return this.#threads.length
  }

  /** What each Worker's proxy has counted. */
  counters(): readonly Record<CounterName, number>[] {
    return this.#counters.map((counters) => counters.read())
  }

  /** Resolves when new requests go by these functions in all Workers. */
  async apply(changes: readonly GatewayChange[]): Promise<void> {
    const { change, refused } = this.#publisher.change(changes)
    for (const name of refused)
      this.#options.log.warn({ function: name }, 'the gateway has no room for more functions or instances')
    const sequence = ++this.#sequence
    await Promise.all(this.#threads.map((thread) => thread.change(change, sequence)))
  }

  /** Counters of a function and its instances; null where it is not known. */
  state(name: FunctionName): FunctionState | null {
    const route = this.#publisher.route(name)
    if (route === null) return null
    const now = Date.now()
    return {
      ...sumFunctions(this.#statistics.map((part) => part.function(route.fn))),
      waiting: this.#board.waiting(route.fn),
      instances: route.members.map(({ text, upstream, row, isGateway }) => ({
        ...sumMembers(this.#statistics.map((part) => part.member(row))),
        instance: text,
        isGateway,
        active: this.#board.active(upstream),
        isEjected: this.#board.isEjected(upstream, now),
      })),
    }
  }

  /** Opens the file of the access log anew. @throws the system's error; the old one stays in use */
  reopenLog(): void {
    this.#accessLog?.reopen()
  }

  /** Takes no more clients and lets requests finish within a limit. */
  close(): Promise<void> {
    return (this.#closed ??= this.#end())
  }

  async #end(): Promise<void> {
    this.#socket?.end()
    await Promise.all(this.#threads.map((thread) => thread.stop(graceMs)))
    this.#socket?.close()
    await this.#accessLog?.close()
  }

  #failed(cause: Error): void {
    const text = `a Worker of the gateway has died: ${cause.message}; start Torb anew, and report this`
    const error = new Error(text, { cause })
    if (this.#options.failed === undefined) throw error
    this.#options.failed(error)
  }

  #receive(message: FromThread): void {
    if (message.type === 'released') this.#publisher.released(message.version)
    else if (message.type === 'ejected') this.#options.ejected(message.instance, message.milliseconds)
    else if (message.type === 'room' && !this.#isSweepDue) {
      this.#isSweepDue = true
      setTimeout(() => this.#sweep(), sweepEveryMs)
    }
  }

  /** Each Worker looks whether those that wait there have a place now. */
  #sweep(): void {
    this.#isSweepDue = false
    for (const thread of this.#threads) thread.post({ type: 'sweep' })
  }
}

/** A Worker could not make its ring. */
class NoRing extends Error {}

/** What may suffice for the probe's ring and not for those of all Workers. */
const scarce = new Set(['ENOMEM', 'EMFILE', 'ENFILE'])

function whyNoRings({ message, code = '' }: NodeJS.ErrnoException, workers: number): string {
  const { cause, cure } = refusalOf(code, null)
  const why = scarce.has(code) ? `${cause}: ${cure}, or` : `${message}:`
  return `not every one of ${workers} Workers could open its ring: ${why} start fewer Workers`
}

/** A Worker as the main thread has it. */
class Thread {
  readonly listening: Promise<number>
  /** Why it has ended without being told to. */
  readonly died: Promise<Error>
  readonly #worker: Worker
  readonly #wake: Wake | null
  readonly #applied = new Map<number, () => void>()
  readonly #exited: Promise<void>
  #isEnding = false
  #isGone = false

  constructor(setup: WorkerSetup, wake: Wake | null, script = new URL('worker.ts', import.meta.url)) {
    this.#wake = wake
    this.#worker = new Worker(script, {
      workerData: setup,
      execArgv: [],
      // A request leaves nothing to collect; with V8's usual size clients would seem to cost memory until all of it was touched once.
      resourceLimits: { maxYoungGenerationSizeMb: 4 },
    })
    this.#exited = new Promise((resolve) => this.#worker.once('exit', () => resolve()))
    this.died = new Promise((resolve) => {
      this.#worker.once('error', resolve)
      this.#worker.once('exit', (code) => {
        this.#isGone = true
        if (!this.#isEnding) resolve(new Error(`it exited with code ${code}`))
      })
    })
    this.listening = new Promise((resolve, reject) => {
      this.#worker.once('message', (message: FromThread) => {
        if (message.type === 'listening') resolve(message.port)
        else if (message.type === 'failed')
          reject(Object.assign(new Error(message.message), { code: message.code }))
      })
      this.#worker.once('error', reject)
    })
  }

  listen(each: (message: FromThread) => void): void {
    this.#worker.on('message', (message: FromThread) => {
      if (message.type !== 'applied') return each(message)
      this.#applied.get(message.sequence)?.()
      this.#applied.delete(message.sequence)
    })
  }

  post(message: ToThread): void {
    if (this.#isGone) return
    this.#worker.postMessage(message, [])
    this.#wake?.wake()
  }

  async change(change: Extract<ToThread, { type: 'change' }>['change'], sequence: number): Promise<void> {
    const applied = new Promise<void>((resolve) => this.#applied.set(sequence, resolve))
    this.post({ type: 'change', change, sequence })
    await Promise.race([applied, this.#exited])
  }

  async stop(graceMs: number): Promise<void> {
    this.#isEnding = true
    this.post({ type: 'stop', graceMs })
    await this.#exited
    this.#wake?.close()
  }

  async terminate(): Promise<void> {
    this.#isEnding = true
    await this.#worker.terminate()
    this.#wake?.close()
  }
}

function openAccessLog(
  { accessLog, log }: GatewayOptions,
  workers: number,
  publisher: Publisher,
): AccessLogFile | null {
  if (accessLog === undefined) return null
  return new AccessLogFile({
    path: accessLog.path,
    workers,
    nameOf: (upstream) => publisher.textOf(upstream),
    complain: (text) => log.warn({ file: accessLog.path }, text),
  })
}

function identityOf({
  zones,
  node,
  dummy,
  unsignedPeers,
  hopKey,
  hopLimit,
}: GatewayIdentity): GatewayIdentity {
  return { zones, node, dummy, unsignedPeers, hopKey, hopLimit }
}
