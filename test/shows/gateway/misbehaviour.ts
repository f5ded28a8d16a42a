import type { Socket } from 'node:net'

type Act = (socket: Socket, name: string) => void

const ok = (body: string): string => `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`
const begun = 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf'

/** Answers that were held back. */
const held: (() => void)[] = []

/** What an instance can do with a request, good and bad, by the path. */
const acts: Readonly<Record<string, Act>> = {
  '/ok': (socket, name) => socket.write(ok(name)),
  /** Waits for `release`. */
  '/hold': (socket, name) => held.push(() => socket.write(ok(name))),
  '/slow': (socket, name) => drip(socket, ok(name), 0),
  '/hang': () => undefined,
  '/hang-in-head': (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-'),
  '/hang-in-body': (socket) => socket.write(begun),
  '/drip-head': (socket) => drip(socket, `HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(1000)}`, 20),
  '/garbage': (socket) => socket.write('SSH-2.0-OpenSSH_9.2\r\n\r\n'),
  '/bad-length': (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok'),
  '/long-head': (socket) => socket.write(`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`),
  '/unavailable': (socket) => socket.write('HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n'),
  '/close': (socket) => socket.end(),
  '/close-in-head': (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-'),
  '/close-in-body': (socket) => socket.end(begun),
  '/close-in-chunks': (socket) =>
    socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n'),
  '/reset': (socket) => socket.resetAndDestroy(),
  '/reset-in-body': (socket) => socket.write(begun, () => socket.resetAndDestroy()),
  '/bad-chunks': (socket) =>
    socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n'),
  /** Each of these would be taken for the answer to somebody else's request, were the connection used again. */
  '/more-than-its-length': (socket, name) => socket.write(`${ok(name)}poison`),
  '/two-answers': (socket, name) => socket.write(ok(name) + ok('poison')),
  '/die': () => process.kill(process.pid, 'SIGKILL'),
}

/** Byte by byte, each in a segment of its own. */
function drip(socket: Socket, text: string, everyMs: number): void {
  if (text === '' || socket.destroyed) return
  socket.write(text.charAt(0))
  const next = (): void => drip(socket, text.slice(1), everyMs)
  if (everyMs === 0) setImmediate(next)
  else setTimeout(next, everyMs)
}

/** An instance that does what the path says, or for all paths the same. */
export class Misbehaving {
  readonly #name: string
  #always: string | null = null

  constructor(name: string) {
    this.#name = name
  }

  /** @param path of `acts`; null: the one asked for */
  always(path: string | null): void {
    this.#always = path
  }

  readonly serve = (socket: Socket): void => {
    let head = ''
    socket.on('error', () => socket.destroy())
    socket.on('data', (chunk: Buffer) => {
      head += chunk.toString('latin1')
      for (let end = head.indexOf('\r\n\r\n'); end !== -1; end = head.indexOf('\r\n\r\n')) {
        const path = this.#always ?? head.split(' ', 2)[1] ?? ''
        head = head.slice(end + 4)
        const act = acts[path]
        if (act === undefined) socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n')
        else act(socket, this.#name)
      }
    })
  }
}

/** Lets the one that was held longest go on. @returns false: none is held */
export function release(): boolean {
  const first = held.shift()
  first?.()
  return first !== undefined
}
