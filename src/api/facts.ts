import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'
import type { RequestFacts } from './access.ts'

/**
 * Reads off a request what access rests on.
 *
 * @param token the one that is right
 * @param judgesCertificates true where there is an authority of client certificates
 */
export function factsOf(request: IncomingMessage, token: string, judgesCertificates: boolean): RequestFacts {
  const { socket, headers } = request
  const origin = header(headers.origin)
  return {
    path: request.url?.split('?', 1)[0] ?? '',
    scheme: socket instanceof TLSSocket ? 'https' : 'http',
    peerAddress: socket.remoteAddress ?? '',
    localAddress: socket.localAddress ?? '',
    host: soleHost(request),
    origin,
    secFetchSite: header(headers['sec-fetch-site']),
    forwarded: Object.keys(headers).some((name) => speaksForAnother.test(name)),
    token: tokenIn(headers.authorization, token),
    certificate: judgesCertificates && socket instanceof TLSSocket ? certificateOf(socket) : 'absent',
  }
}

const speaksForAnother = /^(?:forwarded|via|x-real-ip|x-forwarded-.*)$/

/** Node keeps the first of several Host headers; RFC 9112 §3.2 has none of them count. */
function soleHost({ headers, rawHeaders }: IncomingMessage): string | null {
  const hosts = rawHeaders.filter((text, index) => index % 2 === 0 && text.toLowerCase() === 'host')
  return hosts.length === 1 ? (headers.host ?? null) : null
}

function header(value: string | string[] | undefined): string | null {
  return Array.isArray(value) ? value.join(', ') : (value ?? null)
}

function tokenIn(authorization: string | undefined, token: string): RequestFacts['token'] {
  const sent = /^Bearer +(.*)$/i.exec(authorization ?? '')?.[1]
  if (sent === undefined) return 'absent'
  // Hashes have one length, so that the comparison tells nothing of the token's.
  return timingSafeEqual(digest(sent.trim()), digest(token)) ? 'right' : 'wrong'
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

function certificateOf(socket: TLSSocket): RequestFacts['certificate'] {
  // An object without keys where the client sent none.
  if (socket.getPeerX509Certificate() === undefined) return 'absent'
  return socket.authorized ? 'right' : 'wrong'
}
