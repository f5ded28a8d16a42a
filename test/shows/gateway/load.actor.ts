import { Agent } from 'node:http'
import { ask } from './client.ts'
import { contentOf, sha256 } from './content.ts'

/** Of responses that fit one segment, and of longer ones. */
const shortBytes = 1200
const longBytes = [20_000, 300_000, 2_000_000]

export interface LoadReport {
  readonly short: number
  readonly long: number
  /** Long ones that ended before they were whole, and were seen to. */
  readonly cut: number
  /** Milliseconds of the short ones. */
  readonly took: readonly number[]
  /** Short requests without a right answer, and long ones with another status. */
  readonly failures: readonly string[]
  /** Bodies that came to an end and were not what they should be. */
  readonly wrong: readonly string[]
}

/** Clients that ask one request after the other over connections that they keep. */
class Load implements LoadReport {
  short = 0
  long = 0
  cut = 0
  readonly took: number[] = []
  readonly failures: string[] = []
  readonly wrong: string[] = []
  readonly #port: number
  readonly #ending = new AbortController()
  readonly #clients: Promise<unknown>
  readonly #sums = new Map([shortBytes, ...longBytes].map((bytes) => [bytes, sha256(contentOf(bytes))]))

  constructor(port: number, short: number, long: number) {
    this.#port = port
    const clients = Array.from({ length: short + long }, async (_, index) => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 })
      while (!this.#ending.signal.aborted) await (index < short ? this.#short(agent) : this.#long(agent))
      agent.destroy()
    })
    this.#clients = Promise.all(clients)
  }

  async end(): Promise<LoadReport> {
    this.#ending.abort()
    await this.#clients
    const { short, long, cut, took, failures, wrong } = this
    return { short, long, cut, took, failures, wrong }
  }

  async #short(agent: Agent): Promise<void> {
    const begin = performance.now()
    const path = `/function/f/content/${shortBytes}${this.short % 2 === 0 ? '' : '?chunked'}`
    this.short++
    const { status, body, cut } = await ask(this.#port, path, { agent })
    if (status !== 200 || cut !== '') this.failures.push(`${path}: ${status} ${cut}`)
    else if (sha256(body) !== this.#sums.get(shortBytes))
      this.wrong.push(`${path}: ${shown(body, shortBytes)}`)
    this.took.push(performance.now() - begin)
  }

  async #long(agent: Agent): Promise<void> {
    const bytes = longBytes[this.long % longBytes.length] ?? 0
    const path = `/function/f/content/${bytes}${this.long % 2 === 0 ? '?paced' : '?paced&chunked'}`
    this.long++
    const { status, body, cut } = await ask(this.#port, path, { agent })
    if (cut !== '') this.cut++
    else if (status !== 200) this.failures.push(`${path}: ${status}`)
    else if (body.length !== bytes || sha256(body) !== this.#sums.get(bytes))
      this.wrong.push(`${path}: ${shown(body, bytes)}`)
  }
}

/** How a body differs from what it should be. */
function shown(body: Buffer, bytes: number): string {
  const expected = contentOf(bytes)
  const at = body.findIndex((byte, index) => byte !== expected[index])
  return `${body.length} bytes, other from ${at} on: ${JSON.stringify(body.toString('latin1', at, at + 40))}`
}

let load: Load | null = null

export const actor = {
  begin: async (port: number, shortClients: number, longClients: number): Promise<void> => {
    load = new Load(port, shortClients, longClients)
  },
  async end(): Promise<LoadReport> {
    if (load === null) throw new Error('call begin first')
    return load.end()
  },
}
export type LoadActor = typeof actor
