import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'

/** What an echo server tells about itself and the connection that asked. */
export interface Answer {
  /** The server's name. */
  readonly backend: string
  /** The client as the server sees it: behind a proxy, the proxy. */
  readonly client: string
  readonly clientPort: number
  /** Connections open at the server, this one included; 0 over UDP. */
  readonly open: number
  /** The client that a PROXY protocol header or X-Forwarded-For announced; null without one. */
  readonly announced: string | null
}

/**
 * One question: a line `BYTES PADDING\n` (TCP), a request for `/BYTES` (HTTP) or a datagram of the same form. The answer is JSON, filled up with
 * blanks to BYTES, so that traffic in both directions has a known size.
 */
export const question = (answerBytes: number, questionBytes: number): string =>
  `${answerBytes} `.padEnd(Math.max(questionBytes - 1, 0), 'x') + '\n'

/** The same by HTTP, on a connection that stays: both sizes are without the few fields that each head needs. */
export const httpQuestion = (answerBytes: number, questionBytes: number): string =>
  `GET /${answerBytes} HTTP/1.1\r\nHost: echo\r\nX-Padding: ${'x'.repeat(questionBytes)}\r\n\r\n`

const answerTo = (line: string, answer: Answer): string =>
  `${JSON.stringify(answer).padEnd(Math.max(Number.parseInt(line, 10) - 1, 0) || 0)}\n`

interface Echo {
  readonly server: Server
  readonly datagrams: UdpSocket
  readonly open: Set<Socket>
}

/** Servers that tell their name, on TCP and UDP under one port; connections stay open for as long as clients want. */
export class EchoServers {
  readonly #echoes = new Map<string, Echo>()

  /** @param port 0: any that is free for both protocols */
  async listen(name: string, address: string, port: number): Promise<number> {
    const open = new Set<Socket>()
    const server = createServer((socket) => converse(name, socket, open))
    server.listen({ host: address, port, backlog: 1024 })
    await once(server, 'listening')
    const bound = server.address()
    const chosen = typeof bound === 'object' && bound !== null ? bound.port : port
    const datagrams = createSocket(address.includes(':') ? 'udp6' : 'udp4')
    datagrams.on('message', (message, from) => {
      const answer = { backend: name, client: from.address, clientPort: from.port, open: 0, announced: null }
      datagrams.send(answerTo(message.toString('latin1'), answer), from.port, from.address)
    })
    datagrams.bind(chosen, address)
    try {
      await once(datagrams, 'listening')
    } catch (error) {
      server.close()
      throw error
    }
    datagrams.on('error', () => {})
    this.#echoes.set(name, { server, datagrams, open })
    return chosen
  }

  /** Ends one server and its connections, as when it dies. */
  async close(name: string): Promise<void> {
    const echo = this.#echoes.get(name)
    if (echo === undefined) return
    this.#echoes.delete(name)
    echo.datagrams.close()
    echo.server.close()
    for (const socket of echo.open) socket.resetAndDestroy()
    await once(echo.server, 'close')
  }

  async closeAll(): Promise<void> {
    await Promise.all([...this.#echoes.keys()].map((name) => this.close(name)))
  }
}

function converse(name: string, socket: Socket, open: Set<Socket>): void {
  /** What is asked for in the head of a request, until its empty line. */
  let target: string | null = null
  let announced: string | null = null
  let buffer: Buffer | null = Buffer.alloc(0)
  let text = ''
  open.add(socket)
  socket.setNoDelay(true)
  socket.on('close', () => open.delete(socket))
  socket.on('error', () => socket.destroy())
  socket.on('data', (chunk: Buffer) => {
    if (buffer !== null) {
      buffer = Buffer.concat([buffer, chunk])
      const header = proxyHeader(buffer)
      if (header === null) return
      announced = header.source
      text = buffer.subarray(header.length).toString('latin1')
      buffer = null
    } else text += chunk.toString('latin1')
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
      const line = text.slice(0, end)
      text = text.slice(end + 1)
      const { remoteAddress: client = '', remotePort: clientPort = 0 } = socket
      const answer = (asked: string): string =>
        answerTo(asked, { backend: name, client, clientPort, open: open.size, announced })
      if (line.startsWith('GET /')) target = line.slice('GET /'.length)
      else if (target === null) socket.write(answer(line))
      else if (line === '\r') {
        const body = answer(target)
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
        target = announced = null
      } else announced = /^x-forwarded-for: (.*)\r$/i.exec(line)?.[1] ?? announced
    }
  })
}

/** Reads a PROXY protocol v2 header (proxy-protocol.txt §2.2) at the start of a stream; null: more bytes are needed. */
function proxyHeader(bytes: Buffer): { readonly length: number; readonly source: string | null } | null {
  const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
  const head = bytes.subarray(0, signature.length)
  if (!head.equals(signature.subarray(0, head.length))) return { length: 0, source: null }
  if (bytes.length < 16) return null
  const length = 16 + bytes.readUInt16BE(14)
  if (bytes.length < length) return null
  const family = bytes.readUInt8(13) >> 4
  if (family === 1) return { length, source: bytes.subarray(16, 20).join('.') }
  const words = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(16 + 2 * i).toString(16))
  return { length, source: family === 2 ? words.join(':') : null }
}
