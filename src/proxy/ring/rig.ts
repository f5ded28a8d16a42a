import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import type { StreamEvents } from '../stream.ts'
import { RingStream, type RingStreamOptions } from './stream.ts'

/** A ring with what its tests need: turned within the event loop, peers over node:net, an end to all of it. */
export class Rig {
  readonly #ends: (() => void)[] = []

  /** Turned without waiting, since its peers live on the same thread. */
  async ring(options: RingStreamOptions): Promise<RingStream> {
    const stream = driven(await RingStream.open(options))
    this.#ends.push(() => stream.end())
    return stream
  }

  client(port: number, host = '127.0.0.1'): Socket {
    const socket = connect({ port, host, allowHalfOpen: true, noDelay: true })
    socket.on('error', () => {})
    this.#ends.push(() => socket.destroy())
    return socket
  }

  async server(accept: (socket: Socket) => void): Promise<number> {
    const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => {})
      this.#ends.push(() => socket.destroy())
      accept(socket)
    })
    this.#ends.push(() => server.close())
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return (server.address() as AddressInfo).port
  }

  end(): void {
    for (const end of this.#ends.splice(0).reverse()) end()
  }
}

/** Turns a ring within the event loop of its thread, without waiting. */
export function driven(stream: RingStream): RingStream {
  const turn = (): void => {
    stream.turn(0)
    if (!stream.isEnded) setImmediate(turn)
  }
  setImmediate(turn)
  return stream
}

/** Sends back what comes, and ends after the peer. */
export function echo(stream: RingStream): StreamEvents {
  const receive = (connection: number): void =>
    stream.receive(connection, stream.slotOf(connection), stream.slotBytes)
  return {
    accepted: receive,
    connected: () => {},
    received: (connection, result) => {
      if (result > 0) stream.send(connection, stream.slotOf(connection), result, false)
      else stream.close(connection)
    },
    sent: (connection, result) => (result < 0 ? stream.close(connection) : receive(connection)),
  }
}

/** All that a socket gets until its end. */
export function whole(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk)).resume()
  return new Promise((resolve) => socket.once('end', () => resolve(Buffer.concat(chunks))))
}

/** Bytes of which no two stretches are alike. */
export function pattern(bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes)
  for (let index = 0; index < bytes; index += 1) buffer[index] = (index * 31 + (index >> 8) * 7) & 0xff
  return buffer
}
