import type { CheckResult, Undecided } from './check.ts'

export const up: CheckResult = Object.freeze({ up: true, reason: '' })

/** Short clauses for people, by the code of the error (errno.h, OpenSSL, llhttp). */
const clauses: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  ECONNABORTED: 'connection aborted',
  EPIPE: 'connection reset',
  ETIMEDOUT: 'no answer',
  EHOSTUNREACH: 'no route to host',
  EHOSTDOWN: 'host is down',
  ENETUNREACH: 'network unreachable',
  EADDRNOTAVAIL: 'no local address or port to reach it from',
  EACCES: 'forbidden by the local firewall',
  EPERM: 'forbidden by the local firewall',
  EINVAL: 'not an address that can be reached',
  ENOTFOUND: 'name not found',
  EAI_AGAIN: 'name server does not answer',
  HPE_HEADER_OVERFLOW: 'header too large',
  EPROTO: 'no TLS',
}

/** Failures that say nothing of the target. Taking it for Down would turn our own shortage into an outage. */
const shortages: Readonly<Record<string, string>> = {
  EMFILE: 'out of file descriptors',
  ENFILE: 'the system is out of file descriptors',
  ENOBUFS: 'the system is out of socket buffers',
  ENOMEM: 'the system is out of memory',
}

/** What an error of a socket, a name look-up or an HTTP answer means for the check. */
export function failure(error: unknown): CheckResult | Undecided {
  const code = codeOf(error)
  const shortage = shortages[code]
  if (shortage !== undefined) return { up: null, reason: shortage }
  return { up: false, reason: clause(code, error) }
}

export function noAnswer(timeoutMs: number): CheckResult {
  return { up: false, reason: `no answer within ${timeoutMs / 1000} s` }
}

function clause(code: string, error: unknown): string {
  const known = clauses[code]
  if (known !== undefined) return known
  if (code.startsWith('HPE_')) return 'not an HTTP answer'
  if (code.startsWith('ERR_SSL_'))
    return `no TLS: ${code.slice('ERR_SSL_'.length).toLowerCase().replaceAll('_', ' ')}`
  return code === '' && error instanceof Error ? error.message : code
}

/** An AggregateError, as several addresses of one name give, speaks with its first error. */
function codeOf(error: unknown): string {
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error
  if (!(first instanceof Error) || !('code' in first)) return ''
  return String(first.code)
}
