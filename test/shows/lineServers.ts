import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

/** Servers that answer each line with their name: the smallest thing that shows where a request went. */
export class LineServer {
  readonly name: string
  accepted = 0
  readonly #server: Server
  readonly #open = new Set<Socket>()

  private constructor(name: string, server: Server) {
    this.name = name
    this.#server = server
  }

  static async listen(name: string, host: string, port: number): Promise<LineServer> {
    const server = createServer({ noDelay: true })
    const self = new LineServer(name, server)
    server.on('connection', (socket) => {
      self.accepted++
      self.#open.add(socket)
      socket.on('data', () => socket.write(`${name}\n`))
      socket.on('error', () => undefined)
      socket.on('close', () => self.#open.delete(socket))
    })
    server.listen(port, host)
    await once(server, 'listening')
    return self
  }

  async close(): Promise<void> {
    for (const socket of this.#open) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

/** One connection: `count` requests, one after the other. @returns the name that answered; rejects when any fails */
export async function converse(host: string, port: number, count: number): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const socket = connect({ host, port, noDelay: true })
  let answered = 0
  let name = ''
  socket.setTimeout(10_000, () =>
    socket.destroy(new Error(`no answer within 10 s to request ${answered + 1} of ${count}`)),
  )
  socket.on('connect', () => socket.write('x\n'))
  socket.on('data', (chunk) => {
    const text = chunk.toString().trim()
    if (name !== '' && text !== name)
      socket.destroy(new Error(`answered by ${text} in a connection of ${name}`))
    name = text
    if (++answered < count) socket.write('x\n')
    else socket.end()
  })
  socket.on('error', reject)
  socket.on('close', () =>
    answered === count ? resolve(name) : reject(new Error(`closed after ${answered} of ${count} requests`)),
  )
  return promise
}
