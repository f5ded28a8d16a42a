import { getSystemErrorName } from 'node:util'
import type { Exchange } from '../../proxy/http/policy.ts'
import { AccessLogFile } from '../../proxy/http/accessLogFile.ts'
import { HttpProxy } from '../../proxy/http/proxy.ts'
import { AccessLog } from '../../proxy/http/proxyLog.ts'
import type { Line } from '../../proxy/http/waiting.ts'
import type { StreamListener, StreamTransport } from '../../proxy/stream.ts'
import type { Ends, Transport } from '../../proxy/transport.ts'
import type { Context } from './context.ts'
import { HttpPolicy } from './httpPolicy.ts'
import type { HttpService } from './httpService.ts'
import { HttpUnserved } from './httpUnserved.ts'
import { HttpUpstreams } from './httpUpstreams.ts'

/** More than two heads of 16 KiB with room to rewrite one (slotLayout); what is not used of it is not had. */
const slotBytes = 65_536
/** The arena is at most 2 GiB. */
const mostSlots = 2 ** 31 / slotBytes
const leastSlots = 16
/** Backends at most. */
const mostUpstreams = 65_536
/** Services whose unserved requests have a name in the access log, at most. */
const mostUnserved = 65_536
/** Of the connections, idle ones to one backend. */
const idleShare = 1 / 8
const mostIdle = 1024

/** What the http services of one plane share: an HTTP proxy over streams of its own, each with a descriptor set aside for it. */
export class HttpFront {
  readonly upstreams: HttpUpstreams
  readonly unserved = new HttpUnserved(mostUpstreams, mostUnserved)
  readonly #context: Context
  readonly #streams: StreamTransport
  readonly #policy: HttpPolicy
  readonly #proxy: HttpProxy
  readonly #slots: number
  #lines = 0
  readonly #accessLog: AccessLogFile | null

  private constructor(
    context: Context,
    streams: StreamTransport,
    slots: number,
    accessLog: AccessLogFile | null,
  ) {
    const { timeouts, connectTimeoutMs } = context
    this.#context = context
    this.#streams = streams
    this.#slots = slots
    this.#accessLog = accessLog
    this.upstreams = new HttpUpstreams(mostUpstreams, (upstream) => this.#proxy.retire(upstream))
    this.#policy = new HttpPolicy({
      upstreams: this.upstreams,
      exchanges: slots,
      clock: context.clock,
      resume: (exchange) => this.#proxy.resume(exchange),
    })
    this.#proxy = new HttpProxy({
      transport: streams,
      policy: this.#policy,
      options: {
        upstreams: mostUpstreams,
        idlePerUpstream: Math.min(mostIdle, Math.ceil(slots * idleShare)),
        connectMs: connectTimeoutMs,
        tunnelIdleMs: timeouts.tcp * 1000,
        logEvery: context.accessLog?.every ?? 0,
      },
      ...(accessLog === null ? {} : { log: new AccessLog(accessLog.memories[0]!) }),
    })
  }

  /** @throws where there are no descriptors or memory for it */
  static async open(transport: Transport, context: Context): Promise<HttpFront> {
    const { descriptors } = context
    const slots = Math.min(mostSlots, Math.floor((descriptors.limit - descriptors.used) / 2))
    if (slots < leastSlots || !descriptors.take(slots)) {
      throw new Error(
        `of ${descriptors.limit} file descriptors too few are left for http; raise the limit (ulimit -n, LimitNOFILE=)`,
      )
    }
    let accessLog: AccessLogFile | null = null
    try {
      // What is logged has come by the front, which is there by then.
      accessLog = openAccessLog(context, (number) => front.#nameOf(number))
      const front = new HttpFront(context, await transport.openStreams(slots, slotBytes), slots, accessLog)
      return front
    } catch (error) {
      await accessLog?.close()
      descriptors.give(slots)
      throw error
    }
  }

  /** @throws the system's error */
  listen(service: HttpService): Promise<StreamListener> {
    const { id, address, port } = service.spec
    return this.#proxy.listen(address, Number(port), {
      accepted: (exchange) => this.#policy.accepted(exchange, service, this.#endsOf(exchange, service)),
      refused: (error) => {
        service.roster.rest.errors++
        this.#context.complain(id, `cannot accept a client: ${getSystemErrorName(error)}`)
      },
    })
  }

  /** For those who will wait for a backend of one service. */
  newLine(): Line {
    return { number: this.#lines++, exchanges: new Set(), upstreams: new Set() }
  }

  /** Those in the line are tried again. */
  call(line: Line): void {
    this.#policy.call(line)
  }

  /** Its clients get no further request served. */
  dismiss(service: HttpService): void {
    for (const exchange of this.#policy.exchangesOf(service)) this.#proxy.dismiss(exchange)
  }

  /** Lets requests end within the limit, then gives the descriptors back. */
  stop(graceMs: number): void {
    void this.#proxy.stop(graceMs).then(() => this.#context.descriptors.give(this.#slots))
  }

  /** Ends all that is left. */
  async end(): Promise<void> {
    this.#streams.end()
    await this.#accessLog?.close()
  }

  /** Opens the file of the access log anew. @throws the system's error; the old one stays in use */
  reopenLog(): void {
    this.#accessLog?.reopen()
  }

  /** What stands behind a number in the access log. */
  #nameOf(number: number): string {
    return this.unserved.nameOf(number) ?? this.upstreams.nameOf(number)
  }

  #endsOf(exchange: Exchange, { spec }: HttpService): Ends {
    const isIpv6 = spec.address.includes(':')
    const peer = this.#streams.peerOf(exchange)
    const isAny = spec.address === '::' || spec.address === '0.0.0.0'
    const local = isAny ? this.#streams.localOf(exchange) : { address: spec.address, port: Number(spec.port) }
    const unknown = isIpv6 ? '::' : '0.0.0.0'
    return {
      // None where it has gone meanwhile.
      remoteAddress: peer.address || unknown,
      remotePort: peer.port,
      localAddress: local.address || unknown,
      localPort: local.port,
    }
  }
}

/** @throws Error with the cure where the file cannot be opened; null: none is wanted */
function openAccessLog({ accessLog }: Context, nameOf: (number: number) => string): AccessLogFile | null {
  if (accessLog === null) return null
  const { path, complain } = accessLog
  try {
    return new AccessLogFile({ path, workers: 1, nameOf, complain })
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new Error(
      `the access log ${path} cannot be written (${reason}): name another file with --access-log`,
      { cause: error },
    )
  }
}
