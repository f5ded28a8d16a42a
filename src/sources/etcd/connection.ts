import * as http from 'node:http'
import * as https from 'node:https'
import { readSecrets, type EtcdAccess } from './access.ts'
import { linesOf, WireError } from './wire.ts'

/** A member that has no leader answers after longer; another one is asked then. */
const callLimitMs = 3000
const maxAnswerBytes = 64 << 20

/** etcd did not answer, or said no. */
export class EtcdError extends Error {
  /** gRPC's status code; null: no etcd answered. */
  readonly code: number | null

  constructor(text: string, code: number | null, options?: ErrorOptions) {
    super(text, options)
    this.code = code
  }
}

const unauthenticated = 16

/** The JSON gateway of one member, with sockets of its own: all of them end with it. */
export class EtcdConnection implements Disposable {
  readonly #url: URL
  readonly #agent: http.Agent
  readonly #user: string | null
  readonly #password: string
  #token: string | null = null

  private constructor(url: URL, agent: http.Agent, user: string | null, password: string) {
    this.#url = url
    this.#agent = agent
    this.#user = user
    this.#password = password
  }

  /** Reads certificates and password and logs in, where a user is given. @throws EtcdError, Error for a file that cannot be read */
  static async open(url: URL, access: EtcdAccess, signal: AbortSignal): Promise<EtcdConnection> {
    const { tls, password } = await readSecrets(access)
    const agent =
      url.protocol === 'https:'
        ? new https.Agent({ keepAlive: true, ...tls })
        : new http.Agent({ keepAlive: true })
    const connection = new EtcdConnection(url, agent, access.user ?? null, password)
    try {
      await connection.#login(signal)
      return connection
    } catch (error) {
      connection[Symbol.dispose]()
      throw error
    }
  }

  /** One question, one answer; a token that etcd knows no more is renewed. */
  async call(path: string, body: object, signal: AbortSignal): Promise<unknown> {
    return await this.#renewing(signal, async () => {
      const limit = AbortSignal.timeout(callLimitMs)
      const response = await this.#request(path, body, AbortSignal.any([signal, limit]), limit)
      return await this.#answer(response, limit)
    })
  }

  /** The JSON objects of an answer that goes on until `signal`, etcd or the network ends it. */
  async *stream(path: string, body: object, signal: AbortSignal): AsyncGenerator<unknown, void, void> {
    const response = await this.#renewing(signal, async () => {
      // etcd sends its head with the first message.
      const head = new AbortController()
      const timer = setTimeout(() => head.abort(), callLimitMs)
      try {
        return await this.#request(path, body, AbortSignal.any([signal, head.signal]), head.signal)
      } finally {
        clearTimeout(timer)
      }
    })
    try {
      for await (const line of linesOf(response, maxAnswerBytes)) {
        if (line.trim() !== '') yield parse(line)
      }
    } catch (error) {
      throw error instanceof WireError ? error : this.#unreachable(error, null)
    }
  }

  [Symbol.dispose](): void {
    this.#agent.destroy()
  }

  async #renewing<T>(signal: AbortSignal, ask: () => Promise<T>): Promise<T> {
    try {
      return await ask()
    } catch (error) {
      if (!(error instanceof EtcdError) || this.#token === null || !isOfToken(error)) throw error
      await this.#login(signal)
      return await ask()
    }
  }

  async #login(signal: AbortSignal): Promise<void> {
    if (this.#user === null) return
    this.#token = null
    const limit = AbortSignal.timeout(callLimitMs)
    const body = { name: this.#user, password: this.#password }
    try {
      const both = AbortSignal.any([signal, limit])
      const response = await this.#request('/v3/auth/authenticate', body, both, limit)
      const { token } = (await this.#answer(response, limit)) as { readonly token?: unknown }
      if (typeof token === 'string') this.#token = token
    } catch (error) {
      // Whoever needs no user is asked without one.
      if (error instanceof EtcdError && error.message.includes('authentication is not enabled')) return
      throw error
    }
  }

  /** @returns the answer, whose head says that it is one @throws EtcdError */
  async #request(
    path: string,
    body: object,
    signal: AbortSignal,
    limit: AbortSignal,
  ): Promise<http.IncomingMessage> {
    const text = JSON.stringify(body)
    const { request } = this.#url.protocol === 'https:' ? https : http
    const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
      const headers = {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(text),
        ...(this.#token === null ? {} : { authorization: this.#token }),
      }
      const sent = request(
        new URL(path, this.#url),
        { method: 'POST', headers, agent: this.#agent, signal },
        resolve,
      )
      sent.once('socket', (socket) => socket.setNoDelay(true).setKeepAlive(true, 10_000))
      sent.once('error', reject)
      sent.end(text)
    }).catch((error: unknown) => {
      throw this.#unreachable(error, limit)
    })
    if (response.statusCode === 200) return response
    throw await this.#refusal(response, limit)
  }

  async #answer(response: http.IncomingMessage, limit: AbortSignal): Promise<unknown> {
    const parts: Buffer[] = []
    let length = 0
    try {
      for await (const part of response as AsyncIterable<Buffer>) {
        parts.push(part)
        length += part.length
        if (length > maxAnswerBytes) throw new WireError(`an answer is longer than ${maxAnswerBytes} bytes`)
      }
    } catch (error) {
      throw error instanceof WireError ? error : this.#unreachable(error, limit)
    }
    return parse(Buffer.concat(parts).toString())
  }

  async #refusal(response: http.IncomingMessage, limit: AbortSignal): Promise<EtcdError> {
    const said = await this.#answer(response, limit).catch(() => null)
    const { error, code } = (said ?? {}) as { readonly error?: unknown; readonly code?: unknown }
    if (typeof error === 'string' && typeof code === 'number') {
      return new EtcdError(`etcd at ${this.#url.host} refuses (${error})${cure(error, code)}`, code)
    }
    return new EtcdError(
      `what answers at ${this.#url.origin} is no etcd 3.4 or later (status ${response.statusCode}): give the client URL of a member`,
      null,
    )
  }

  #unreachable(error: unknown, limit: AbortSignal | null): EtcdError {
    const cause = limit?.aborted === true ? `nothing within ${callLimitMs / 1000} s` : causeOf(error)
    return new EtcdError(
      `etcd at ${this.#url.host} does not answer (${cause}): start it, or say with --etcd where it is`,
      null,
      { cause: error },
    )
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new WireError('what came is no JSON', { cause: error })
  }
}

/** Of a token that ran out, that a restarted member does not know, or that is older than a change of users or roles. */
const isOfToken = ({ code, message }: EtcdError): boolean =>
  code === unauthenticated || message.includes('revision of auth store is old')

function cure(error: string, code: number): string {
  if (error.includes('user name is empty')) return ': give a user and its password'
  if (error.includes('authentication failed')) return ': give the right user and password'
  // PermissionDenied.
  if (code === 7)
    return ': grant the user\'s role "read" on the prefix golb/function/, "readwrite" where feedback writes'
  return ''
}

/** An attempt at several addresses says nothing itself; its first failure does. */
function causeOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return causeOf(error.errors[0])
  if (!(error instanceof Error)) return String(error)
  return error.message === 'aborted' ? 'the connection broke' : error.message
}
