import { proxyHeader } from '../../proxy/proxyProtocol.ts'
import type { Listener, TcpAcceptor, TcpConnection, TcpHandler } from '../../proxy/transport.ts'
import { Timed } from '../../proxy/wheel.ts'
import type { Template } from './affinity.ts'
import type { Context } from './context.ts'
import type { Member } from './roster.ts'
import { Service } from './service.ts'

/** One for the client, one for the backend. */
const descriptorsOfSession = 2

export class TcpService extends Service implements TcpAcceptor {
  #listener: Listener | null = null

  async open(): Promise<void> {
    const { address, port } = this.spec
    this.#listener = await this.transport.listenTcp(address, Number(port), this)
  }

  close(): void {
    this.#listener?.close()
    this.#listener = null
    this.forget()
  }

  /** Connections to removed backends go on. */
  protected removed(): void {}

  accept(connection: TcpConnection): TcpHandler | null {
    if (!this.context.descriptors.take(descriptorsOfSession)) {
      this.roster.rest.errors++
      this.context.complain(
        this.spec.id,
        'no file descriptors are left for another connection: clients are reset',
      )
      return null
    }
    const session = new Session(this, this.context, connection)
    if (session.dialNext()) return session
    this.context.descriptors.give(descriptorsOfSession)
    return null
  }

  acceptFailed(error: Error): void {
    this.roster.rest.errors++
    this.context.complain(this.spec.id, `cannot accept a client: ${error.message}`)
  }
}

/**
 * One client's connection as the plane sees it.
 *
 *     dialing ──dialed──► open ──one side ended──► half closed ──► closed
 *       │  ▲                └───────────────────────────────────────▲
 *       └──┘ refused or too slow: the next backend; none left: the client is reset
 */
export class Session extends Timed implements TcpHandler {
  readonly #service: TcpService
  readonly #context: Context
  readonly #connection: TcpConnection
  #state: 'dialing' | 'open' | 'half closed' = 'dialing'
  #member: Member | null = null
  #template: Template | null = null
  readonly #tried: Member[] = []
  /** When the dial began (the clock's milliseconds); then the wheel's time of the last byte. */
  #since = 0
  /** How long it may stay as it is. */
  #limitMs: number

  constructor(service: TcpService, context: Context, connection: TcpConnection) {
    super()
    this.#service = service
    this.#context = context
    this.#connection = connection
    this.#limitMs = context.connectTimeoutMs
  }

  /** @returns false where nobody is left */
  dialNext(): boolean {
    const { roster } = this.#service
    const choice = this.#service.choose(this.#connection, this.#tried)
    if (choice === null) {
      roster.rest.errors++
      return false
    }
    this.#member = choice.member
    this.#template = choice.template
    choice.template?.opened()
    roster.opened(choice.member)
    this.#since = this.#context.clock()
    if (this.slot < 0) this.#context.wheel.add(this)
    const { address, port } = choice.member.destination
    this.#connection.dial(address, port)
    return true
  }

  dialed(): Uint8Array | null {
    const { clock, wheel, timeouts } = this.#context
    const tally = this.#member?.tally
    if (tally !== undefined) {
      tally.connections++
      tally.connectedIn((clock() - this.#since) * 1000)
    }
    this.#since = wheel.now
    this.#limitMs = timeouts.tcp * 1000
    this.#state = 'open'
    return this.#service.spec.proxyProtocol ? proxyHeader(this.#connection) : null
  }

  dialFailed(): void {
    const member = this.#member
    if (member === null) return
    member.tally.errors++
    this.#leave(member)
    this.#tried.push(member)
    if (!this.dialNext()) this.#connection.reset()
  }

  received(bytes: number): void {
    this.#since = this.#context.wheel.now
    this.#member?.tally.received(bytes)
  }

  returned(bytes: number): void {
    this.#since = this.#context.wheel.now
    this.#member?.tally.returned(bytes)
  }

  halfClosed(): void {
    if (this.#state !== 'open' || this.#member === null) return
    const { wheel, timeouts } = this.#context
    this.#state = 'half closed'
    this.#since = wheel.now
    this.#limitMs = timeouts.tcpfin * 1000
    this.#service.roster.quieted(this.#member)
    wheel.sooner(this)
  }

  closed(error: Error | null): void {
    const member = this.#member
    if (member !== null) {
      if (error !== null) member.tally.errors++
      this.#leave(member)
    }
    this.#context.wheel.remove(this)
    this.#context.descriptors.give(descriptorsOfSession)
  }

  override dueAt(): number {
    return this.#since + this.#limitMs
  }

  override expire(): void {
    if (this.#state === 'dialing') this.dialFailed()
    else this.#connection.reset()
  }

  /** Ends it before its time, as the plane does when it closes. */
  end(): void {
    this.#connection.reset()
  }

  #leave(member: Member): void {
    this.#service.roster.closed(member, this.#state !== 'half closed')
    this.#member = null
    this.#template?.closed()
    this.#template = null
  }
}
