import { request, type ClientRequest, type IncomingMessage } from 'node:http'
import { connect, isIP, Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { CheckResult, CheckSpec, Probe, Undecided } from './check.ts'
import { lookup } from './lookup.ts'
import { failure, up } from './reasons.ts'

type HttpSpec = Extract<CheckSpec, { kind: 'http' }>

/** Bytes of the answer's header that are read; more is a failure. */
const maxHeaderSize = 16_384
/** Interim answers (RFC 9110 §15.2) that are passed over; more is a failure. */
const maxInterim = 16

/**
 * Up where the status is the expected one. Redirects are not followed, certificates not verified (as in GORB). The answer
 * ends with its header: the body is not read, the connection is closed.
 */
export const http: Probe<HttpSpec> = (spec, done) => {
  let call: ClientRequest | undefined
  let over = false
  const end = (result: CheckResult | Undecided): void => {
    if (over) return
    over = true
    if (call !== undefined) hangUp(call)
    done(result)
  }
  const answered = (response: IncomingMessage): void => {
    response.on('error', () => {})
    end(verdict(response.statusCode, spec.expect))
  }
  let interim = 0
  try {
    call = request({
      createConnection: () => open(spec),
      method: spec.method,
      path: spec.path,
      headers: { host: hostHeader(spec), 'user-agent': 'torb', connection: 'close' },
      maxHeaderSize,
    })
    call.on('error', (error) => end(failure(error)))
    call.on('response', answered)
    call.on('upgrade', answered)
    call.on('connect', answered)
    call.on('information', () => {
      if (++interim > maxInterim) end({ up: false, reason: 'too many interim answers' })
    })
    call.on('close', () => end({ up: false, reason: 'connection closed without an answer' }))
    call.end()
  } catch (error) {
    call?.destroy()
    setImmediate(() => end(failure(error)))
  }
  return {
    cancel: () => {
      over = true
      call?.destroy()
    },
  }
}

/** The authority of the request (RFC 9110 §7.2): brackets around IPv6, no port where it is the scheme's own. */
export function hostHeader({ scheme, address, host, port }: HttpSpec): string {
  const name = host === '' ? address : host
  // RFC 6874 §1: a zone means nothing to the other side.
  const bracketed = isIP(name) === 6 ? `[${name.split('%', 1)[0]}]` : name
  return port === (scheme === 'https' ? 443 : 80) ? bracketed : `${bracketed}:${port}`
}

function open({ scheme, address, host, port }: HttpSpec): Socket {
  const target = { host: bare(address), port, lookup }
  if (scheme === 'http') return connect(target)
  const name = bare(host === '' ? address : host)
  // RFC 6066 §3: no literal addresses in server_name.
  return connectTls({ ...target, servername: isIP(name) === 0 ? name : '', rejectUnauthorized: false })
}

/** An address as people write it in URLs: `[::1]`. */
const bare = (name: string): string => (/^\[.*\]$/.test(name) ? name.slice(1, -1) : name)

function verdict(status: number | undefined, expect: number): CheckResult {
  return status === expect ? up : { up: false, reason: `status ${status}, expected ${expect}` }
}

/** Resets the connection where that can be done, for the reason given in tcp.ts. */
function hangUp(call: ClientRequest): void {
  const { socket } = call
  if (socket instanceof Socket && !('encrypted' in socket) && !socket.connecting && !socket.destroyed)
    socket.resetAndDestroy()
  call.destroy()
}
