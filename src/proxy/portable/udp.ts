import { createSocket, type Socket, type SocketOptions } from 'node:dgram'
import { familyOf } from '../../model/address.ts'
import type { UdpHandler, UdpPeer, UdpPort, UdpReceiver } from '../transport.ts'

/** Bytes that may wait to be sent on one socket; what comes beyond is dropped, as a full kernel buffer would. */
const sendQueueLimit = 1024 * 1024

/** Addresses are never names here. Answering at once spares a turn of the event loop for each datagram. */
function lookup(
  address: string,
  _options: unknown,
  answer: (error: NodeJS.ErrnoException | null, address: string, family: number) => void,
): void {
  answer(null, address, familyOf(address) ?? 4)
}

const optionsFor = (address: string): SocketOptions =>
  familyOf(address) === 6 ? { type: 'udp6', ipv6Only: true, lookup } : { type: 'udp4', lookup }

export function bindUdp(address: string, port: number, receiver: UdpReceiver): Promise<UdpPort> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(optionsFor(address))
    const refused = (error: Error): void => {
      socket.close()
      reject(error)
    }
    socket.once('error', refused)
    socket.bind({ address, port, exclusive: true }, () => {
      socket.off('error', refused)
      socket.on('error', (error) => receiver.failed(error))
      const sent = (error: Error | null): void => {
        if (error !== null) receiver.failed(error)
      }
      resolve({
        port: socket.address().port,
        send: (datagram, to, toPort) => {
          if (roomIn(socket)) socket.send(datagram, toPort, to, sent)
          else receiver.failed(new Error('too many datagrams wait to be sent'))
        },
        close: () => socket.close(),
      })
    })
    socket.on('message', (bytes, from) => receiver.datagram(bytes, from.address, from.port))
  })
}

export function connectUdp(address: string, port: number, handler: UdpHandler): UdpPeer {
  const socket = createSocket(optionsFor(address))
  let open = true
  // Later, since some errors are told within the call that causes them.
  const failed = (error: Error | null): void => {
    if (error !== null) setImmediate(() => open && handler.failed(error))
  }
  socket.on('error', failed)
  socket.on('message', (bytes) => {
    if (open) handler.datagram(bytes)
  })
  // With an answer at once, binding and connecting are done when this returns.
  socket.connect(port, address)
  return {
    send: (datagram) => {
      if (!open) return
      if (!roomIn(socket)) return failed(new Error('too many datagrams wait to be sent'))
      try {
        socket.send(datagram, failed)
      } catch (error) {
        // It throws where the connect had failed (no route, EACCES).
        failed(error instanceof Error ? error : new Error(String(error)))
      }
    },
    close: () => {
      if (!open) return
      open = false
      socket.close()
    },
  }
}

const roomIn = (socket: Socket): boolean => socket.getSendQueueSize() < sendQueueLimit
