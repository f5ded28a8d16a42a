import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Splitter } from '../../src/planes/ovn/ovsdb/framing.ts'

/** Stands between clients and an ovsdb-server's unix socket: an older server, or a network that fails. */
export class OvsdbProxy implements AsyncDisposable {
  /** For clients. */
  readonly address: string
  /** Methods that the server is said not to know. */
  readonly unknown: Set<string>
  /** What clients asked, and what they were answered, as texts of JSON. */
  readonly asked: string[] = []
  readonly answered: string[] = []
  /** So many changes of load balancers more are done, and the connection is cut in the place of the answer. */
  lost = 0
  readonly #directory: string
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #silent = false

  private constructor(directory: string, target: string, unknown: readonly string[]) {
    this.#directory = directory
    this.unknown = new Set(unknown)
    const path = join(directory, 'proxy.sock')
    this.address = `unix:${path}`
    this.#server = createServer((client) => this.#join(client, createConnection(target)))
    this.#server.listen(path)
  }

  /** @param target a `unix:` address */
  static async start(target: string, unknown: readonly string[] = []): Promise<OvsdbProxy> {
    const directory = mkdtempSync(join(tmpdir(), 'torb-ovsdb-proxy-'))
    const proxy = new OvsdbProxy(directory, target.slice('unix:'.length), unknown)
    await once(proxy.#server, 'listening')
    return proxy
  }

  /** Ends all connections; new ones are possible. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  /** Passes nothing on any more, of connections that are there and of new ones, until `false`. */
  set silent(silent: boolean) {
    this.#silent = silent
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    this.cut()
    await once(this.#server, 'close')
    rmSync(this.#directory, { recursive: true, force: true })
  }

  #join(client: Socket, server: Socket): void {
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(from)
      from
        .on('error', () => {})
        .on('close', () => {
          this.#sockets.delete(from)
          to.destroy()
        })
    }
    const changes = new Set<unknown>()
    const requests = new Splitter()
    client.on('data', (bytes: Buffer) => {
      for (const text of requests.push(bytes)) {
        if (text.includes('"update","table":"Load_Balancer"')) changes.add(message(text).id)
        this.#request(text, client, server)
      }
    })
    const answers = new Splitter()
    server.on('data', (bytes: Buffer) => {
      for (const text of answers.push(bytes)) {
        this.answered.push(text)
        const isLost = this.lost > 0 && changes.has(message(text).id)
        if (isLost) {
          this.lost--
          client.destroy()
        } else if (!this.#silent) client.write(text)
      }
    })
  }

  #request(text: string, client: Socket, server: Socket): void {
    this.asked.push(text)
    if (this.#silent) return
    const { id, method } = message(text)
    if (method !== undefined && this.unknown.has(method))
      client.write(JSON.stringify({ id, error: 'unknown method' }))
    else server.write(text)
  }
}

const message = (text: string): { readonly id?: unknown; readonly method?: string } =>
  JSON.parse(text) as { readonly id?: unknown; readonly method?: string }
