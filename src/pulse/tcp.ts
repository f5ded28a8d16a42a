import { Socket } from 'node:net'
import type { CheckResult, CheckSpec, Probe, Undecided } from './check.ts'
import { lookup } from './lookup.ts'
import { failure, up } from './reasons.ts'

/**
 * Up where a connection is accepted, which is reset at once: an orderly close would leave a socket in TIME_WAIT for a
 * minute after every check, 120,000 of them at 2,000 checks a second.
 */
export const tcp: Probe<Extract<CheckSpec, { kind: 'tcp' }>> = ({ address, port }, done) => {
  const socket = new Socket()
  let over = false
  const end = (result: CheckResult | Undecided): void => {
    if (over) return
    over = true
    done(result)
  }
  socket.on('error', (error) => end(failure(error)))
  socket.on('connect', () => {
    const self = isItself(socket)
    socket.resetAndDestroy()
    end(self ? { up: false, reason: 'connection refused' } : up)
  })
  try {
    socket.connect({ host: address, port, lookup })
  } catch (error) {
    socket.destroy()
    setImmediate(() => end(failure(error)))
  }
  return {
    cancel: () => {
      over = true
      socket.destroy()
    },
  }
}

/**
 * A connection to a local port in the ephemeral range where nothing listens may be given that very port as its source;
 * TCP's simultaneous open (RFC 9293 §3.5) then connects the socket with itself.
 */
export function isItself(socket: Socket): boolean {
  return socket.localPort === socket.remotePort && socket.localAddress === socket.remoteAddress
}
