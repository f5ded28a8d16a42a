import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { canonicalAddress } from '../model/address.ts'

/** As long as Linux's own queue of accepted connections at its default (net.core.somaxconn). */
const queueLimit = 4096

export interface WorkServer {
  /** Not yet listening. */
  readonly server: Server
  readonly work: { readonly begun: number; readonly answered: number }
  /** Ends every connection, waiting ones included. */
  close(): Promise<void>
}

/**
 * The workshop's web server, slow on purpose: one connection at a time, the others wait in line; one piece of work at a
 * time. A connection that is kept alive keeps its place, as in the original.
 *
 * @param say takes the lines of its console
 * @param stop called at once on /stop, whose client gets no answer
 */
export function workServer(workMs: number, say: (line: string) => void, stop: () => void): WorkServer {
  const work = { begun: 0, answered: 0 }
  const waiting: Socket[] = []
  const sockets = new Set<Socket>()
  let served: Socket | null = null
  let turn: Promise<void> = Promise.resolve()

  const doWork = async (
    request: IncomingMessage,
    response: ServerResponse,
    closed: Promise<unknown>,
  ): Promise<void> => {
    const number = ++work.begun
    say(`request ${number} from ${clientOf(request)}: work begins`)
    await sleep(workMs)
    response.end(`Response sent after ${workMs} ms\n`)
    await closed
    if (!response.writableFinished) {
      say(`request ${number}: the client left before the answer`)
      return
    }
    work.answered++
    say(`request ${number}: answered after ${workMs} ms`)
  }

  const http = createHttpServer((request, response) => {
    const path = (request.url ?? '').split('?', 1)[0]
    if (path === '/stop') stop()
    else if (path === '/heartbeat') response.end('tick\n')
    else if (path === '/doWork') {
      // Listened to from now on: the client may leave before its turn.
      const closed = new Promise((resolve) => response.once('close', resolve))
      turn = turn.then(() => doWork(request, response, closed))
    } else
      response.writeHead(404, { 'content-type': 'text/plain; charset=utf-8' }).end('404 page not found\n')
  })
  // Go's server, which this one stands for, closes no idle connection.
  http.keepAliveTimeout = 0
  http.requestTimeout = 0
  http.headersTimeout = 0

  const serveNext = (): void => {
    let next = waiting.shift()
    while (next?.closed === true) next = waiting.shift()
    served = next ?? null
    if (next === undefined) return
    next.once('close', serveNext)
    if (next.destroyed) return
    http.emit('connection', next)
    next.resume()
  }
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    if (waiting.length >= queueLimit) {
      socket.destroy()
      return
    }
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    waiting.push(socket)
    if (served === null) serveNext()
  })
  const close = async (): Promise<void> => {
    waiting.length = 0
    const closed = new Promise((resolve) => server.close(resolve))
    for (const socket of sockets) socket.destroy()
    await closed
  }
  return { server, work, close }
}

function clientOf({ socket: { remoteAddress } }: IncomingMessage): string {
  return remoteAddress === undefined ? 'a client that left' : canonicalAddress(remoteAddress)
}
