import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { httpQuestion, question, type Answer } from './echo.ts'

export interface Endpoint {
  readonly address: string
  readonly port: number
}

/** What clients do: connections (TCP, HTTP) or sockets (UDP), with questions to echo servers on each. */
export interface Traffic {
  readonly protocol: 'tcp' | 'udp' | 'http'
  /** Source addresses, taken in turn. */
  readonly from: readonly string[]
  readonly to: Endpoint
  readonly count: number
  /** Questions on each connection; 1 where absent. */
  readonly questions?: number
  /** At the same time; 1 where absent. */
  readonly concurrency?: number
  /** Size of each question and of each answer. */
  readonly bytes?: number
  /** Each connection has a port of its own that no earlier one had for long; else the system chooses, by chance. */
  readonly portsInTurn?: boolean
  /** An answer that takes longer is a failure; what the client was made with where absent. */
  readonly patienceMs?: number
}

export interface Told extends Answer {
  /** Source address that asked. */
  readonly source: string
  /** Whence the answer came. */
  readonly from: Endpoint
}

export interface Report {
  readonly answers: readonly Told[]
  readonly failures: readonly string[]
}

/** A connection that stays open. */
export interface Held extends Told {
  readonly id: number
}

interface Conversation {
  ask(): Promise<Told>
  close(): Promise<void>
}

/** Makes traffic from the host or namespace that it runs in. */
export class Client {
  readonly #patienceMs: number
  readonly #held = new Map<number, Conversation>()
  readonly #running = new Map<number, { readonly stop: () => void; readonly report: Promise<Report> }>()
  #next = 1
  #port = firstPort

  /** @param patienceMs an answer that takes longer is a failure */
  constructor(patienceMs: number) {
    this.#patienceMs = patienceMs
  }

  /** Connects, asks and closes `count` times. */
  exchange(traffic: Traffic): Promise<Report> {
    let begun = 0
    return this.#repeat(traffic, () => begun++ < traffic.count)
  }

  /** Goes on exchanging until `stop`; `count` does not matter. */
  async start(traffic: Traffic): Promise<number> {
    const id = this.#next++
    let going = true
    const report = this.#repeat(traffic, () => going)
    this.#running.set(id, { report, stop: () => (going = false) })
    return id
  }

  async stop(id: number): Promise<Report> {
    const running = this.#running.get(id)
    if (running === undefined) throw new Error(`no traffic ${id} is under way`)
    this.#running.delete(id)
    running.stop()
    return running.report
  }

  /** Opens `count` connections one after the other, asks once on each and keeps them. */
  async hold(
    traffic: Traffic,
  ): Promise<{ readonly held: readonly Held[]; readonly failures: readonly string[] }> {
    const held: Held[] = []
    const failures: string[] = []
    for (let i = 0; i < traffic.count; i++) {
      try {
        const conversation = await this.#open(traffic, sourceOf(traffic, i))
        const told = await conversation.ask()
        const id = this.#next++
        this.#held.set(id, conversation)
        held.push({ id, ...told })
      } catch (error) {
        failures.push((error as Error).message)
      }
    }
    return { held, failures }
  }

  /** For each held connection the name of the backend that answers on it now, or null where none does. */
  answering(ids: readonly number[]): Promise<readonly (string | null)[]> {
    return Promise.all(
      ids.map(async (id) => {
        try {
          return (await this.#held.get(id)?.ask())?.backend ?? null
        } catch {
          return null
        }
      }),
    )
  }

  async release(ids: readonly number[]): Promise<void> {
    await Promise.all(
      ids.map(async (id) => {
        const conversation = this.#held.get(id)
        this.#held.delete(id)
        await conversation?.close()
      }),
    )
  }

  async releaseAll(): Promise<void> {
    await Promise.all([...this.#running.keys()].map((id) => this.stop(id)))
    await this.release([...this.#held.keys()])
  }

  async #repeat(traffic: Traffic, more: () => boolean): Promise<Report> {
    const answers: Told[] = []
    const failures: string[] = []
    let turn = 0
    // The port of a closed socket may be the next one's, and a balancer would take it for the same flow.
    const kept: Conversation[] = []
    const work = async (): Promise<void> => {
      while (more()) {
        const source = sourceOf(traffic, turn++)
        try {
          const conversation = await this.#open(traffic, source)
          try {
            for (let i = 0; i < (traffic.questions ?? 1); i++) answers.push(await conversation.ask())
          } finally {
            if (traffic.protocol === 'udp' && kept.length < mostKept) kept.push(conversation)
            else await conversation.close()
          }
        } catch (error) {
          failures.push((error as Error).message)
        }
      }
    }
    await Promise.all(Array.from({ length: traffic.concurrency ?? 1 }, work))
    await Promise.all(kept.map((conversation) => conversation.close()))
    return { answers, failures }
  }

  #open(traffic: Traffic, source: string): Promise<Conversation> {
    const { protocol, to, bytes = 0, patienceMs = this.#patienceMs } = traffic
    const from = { address: source, port: traffic.portsInTurn === true ? this.#turnOfPorts() : 0 }
    return protocol === 'udp'
      ? openUdp(from, to, question(bytes, bytes), patienceMs)
      : openTcp(from, to, dialects[protocol], bytes, patienceMs)
  }

  #turnOfPorts(): number {
    this.#port = this.#port === lastPort ? firstPort : this.#port + 1
    return this.#port
  }
}

const firstPort = 10_000
const lastPort = 65_000

/** Sockets of one traffic that stay open until its end. */
const mostKept = 256

function sourceOf(traffic: Traffic, turn: number): string {
  const source = traffic.from[turn % traffic.from.length]
  if (source === undefined) throw new Error('traffic needs a source address')
  return source
}

/** The value, or a failure after `ms`: a timer that does not outlive the wait. */
async function within<T>(ms: number, what: string, value: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing within ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([value, late])
  } finally {
    clearTimeout(timer)
  }
}

/** How a question is asked on a connection, and where an answer lies in what has come. */
interface Dialect {
  question(answerBytes: number, questionBytes: number): string
  /** null: it is not there whole. @throws where it is a refusal */
  answer(text: string): { readonly text: string; readonly end: number } | null
}

const dialects: Readonly<Record<'tcp' | 'http', Dialect>> = {
  tcp: {
    question,
    answer(text) {
      const end = text.indexOf('\n')
      return end < 0 ? null : { text: text.slice(0, end), end: end + 1 }
    },
  },
  http: {
    question: httpQuestion,
    answer(text) {
      const head = /^HTTP\/1\.1 (\d+)[^]*?\r\n\r\n/.exec(text)
      if (head === null) return null
      if (head[1] !== '200') throw new Error(`status ${head[1]}`)
      const end = head[0].length + Number(/^content-length: (\d+)/im.exec(head[0])?.[1])
      return text.length < end ? null : { text: text.slice(head[0].length, end), end }
    },
  },
}

async function openTcp(
  { address: source, port: localPort }: Endpoint,
  to: Endpoint,
  dialect: Dialect,
  bytes: number,
  patienceMs: number,
): Promise<Conversation> {
  const text = dialect.question(bytes, bytes)
  const socket: Socket = connect({
    host: to.address,
    port: to.port,
    localAddress: source,
    noDelay: true,
    ...(localPort === 0 ? {} : { localPort }),
  })
  const close = async (): Promise<void> => {
    if (socket.closed) return
    const closed = once(socket, 'close').catch(() => {})
    socket.end()
    try {
      await within(patienceMs, 'close', closed)
    } catch {
      socket.destroy()
    }
  }
  // Failures arrive by the waits below; one that comes in between is seen by the next.
  let broken: Error | null = null
  let waiting: { resolve(line: string): void; reject(error: Error): void } | null = null
  let buffer = ''
  const fail = (error: Error): void => {
    broken ??= error
    waiting?.reject(broken)
  }
  socket.on('error', fail)
  socket.on('end', () => fail(new Error('the connection was closed before an answer')))
  socket.on('data', (chunk: Buffer) => {
    buffer += chunk.toString('latin1')
    try {
      const answer = dialect.answer(buffer)
      if (answer === null) return
      buffer = buffer.slice(answer.end)
      waiting?.resolve(answer.text)
    } catch (error) {
      fail(error as Error)
    }
  })
  try {
    await within(patienceMs, 'connect', once(socket, 'connect'))
  } catch (error) {
    socket.destroy()
    throw error
  }
  return {
    close,
    async ask() {
      if (broken !== null) throw broken
      const line = new Promise<string>((resolve, reject) => {
        waiting = { resolve, reject }
      })
      socket.write(text)
      try {
        return { source, from: to, ...(JSON.parse(await within(patienceMs, 'answer', line)) as Answer) }
      } finally {
        waiting = null
      }
    },
  }
}

async function openUdp(
  { address: source, port: localPort }: Endpoint,
  to: Endpoint,
  text: string,
  patienceMs: number,
): Promise<Conversation> {
  const socket = createSocket(source.includes(':') ? 'udp6' : 'udp4')
  socket.bind(localPort, source)
  await once(socket, 'listening')
  // The socket stays unconnected, so that the source of an answer can be seen. Nothing refuses on it either.
  socket.on('error', () => {})
  return {
    async close() {
      socket.close()
    },
    async ask() {
      const answered = once(socket, 'message') as Promise<[Buffer, Endpoint]>
      socket.send(text, to.port, to.address)
      const [message, { address, port }] = await within(patienceMs, 'answer', answered)
      return { source, from: { address, port }, ...(JSON.parse(message.toString('latin1')) as Answer) }
    },
  }
}
