import { connect, type Socket } from 'node:net'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'

/** Requests at a fixed rate over kept connections, whatever it takes to answer them. */
export interface PacedReport {
  readonly answered: number
  /** Answers of another status than 200, connections that ended and requests without an answer, with how many there are. */
  readonly failures: Readonly<Record<string, number>>
  /** Milliseconds from when each was due until its answer was whole. */
  readonly took: readonly number[]
}

class Report implements PacedReport {
  answered = 0
  readonly failures: Record<string, number> = {}
  readonly took: number[] = []

  failed(what: string, count = 1): void {
    this.failures[what] = (this.failures[what] ?? 0) + count
  }
}

/** One connection: one request after the other, each when it is due. */
class Client {
  readonly #socket: Socket
  readonly #request: string
  readonly #report: Report
  /** When those that are still to be sent, or answered, were due. */
  readonly #due: number[] = []
  #answer = ''

  constructor(socket: Socket, request: string, report: Report) {
    this.#socket = socket
    this.#request = request
    this.#report = report
    socket.on('data', (chunk: Buffer) => this.#take(chunk.toString('latin1')))
    socket.on('error', (error) => report.failed(error.message))
  }

  due(at: number): void {
    if (this.#due.push(at) === 1) this.#socket.write(this.#request)
  }

  get waiting(): number {
    return this.#due.length
  }

  end(): void {
    this.#socket.destroy()
  }

  #take(text: string): void {
    this.#answer += text
    const end = this.#answer.indexOf('\r\n\r\n')
    if (end === -1) return
    const length = Number(/content-length: *(\d+)/i.exec(this.#answer)?.[1])
    if (this.#answer.length < end + 4 + length) return
    const due = this.#due.shift()
    if (this.#answer.startsWith('HTTP/1.1 200 ') && due !== undefined) {
      this.#report.answered++
      this.#report.took.push(performance.now() - due)
    } else this.#report.failed(this.#answer.slice(0, this.#answer.indexOf('\r\n')))
    this.#answer = ''
    if (this.#due.length > 0) this.#socket.write(this.#request)
  }
}

export const actor = {
  async run(
    port: number,
    path: string,
    load: { readonly rate: number; readonly milliseconds: number; readonly connections: number },
  ): Promise<PacedReport> {
    const report = new Report()
    const request = `GET ${path} HTTP/1.1\r\nHost: gateway\r\n\r\n`
    const clients: Client[] = []
    for (let index = 0; index < load.connections; index++) {
      const socket = connect({ host: '127.0.0.1', port, noDelay: true })
      await once(socket, 'connect')
      clients.push(new Client(socket, request, report))
    }
    const begin = performance.now()
    const total = Math.floor((load.rate * load.milliseconds) / 1000)
    for (let sent = 0; sent < total;) {
      const now = Math.min(total, Math.floor(((performance.now() - begin) * load.rate) / 1000))
      for (; sent < now; sent++) clients[sent % clients.length]?.due(begin + (sent / load.rate) * 1000)
      await sleep(1)
    }
    // Those on their way have five seconds.
    for (let i = 0; i < 500 && clients.some(({ waiting }) => waiting > 0); i++) await sleep(10)
    const unanswered = clients.reduce((sum, { waiting }) => sum + waiting, 0)
    for (const client of clients) client.end()
    if (unanswered > 0) report.failed('no answer', unanswered)
    const { answered, failures, took } = report
    return { answered, failures, took }
  },
}
export type PacedActor = typeof actor
