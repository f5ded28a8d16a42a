import { once } from 'node:events'
import { Agent, createServer, request, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Destination, VirtualService } from '../plane.ts'
import type { Rig } from './rig.ts'

export interface Answer {
  readonly status: number
  readonly body: string
  readonly headers: IncomingHttpHeaders
}

/** A backend that answers with its id, and with the request's head where it is asked for. */
export async function backend(rig: Rig, waiting: ServerResponse[] = []): Promise<Destination> {
  let destination: Destination | null = null
  const server = createServer((asked, answer) => {
    const id = destination?.id ?? ''
    if (asked.url === '/wait') waiting.push(answer)
    else if (asked.url === '/head') answer.end(JSON.stringify(asked.headers))
    else asked.resume().on('end', () => answer.end(id))
  })
  server.on('upgrade', (_, socket) => {
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n`)
    socket.on('error', () => {})
    socket.pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  rig.onEnd(() => {
    server.close()
    server.closeAllConnections()
  })
  destination = rig.destination('127.0.0.1', (server.address() as AddressInfo).port)
  return destination
}

/** A client of one connection that is kept alive. */
export class Client {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 })
  readonly #spec: VirtualService
  readonly #from: string
  connections = 0

  constructor(rig: Rig, spec: VirtualService, from = '127.0.0.1') {
    this.#spec = spec
    this.#from = from
    rig.onEnd(() => this.#agent.destroy())
  }

  async ask(path = '/', headers: Record<string, string> = {}, body?: string): Promise<Answer> {
    const asked = request({
      host: this.#spec.address,
      port: Number(this.#spec.port),
      agent: this.#agent,
      localAddress: this.#from,
      path,
      headers,
      method: body === undefined ? 'GET' : 'POST',
    })
    asked.on('socket', () => (this.connections += asked.reusedSocket ? 0 : 1))
    // After the response too: a plane that closes resets what is open.
    asked.on('error', () => {})
    asked.end(body)
    const [answer] = (await once(asked, 'response')) as [
      AsyncIterable<Buffer> & { statusCode: number; headers: IncomingHttpHeaders },
    ]
    let text = ''
    for await (const chunk of answer) text += String(chunk)
    return { status: answer.statusCode, body: text, headers: answer.headers }
  }

  /** Whom so many requests reach, one after the other. */
  async reach(count: number): Promise<string[]> {
    const reached: string[] = []
    for (let turn = 0; turn < count; turn++) {
      const { status, body } = await this.ask()
      reached.push(status === 200 ? body : String(status))
    }
    return reached
  }
}
