import type { Duplex } from 'node:stream'
import { explain, Unusable } from './address.ts'
import { ProtocolError, Splitter } from './framing.ts'
import { errorOf } from './operations.ts'
import { object } from './schema.ts'

export interface RpcListener {
  notified(method: string, params: readonly unknown[]): void
  /** Once, for whatever reason, after all that was asked is rejected. */
  ended(problem: string): void
}

interface Waiting {
  done(result: unknown): void
  failed(error: Error): void
}

/**
 * JSON-RPC 1.0 over a stream (RFC 7047, section 4), where both sides ask: the server wants its `echo` answered.
 *
 * A connection over which nothing came for `probeMs` is asked for an echo; where nothing comes for as long again, it is dead.
 */
export class Rpc {
  readonly #socket: Duplex
  readonly #listener: RpcListener
  readonly #waiting = new Map<number, Waiting>()
  readonly #probe: NodeJS.Timeout
  #nextId = 1
  #heard = true
  #probing = false
  /** Why it ends as soon as nothing waits any more. */
  #leaving: string | null = null
  #leaveLimit: NodeJS.Timeout | undefined
  /** Why it ended. */
  #over: string | null = null

  constructor(socket: Duplex, probeMs: number, listener: RpcListener) {
    this.#socket = socket
    this.#listener = listener
    const splitter = new Splitter()
    socket.on('data', (bytes: Buffer) => {
      this.#heard = true
      try {
        for (const text of splitter.push(bytes)) if (this.#over === null) this.#receive(text)
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error
        this.end(`it does not speak OVSDB's protocol: ${error.message}`)
      }
    })
    let silent = true
    socket.once('data', () => (silent = false))
    const closed = (): void =>
      this.end(`it closed the connection${silent ? ': see whether it wants tcp: or ssl:' : ''}`)
    socket.on('end', closed).on('close', closed)
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNRESET' || error.code === 'EPIPE') closed()
      else this.end(explain(error))
    })
    this.#probe = setInterval(() => this.#listen(probeMs), probeMs)
  }

  /**
   * @param done makes the result out of the answer at once, before anything that came after it is looked at
   * @throws OvsdbError for an error of the server; Unusable where the connection ends before the answer
   */
  async ask<T>(method: string, params: readonly unknown[], done: (result: unknown) => T): Promise<T> {
    return await new Promise<T>((resolve, reject) => {
      if (this.#over !== null) {
        reject(new Unusable(this.#over))
        return
      }
      const id = this.#nextId++
      this.#waiting.set(id, { done: (result) => resolve(done(result)), failed: reject })
      this.#send({ method, params, id })
    })
  }

  /** Closes the connection when all is answered that was asked, or after `limitMs`. */
  leave(problem: string, limitMs: number): void {
    if (this.#over !== null || this.#leaving !== null) return
    this.#leaving = problem
    this.#leaveLimit = setTimeout(() => this.end(problem), limitMs)
    this.#leaveIfAnswered()
  }

  /** Closes the connection and rejects what waits. @param problem a clause about the server, `it` */
  end(problem: string): void {
    if (this.#over !== null) return
    this.#over = problem
    clearInterval(this.#probe)
    clearTimeout(this.#leaveLimit)
    this.#socket.destroy()
    const waiting = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const request of waiting) request.failed(new Unusable(problem))
    this.#listener.ended(problem)
  }

  #leaveIfAnswered(): void {
    if (this.#leaving !== null && this.#waiting.size === 0) this.end(this.#leaving)
  }

  #send(message: object): void {
    this.#socket.write(JSON.stringify(message))
  }

  #receive(text: string): void {
    const { id, method, params, result, error } = parse(text)
    if (typeof method === 'string') {
      if (!Array.isArray(params)) throw new ProtocolError('a message has no params')
      if (id === null || id === undefined) this.#listener.notified(method, params)
      else if (method === 'echo') this.#send({ id, result: params, error: null })
      else this.#send({ id, result: null, error: 'unknown method' })
      return
    }
    const waiting = typeof id === 'number' ? this.#waiting.get(id) : undefined
    if (waiting === undefined) return
    this.#waiting.delete(id as number)
    try {
      if (error === null || error === undefined) waiting.done(result)
      else waiting.failed(errorOf(error, 0))
    } catch (error) {
      waiting.failed(error as Error)
      if (error instanceof ProtocolError) throw error
    }
    this.#leaveIfAnswered()
  }

  // Of two calls the second one comes after a look at the socket, however long this thread was busy.
  #listen(probeMs: number): void {
    if (this.#heard) this.#probing = false
    else if (this.#probing) {
      this.end(`it has been silent for ${(2 * probeMs) / 1000} seconds`)
      return
    } else {
      this.#probing = true
      this.#send({ method: 'echo', params: [], id: 'echo' })
    }
    this.#heard = false
  }
}

function parse(text: string): Record<string, unknown> {
  try {
    return object(JSON.parse(text), 'a message')
  } catch (error) {
    if (error instanceof ProtocolError) throw error
    throw new ProtocolError(`a message is no JSON: ${(error as Error).message}`, { cause: error })
  }
}
