import { connect } from 'node:net'

export interface SlowReport {
  readonly open: number
  /** Ended by an answer of 408. */
  readonly timedOut: number
  /** Ended in any other way: what came, or the error, and how often. */
  readonly others: Readonly<Record<string, number>>
}

const head = 'GET /function/f/name HTTP/1.1\r\nHost: gateway\r\nX-Slow: '
/** So that the gateway can take them up: its queue of new connections is finite. */
const opensPerTick = 20

/** Clients that begin a head and send it byte by byte, for ever; each that is ended comes again. */
class SlowClients {
  #open = 0
  #opening = 0
  #timedOut = 0
  #ended = false
  readonly #others: Record<string, number> = {}
  readonly #port: number
  readonly #count: number
  readonly #everyMs: number
  readonly #ticking: NodeJS.Timeout

  constructor(port: number, count: number, everyMs: number) {
    this.#port = port
    this.#count = count
    this.#everyMs = everyMs
    this.#ticking = setInterval(() => {
      const missing = this.#count - this.#open - this.#opening
      for (let index = 0; index < Math.min(missing, opensPerTick); index++) this.#one()
    }, 10)
  }

  get report(): SlowReport {
    return { open: this.#open, timedOut: this.#timedOut, others: this.#others }
  }

  end(): void {
    this.#ended = true
    clearInterval(this.#ticking)
  }

  #one(): void {
    this.#opening++
    const socket = connect({ host: '127.0.0.1', port: this.#port, noDelay: true })
    let at = 0
    let got = ''
    let error = ''
    const sending = setInterval(() => {
      if (this.#ended) socket.destroy()
      else if (socket.writable && !socket.connecting) socket.write(at < head.length ? head.charAt(at++) : 'x')
    }, this.#everyMs)
    let counted = false
    socket.on('connect', () => {
      counted = true
      this.#opening--
      this.#open++
      socket.write(head.charAt(at++))
    })
    socket.on('data', (chunk: Buffer) => (got += chunk.toString('latin1')))
    socket.on('error', (cause: NodeJS.ErrnoException) => (error = cause.code ?? cause.message))
    socket.on('close', () => {
      clearInterval(sending)
      if (counted) this.#open--
      else this.#opening--
      if (this.#ended) return
      if (got.startsWith('HTTP/1.1 408 ')) this.#timedOut++
      else {
        const what = got.split('\r\n', 1)[0] || error || 'ended without a word'
        this.#others[what] = (this.#others[what] ?? 0) + 1
      }
    })
  }
}

let clients: SlowClients | null = null
const begun = (): SlowClients => {
  if (clients === null) throw new Error('call begin first')
  return clients
}

export const actor = {
  /** @param everyMs between two bytes of a client */
  begin: async (port: number, count: number, everyMs: number): Promise<void> => {
    clients = new SlowClients(port, count, everyMs)
  },
  report: async (): Promise<SlowReport> => begun().report,
  async end(): Promise<SlowReport> {
    begun().end()
    return begun().report
  },
}
export type SlowActor = typeof actor
