import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** How many connections the API may hold: three fifths of the descriptors, the rest is for traffic, checks and files. */
export function connectionLimit(openFiles: number): number {
  return Math.min(65_536, Math.max(16, Math.floor(openFiles * 0.6)))
}

/**
 * Keeps a server within `limit` connections: at the limit a new one takes the place of the one idle for longest, so that
 * no number of idle or slow clients keeps others out. With every connection at work the new one is closed.
 */
export function boundConnections(server: Server, limit: number): void {
  /** In the order in which they fell idle, by peer: with TLS a connection has two sockets, the raw and the secure one. */
  const idle = new Map<string, Socket>()
  /** Requests in work, several where a client pipelines. */
  const busy = new Map<string, number>()
  let open = 0

  server.on('connection', (socket: Socket) => {
    const peer = peerOf(socket)
    open++
    socket.once('close', () => {
      open--
      idle.delete(peer)
      busy.delete(peer)
    })
    idle.set(peer, socket)
    if (open <= limit) return
    const [longest] = idle.values()
    ;(longest ?? socket).destroy()
  })
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request
    const peer = peerOf(socket)
    idle.delete(peer)
    busy.set(peer, (busy.get(peer) ?? 0) + 1)
    response.once('close', () => {
      if (socket.destroyed) return
      const left = (busy.get(peer) ?? 1) - 1
      busy.set(peer, left)
      if (left === 0) idle.set(peer, socket)
    })
  })
}

function peerOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`
}
