import type { Connection } from '../stream.ts'
import type { Head } from './head.ts'
import type { Outcome, UpstreamNumber } from './policy.ts'
import type { ProxyContext } from './proxyContext.ts'
import { counter } from './proxyCounters.ts'
import { addressLimit, LoggedText } from './proxyLog.ts'

const completed = counter('completed')
const failed = counter('failed')
const abandoned = counter('abandoned')
const requestBytes = counter('requestBytes')
const responseBytes = counter('responseBytes')

/** What is told of a request when it has ended: to the policy, the counters and the access log. */
export class Account {
  upstream: UpstreamNumber = -1
  status = 0
  requestBytes = 0
  responseBytes = 0
  #decidedAt = 0
  #logged = false
  #text: LoggedText | null = null
  readonly #exchange: Connection
  readonly #context: ProxyContext

  constructor(exchange: Connection, context: ProxyContext) {
    this.#exchange = exchange
    this.#context = context
  }

  /** The head is complete, and in the shared one. The address is that of the connection's client. */
  open(head: Head, address: Uint8Array, addressLength: number): void {
    const context = this.#context
    const { policy, request } = context
    let told: string | null = null
    if (policy.clientOf !== undefined) {
      request.client = address
      request.clientLength = addressLength
      told = policy.clientOf(this.#exchange, request)
    }
    this.upstream = -1
    this.status = this.requestBytes = this.responseBytes = 0
    this.#decidedAt = context.now
    this.#logged = context.log !== null && context.options.logEvery > 0 && --context.untilLogged === 0
    if (!this.#logged) return
    context.untilLogged = context.options.logEvery
    this.#text ??= new LoggedText()
    const client = told === null ? address : Buffer.from(told, 'latin1')
    this.#text.keep(
      client,
      told === null ? addressLength : Math.min(client.length, addressLimit),
      context.arena,
      head.start,
      head.methodEnd,
      head.targetStart,
      head.targetEnd,
    )
  }

  /** The head of the final response is there. */
  responded(status: number): void {
    const context = this.#context
    this.status = status
    context.tick()
    context.policy.responded(this.#exchange, this.upstream, status, context.now - this.#decidedAt)
  }

  /** The policy has refused it: it hears no more of it. */
  refused(status: number): void {
    this.status = status
    this.#write('answered')
  }

  /** The last call. */
  close(outcome: Outcome): void {
    const { counters, policy, end } = this.#context
    this.#context.tick()
    this.#write(outcome)
    counters.add(outcome === 'completed' ? completed : outcome === 'abandoned' ? abandoned : failed, 1)
    counters.add(requestBytes, this.requestBytes)
    counters.add(responseBytes, this.responseBytes)
    counters.took(end.milliseconds)
    policy.ended(this.#exchange, end)
  }

  #write(outcome: Outcome): void {
    const { end, log, now, policy } = this.#context
    end.upstream = this.upstream
    end.outcome = outcome
    end.status = this.status
    end.requestBytes = this.requestBytes
    end.responseBytes = this.responseBytes
    end.milliseconds = now - this.#decidedAt
    if (!this.#logged || this.#text === null) return
    const by = this.upstream < 0 ? (policy.unservedAs?.(this.#exchange) ?? -1) : this.upstream
    log?.write(this.#context.wallClock(), this.#text, end, by)
  }
}
