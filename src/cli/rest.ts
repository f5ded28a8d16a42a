import { readFileSync } from 'node:fs'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { text } from 'node:stream/consumers'
import type { Io } from './command.ts'
import { CommandError, exit, failed, usage } from './exit.ts'
import type { FlagTable, Values } from './goFlags.ts'
import { eventsOf, type ServerEvent } from './serverEvents.ts'

/** The flags of every command that asks a running Torb. */
export const apiFlags = {
  api: {
    kind: 'string',
    value: 'URL',
    about: 'where the REST API answers',
    default: 'http://127.0.0.1:4672',
  },
  'token-file': { kind: 'string', value: 'FILE', about: 'file that holds the API token; else TORB_TOKEN' },
  json: { kind: 'boolean', about: 'prints JSON', default: false },
} as const satisfies FlagTable

export const apiEnvironment = [
  ['TORB_TOKEN', 'the token of the API, where no --token-file is given'],
  ['NODE_EXTRA_CA_CERTS', 'file with the authority of an https API whose certificate no public one signed'],
] as const

export const apiExit = [
  [exit.failed, 'the API refused; its reason is on standard error'],
  [exit.usage, 'a flag or an operand is wrong'],
  [exit.unavailable, 'no Torb answers'],
] as const

/** The API refused. */
export class ApiRefusal extends CommandError {
  readonly status: number

  constructor(status: number, message: string) {
    super(exit.failed, message)
    this.status = status
  }
}

/** A running Torb, by its REST API. */
export interface Rest {
  readonly base: string
  /** @returns the answer's JSON; undefined where it is empty @throws CommandError in words for people */
  request(method: string, path: string, body?: unknown): Promise<unknown>
  /** The events from now on, until the signal. */
  events(signal: AbortSignal): AsyncIterable<ServerEvent>
}

export function restOf(flags: Values<typeof apiFlags>, io: Pick<Io, 'env'>): Rest {
  return openRest(flags.api, tokenOf(flags['token-file'], io.env['TORB_TOKEN']))
}

export function openRest(api: string, token: string | null): Rest {
  if (!URL.canParse(api) || !/^https?:$/.test(new URL(api).protocol)) {
    throw usage(`--api cannot be "${api}": it takes a URL such as http://127.0.0.1:4672`)
  }
  const base = api.replace(/\/+$/, '')
  const send = httpsOrHttp(base)
  const open = async (
    method: string,
    path: string,
    body: unknown,
    signal?: AbortSignal,
  ): Promise<IncomingMessage> =>
    await new Promise((resolve, reject) => {
      const payload = body === undefined ? undefined : JSON.stringify(body)
      const headers = {
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(payload === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }),
      }
      const sent = send(
        base + path,
        { method, headers, ...(signal === undefined ? {} : { signal }) },
        resolve,
      )
      sent.on('error', reject)
      sent.end(payload)
    })

  return {
    base,
    async request(method, path, body) {
      const response = await open(method, path, body).catch((error: unknown) => unreachable(base, error))
      const answer = await text(response).catch((error: unknown) => unreachable(base, error))
      const { statusCode = 0 } = response
      if (statusCode < 200 || statusCode > 299) throw refusal(base, method, path, statusCode, answer)
      return answer === '' ? undefined : parseAnswer(base, path, answer)
    },
    async *events(signal) {
      const response = await open('GET', '/events', undefined, signal).catch((error: unknown) =>
        unreachable(base, error),
      )
      const { statusCode = 0 } = response
      if (statusCode !== 200) throw refusal(base, 'GET', '/events', statusCode, await text(response))
      response.setEncoding('utf8')
      yield* eventsOf(response as AsyncIterable<string>)
    },
  }
}

function httpsOrHttp(base: string): typeof httpRequest {
  return base.startsWith('https:') ? httpsRequest : httpRequest
}

function tokenOf(file: string | undefined, environment: string | undefined): string | null {
  if (file === undefined)
    return environment === undefined || environment === '' ? null : usable(environment.trim(), 'TORB_TOKEN')
  let held: string
  try {
    held = readFileSync(file, 'utf8').trim()
  } catch (error) {
    throw new CommandError(
      exit.noInput,
      `cannot read the token (${(error as Error).message}): name its file with --token-file, as a user who may read it`,
      { cause: error },
    )
  }
  return usable(held, file)
}

/** As the daemon has it (api/token.ts): whatever else was put there no header can carry, or is no token. */
function usable(token: string, place: string): string {
  if (/^[\x21-\x7e]+$/.test(token)) return token
  throw new CommandError(
    exit.data,
    `${place} holds no token: it is one line of visible ASCII characters, as in DATA/token of the daemon`,
  )
}

/** Of the codes that Node gives where a certificate is not accepted (its manual, "X509 certificate error codes"). */
const certificateErrors = /CERT|ISSUER|LEAF_SIGNATURE/

const cures: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'start it with "torb serve", or say where it is with --api URL',
  ENOTFOUND: 'no such host is known: correct --api',
  EAI_AGAIN: 'no name server answers for that host: correct --api, or give an address',
  EPROTO: 'what listens there does not speak TLS: give --api with http://',
  ECONNRESET: 'it broke off: where the API has TLS, give --api with https://',
}

function unreachable(base: string, error: unknown): never {
  const { code = '', message } = error as NodeJS.ErrnoException
  // A happy-eyeballs error has a code and no message; that of EPROTO is OpenSSL's, of several lines.
  const cause = message === '' || code === 'EPROTO' ? code : message
  const text = certificateErrors.test(code)
    ? `the certificate of ${base} is not believed (${cause}): name its authority in NODE_EXTRA_CA_CERTS, and the host with --api as the certificate does`
    : `no Torb answers at ${base} (${cause}): ${cures[code] ?? 'see --api and the network'}`
  throw new CommandError(exit.unavailable, text, { cause: error })
}

function refusal(base: string, method: string, path: string, status: number, answer: string): CommandError {
  const reason = errorIn(answer)
  if (status === 401) {
    return new ApiRefusal(
      status,
      `${base} wants a token: give --token-file (DATA/token of the daemon) or TORB_TOKEN${reason === '' ? '' : ` (${reason})`}`,
    )
  }
  const [place = ''] = path.split('?', 1)
  const what = status === 404 ? whatIsMissing(base, place, reason) : null
  return new ApiRefusal(
    status,
    what ?? `${method} ${place}: ${reason === '' ? 'no reason given' : reason} (status ${status})`,
  )
}

/** The API has GORB's words for what is not there, which name neither the thing nor what to do; null for a reason of its own. */
function whatIsMissing(base: string, place: string, reason: string): string | null {
  if (reason === '404 page not found')
    return `${base} has no ${place}: say with --api where a Torb answers, without a path, such as http://127.0.0.1:4672`
  if (reason !== 'unable to locate specified object') return null
  const [, , service = '', backend] = place.replace('/counters/zero/', '/service/').split('/')
  const name = decodeURIComponent(service)
  return backend === undefined
    ? `there is no service "${name}": "torb services" lists those there are`
    : `there is no backend "${decodeURIComponent(backend)}" of a service "${name}": "torb services" lists those there are`
}

function errorIn(answer: string): string {
  try {
    const { error } = JSON.parse(answer) as { error?: unknown }
    if (typeof error === 'string') return error
  } catch {
    // Not Torb's own answer: a line of it must do.
  }
  return answer.split('\n', 1)[0]?.slice(0, 200) ?? ''
}

function parseAnswer(base: string, path: string, answer: string): unknown {
  try {
    return JSON.parse(answer)
  } catch (error) {
    throw failed(`${base}${path} answers something that is not JSON: is that a Torb?`, error)
  }
}
