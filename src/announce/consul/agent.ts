import type { Registered, Registration } from './registrations.ts'

/** GORB's limit for a call. */
const callLimitMs = 5000

/** The agent answered, and said no. */
export class ConsulRefused extends Error {}

/** The agent did not answer, or something else did. */
export class ConsulUnreachable extends Error {}

/** The HTTP API of a Consul agent, as far as services are concerned. */
export class ConsulAgent {
  /** Without path and credentials. */
  readonly url: string
  readonly #headers: Readonly<Record<string, string>>

  /** @param token an ACL token, where the agent wants one */
  constructor(url: string, token: string | undefined) {
    const { origin, username, password } = new URL(url)
    this.url = origin
    const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
    this.#headers = {
      ...(token === undefined || token === '' ? {} : { 'x-consul-token': token }),
      ...(credentials === ':'
        ? {}
        : { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` }),
    }
  }

  /** All that this agent has registered, by id. */
  async services(signal: AbortSignal): Promise<Map<string, Registered>> {
    const answer = await this.#call('GET', 'services', signal)
    const parsed = answer.status === 200 ? parseServices(answer.text) : null
    if (parsed !== null) return parsed
    throw new ConsulUnreachable(
      answer.status === 200
        ? `what answers at ${this.url} is no Consul agent: give the URL of one with -c, such as http://127.0.0.1:8500`
        : `the Consul agent at ${this.url} does not show its services (${said(answer)})${cure(answer.status)}`,
    )
  }

  async register(registration: Registration, signal: AbortSignal): Promise<void> {
    const answer = await this.#call('PUT', 'service/register', signal, JSON.stringify(registration))
    if (answer.status !== 200) throw refused(`register "${registration.ID}"`, answer)
  }

  async deregister(id: string, signal: AbortSignal): Promise<void> {
    const answer = await this.#call('PUT', `service/deregister/${encodeURIComponent(id)}`, signal)
    // Later versions answer 404 where there is none of that id, which is what was asked for.
    if (answer.status !== 200 && answer.status !== 404) throw refused(`deregister "${id}"`, answer)
  }

  async #call(method: string, path: string, signal: AbortSignal, body?: string): Promise<Answer> {
    try {
      const response = await fetch(`${this.url}/v1/agent/${path}`, {
        method,
        headers: this.#headers,
        signal: AbortSignal.any([signal, AbortSignal.timeout(callLimitMs)]),
        ...(body === undefined ? {} : { body }),
      })
      return { status: response.status, text: await response.text() }
    } catch (error) {
      throw new ConsulUnreachable(
        `Consul at ${this.url} does not answer (${causeOf(error)}): start its agent, or give the right URL with -c`,
        { cause: error },
      )
    }
  }
}

interface Answer {
  readonly status: number
  readonly text: string
}

const refused = (what: string, answer: Answer): ConsulRefused =>
  new ConsulRefused(`Consul refuses to ${what} (${said(answer)})${cure(answer.status)}`)

const said = ({ status, text }: Answer): string =>
  `${status}${text.trim() === '' ? '' : `: ${text.trim().split('\n', 1)[0]?.slice(0, 200)}`}`

const cure = (status: number): string =>
  status === 401 || status === 403
    ? ': set CONSUL_HTTP_TOKEN to a token with service:write for it'
    : ": tried again; the agent's own log says more"

/** fetch says only "fetch failed"; its cause knows why. */
function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (error.name === 'TimeoutError') return `nothing within ${callLimitMs / 1000} s`
  const { cause } = error
  if (cause instanceof AggregateError && cause.message === '') return causeOf(cause.errors[0])
  return cause instanceof Error ? cause.message : error.message
}

function parseServices(text: string): Map<string, Registered> | null {
  try {
    const parsed: unknown = JSON.parse(text)
    if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return null
    const entries = Object.entries(parsed as Readonly<Record<string, unknown>>)
    return entries.every((entry): entry is [string, Registered] => isRegistered(entry[1]))
      ? new Map(entries)
      : null
  } catch {
    return null
  }
}

function isRegistered(value: unknown): value is Registered {
  const { Service, Address, Port, Meta } = (value ?? {}) as Partial<Record<string, unknown>>
  return (
    typeof Service === 'string' &&
    typeof Address === 'string' &&
    typeof Port === 'number' &&
    (Meta === undefined || typeof Meta === 'object')
  )
}
