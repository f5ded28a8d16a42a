import { createHash, randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'

/** Opcodes of RFC 6455 §5.2. */
export const BINARY = 2
export const CLOSE = 8

const accepted = (key: string): string =>
  createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')

/** A frame that is a whole message. @param mask as clients must have it; the payload is changed by it */
export function writeFrame(
  socket: Socket,
  opcode: number,
  payload: Uint8Array,
  mask: Buffer | null,
): boolean {
  const { length } = payload
  const extended = length < 126 ? 0 : length < 65_536 ? 2 : 8
  const head = Buffer.alloc(2 + extended + (mask === null ? 0 : 4))
  head[0] = 0x80 | opcode
  head[1] = (mask === null ? 0 : 0x80) | (extended === 0 ? length : extended === 2 ? 126 : 127)
  if (extended === 2) head.writeUInt16BE(length, 2)
  if (extended === 8) head.writeBigUInt64BE(BigInt(length), 2)
  if (mask !== null) {
    mask.copy(head, head.length - 4)
    applyMask(payload, mask)
  }
  socket.cork()
  socket.write(head)
  const more = socket.write(payload)
  socket.uncork()
  return more
}

/** §5.3; by words, since a gigabyte passes here. */
function applyMask(payload: Uint8Array, mask: Buffer): void {
  const aligned = payload.byteOffset % 4 === 0 ? payload.length >> 2 : 0
  const words = new Int32Array(payload.buffer, aligned === 0 ? 0 : payload.byteOffset, aligned)
  const word = mask.readInt32LE()
  for (let at = 0; at < aligned; at++) words[at] = (words[at] ?? 0) ^ word
  for (let at = aligned * 4; at < payload.length; at++) payload[at] = (payload[at] ?? 0) ^ (mask[at & 3] ?? 0)
}

/** Takes frames out of a stream, however it is cut. */
export class FrameReader {
  readonly #each: (opcode: number, payload: Uint8Array) => void
  #head = Buffer.alloc(0)
  #payload: Uint8Array | null = null
  #filled = 0

  /** @param each is given each frame, unmasked */
  constructor(each: (opcode: number, payload: Uint8Array) => void) {
    this.#each = each
  }

  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length;) {
      if (this.#payload === null) {
        const before = this.#head.length
        this.#head = Buffer.concat([this.#head, chunk.subarray(at, at + 14 - before)])
        const bytes = headBytes(this.#head)
        if (this.#head.length < bytes) return
        this.#head = this.#head.subarray(0, bytes)
        at += bytes - before
        this.#payload = new Uint8Array(payloadBytes(this.#head))
        this.#filled = 0
      }
      const part = chunk.subarray(at, at + this.#payload.length - this.#filled)
      this.#payload.set(part, this.#filled)
      this.#filled += part.length
      at += part.length
      if (this.#filled === this.#payload.length) this.#whole(this.#payload)
    }
  }

  #whole(payload: Uint8Array): void {
    const head = this.#head
    this.#head = Buffer.alloc(0)
    this.#payload = null
    if (((head[1] ?? 0) & 0x80) !== 0) applyMask(payload, head.subarray(-4))
    this.#each((head[0] ?? 0) & 15, payload)
  }
}

function headBytes(head: Buffer): number {
  if (head.length < 2) return 2
  const second = head[1] ?? 0
  const length = second & 0x7f
  return 2 + (length === 126 ? 2 : length === 127 ? 8 : 0) + (second & 0x80 ? 4 : 0)
}

function payloadBytes(head: Buffer): number {
  const length = (head[1] ?? 0) & 0x7f
  return length === 126 ? head.readUInt16BE(2) : length === 127 ? Number(head.readBigUInt64BE(2)) : length
}

/** The server's side: agrees, and sends each message back, at the pace at which it is taken. */
export function echoFrames(request: IncomingMessage, socket: Socket, first: Buffer): void {
  socket.setNoDelay(true)
  socket.on('error', () => socket.destroy())
  const key = request.headers['sec-websocket-key'] ?? ''
  socket.write(
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      `Sec-WebSocket-Accept: ${accepted(key)}\r\n\r\n`,
  )
  const reader = new FrameReader((opcode, payload) => {
    if (!writeFrame(socket, opcode, payload, null)) socket.pause()
    if (opcode === CLOSE) socket.end()
  })
  socket.on('drain', () => socket.resume())
  socket.on('data', (chunk: Buffer) => reader.push(chunk))
  socket.on('end', () => socket.end())
  reader.push(first)
}

/** The client's side. */
export class WebSocketClient {
  readonly socket: Socket
  readonly closed: Promise<void>

  private constructor(socket: Socket) {
    this.socket = socket
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()))
  }

  /** @throws Error where the handshake fails (§4.1) */
  static async open(
    port: number,
    path: string,
    each: (opcode: number, payload: Uint8Array) => void,
  ): Promise<WebSocketClient> {
    const key = randomBytes(16).toString('base64')
    const socket = connect({ host: '127.0.0.1', port, noDelay: true })
    const client = new WebSocketClient(socket)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    let head = ''
    const reader = new FrameReader(each)
    socket.on('error', reject)
    socket.on('close', () => reject(new Error(`the connection ended after ${JSON.stringify(head)}`)))
    socket.on('data', (chunk: Buffer) => {
      if (head.endsWith('\r\n\r\n')) return reader.push(chunk)
      const text = head + chunk.toString('latin1')
      const end = text.indexOf('\r\n\r\n')
      const headLength = end === -1 ? text.length : end + 4
      const rest = chunk.subarray(headLength - head.length)
      head = text.slice(0, headLength)
      if (end === -1) return
      const fields = head.toLowerCase()
      const agrees =
        head.startsWith('HTTP/1.1 101 ') &&
        fields.includes('\r\nupgrade: websocket\r\n') &&
        fields.includes('\r\nconnection: upgrade\r\n') &&
        head.includes(`\r\nSec-WebSocket-Accept: ${accepted(key)}\r\n`)
      if (!agrees) return reject(new Error(`no WebSocket: ${JSON.stringify(head)}`))
      reader.push(rest)
      resolve()
    })
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: gateway\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
    )
    await promise
    return client
  }

  /** @returns false: better wait for 'drain'. The payload is changed. */
  send(opcode: number, payload: Uint8Array): boolean {
    return writeFrame(this.socket, opcode, payload, randomBytes(4))
  }

  /** The closing handshake (§7.1.2). */
  async close(): Promise<void> {
    this.send(CLOSE, Uint8Array.of(0x03, 0xe8))
    await this.closed
  }
}
