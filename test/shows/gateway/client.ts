import { request as send, type Agent, type IncomingHttpHeaders } from 'node:http'

/** What a client got. */
export interface Got {
  /** 0: no answer. */
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  /** Why the answer is not whole; '' where it is. */
  readonly cut: string
}

export interface Question {
  readonly agent?: Agent
  readonly method?: string
  readonly body?: string
  /** An answer that takes longer is none. */
  readonly patienceMs?: number
}

/** A request by Node's own HTTP client: another parser than Torb's, and a strict one. */
export function ask(
  port: number,
  path: string,
  { agent, method = 'GET', body, patienceMs = 20_000 }: Question = {},
): Promise<Got> {
  const { promise, resolve } = Promise.withResolvers<Got>()
  const none = (error: Error): void =>
    resolve({ status: 0, headers: {}, body: Buffer.alloc(0), cut: error.message })
  const sent = send({ host: '127.0.0.1', port, path, method, agent: agent ?? false }, (answer) => {
    const chunks: Buffer[] = []
    const got = (cut: string): void =>
      resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(chunks), cut })
    answer.on('data', (chunk: Buffer) => chunks.push(chunk))
    answer.on('error', (error) => got(error.message))
    answer.on('end', () => got(''))
  })
  sent.setTimeout(patienceMs, () => sent.destroy(new Error(`nothing came for ${patienceMs} ms`)))
  sent.on('error', none)
  sent.end(body)
  return promise
}
