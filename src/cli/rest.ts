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
  if (file === undefined) return environment === undefined || environment === '' ? null : environment
  try {
    return readFileSync(file, 'utf8').trim()
  } catch (error) {
    throw new CommandError(exit.noInput, `cannot read the token in ${file}: ${(error as Error).message}`, {
      cause: error,
    })
  }
}

/** Of the codes that Node gives where a certificate is not accepted (its manual, "X509 certificate error codes"). */
const certificateErrors = /CERT|ISSUER|LEAF_SIGNATURE/

const cures: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'start it with "torb serve", or say where it is with --api URL',
  ENOTFOUND: 'no such host is known: correct --api',
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
    return failed(
      `${base} wants a token: give --token-file (DATA/token of the daemon) or TORB_TOKEN${reason === '' ? '' : ` (${reason})`}`,
    )
  }
  const [place = ''] = path.split('?', 1)
  return failed(`${method} ${place}: ${reason === '' ? 'no reason given' : reason} (status ${status})`)
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
