import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTcp, type AddressInfo, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { contentOf } from './content.ts'
import { Misbehaving, release } from './misbehaviour.ts'
import { echoFrames } from './webSocket.ts'

/** Function instances in a process of their own. */
const misbehaving = new Map<string, Misbehaving>()
const tunnels = new Set<Socket>()

async function listening(server: Server, address: string, port = 0): Promise<string> {
  server.listen({ host: address, port, backlog: 4096 })
  await once(server, 'listening')
  return `${address}:${(server.address() as AddressInfo).port}`
}

const pieces = 8
const pieceEveryMs = 25

/** `/content/N` is N bytes, `?chunked` or by length, `?paced` slowly; all else is the name. */
async function answer(name: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  request.resume()
  const { pathname, searchParams } = new URL(request.url ?? '', 'http://instance')
  const size = /^\/content\/(\d+)$/.exec(pathname)?.[1]
  const body = size === undefined ? Buffer.from(name) : contentOf(Number(size))
  response.writeHead(200, searchParams.has('chunked') ? {} : { 'content-length': body.length })
  if (searchParams.has('paced')) {
    const length = Math.ceil(body.length / pieces)
    for (let at = 0; at < body.length; at += length) {
      response.write(body.subarray(at, at + length))
      await sleep(pieceEveryMs)
    }
    response.end()
  } else response.end(body)
}

export const actor = {
  /** A well-behaved one. @returns host:port */
  http(name: string, address: string, port?: number): Promise<string> {
    const server = createServer(
      { keepAliveTimeout: 60_000 },
      (request, response) => void answer(name, request, response),
    )
    return listening(server, address, port)
  },

  /** One that does what the path says (misbehaviour.ts). @returns host:port */
  async misbehaving(name: string, address: string, port?: number): Promise<string> {
    const instance = new Misbehaving(name)
    const at = await listening(createTcp({ noDelay: true }, instance.serve), address, port)
    misbehaving.set(at, instance)
    return at
  },

  /** From now on it does this, whatever the path; null: what the path says. */
  async always(instance: string, path: string | null): Promise<void> {
    misbehaving.get(instance)?.always(path)
  },

  release: async (): Promise<boolean> => release(),

  /** A WebSocket server that sends each message back. @returns host:port */
  echo(address: string): Promise<string> {
    const server = createServer()
    server.on('upgrade', (request, socket: Socket, first: Buffer) => {
      tunnels.add(socket)
      socket.on('close', () => tunnels.delete(socket))
      echoFrames(request, socket, first)
    })
    return listening(server, address)
  },

  /** Tunnels that are open. */
  tunnels: async (): Promise<number> => tunnels.size,
}
export type InstanceActor = typeof actor
