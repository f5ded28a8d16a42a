import { once } from 'node:events'
import { connect as connectPlain, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { invalid } from '../../../model/refusal.ts'
import type { OvsdbTls } from './ovsdb.ts'

export type OvsdbAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp' | 'ssl'; readonly host: string; readonly port: number }

/** An address, or a connection to it, is of no use; `message` is a clause with cause and cure about the server there, `it`. */
export class Unusable extends Error {
  override readonly name = 'Unusable'
}

/** Linux's sockaddr_un has 108 bytes, one of them the zero at the end. */
const maxPathBytes = 107

/** unix:PATH, tcp:HOST:PORT or ssl:HOST:PORT, IPv6 in brackets, as ovsdb(7) has them. @throws Refusal `invalid` */
export function parseAddress(text: string): OvsdbAddress {
  const unix = /^unix:(.+)$/.exec(text)?.[1]
  if (unix !== undefined) {
    if (Buffer.byteLength(unix) > maxPathBytes)
      throw invalid(
        `The path in ${text} is longer than the ${maxPathBytes} bytes that a socket's path may have`,
      )
    return { kind: 'unix', path: unix }
  }
  const [, kind, host, port] = /^(tcp|ssl):(\[[\da-f:.]+\]|[^[\]:]+):(\d+)$/i.exec(text) ?? []
  if (kind === undefined || host === undefined || !(Number(port) >= 1 && Number(port) <= 65_535))
    throw invalid(
      `"${text}" is no address of an OVSDB server: write unix:PATH, tcp:HOST:PORT or ssl:HOST:PORT, IPv6 addresses in brackets`,
    )
  return { kind: kind === 'ssl' ? 'ssl' : 'tcp', host: host.replaceAll(/[[\]]/g, ''), port: Number(port) }
}

/** @throws Unusable; the signal's reason */
export async function connectAddress(
  text: string,
  tls: OvsdbTls | undefined,
  limitMs: number,
  signal: AbortSignal,
): Promise<Socket> {
  const address = parseAddress(text)
  if (address.kind === 'ssl' && tls === undefined)
    throw new Unusable(
      "TLS needs a certificate, its key and the authority's certificate: give ovn_cert, ovn_key and ovn_ca",
    )
  const limit = AbortSignal.timeout(limitMs)
  let socket: Socket | undefined
  try {
    // What is wrong with the certificates is thrown by the call itself.
    socket = open(address, tls)
    await once(socket, address.kind === 'ssl' ? 'secureConnect' : 'connect', {
      signal: AbortSignal.any([signal, limit]),
    })
    socket.setNoDelay(true)
    return socket
  } catch (error) {
    // Its errors have been told.
    socket?.on('error', () => {}).destroy()
    signal.throwIfAborted()
    throw new Unusable(limit.aborted ? 'it does not answer' : explain(error as Error), { cause: error })
  }
}

function open(address: OvsdbAddress, tls: OvsdbTls | undefined): Socket {
  if (address.kind === 'unix') return connectPlain(address.path)
  const { host, port } = address
  if (address.kind === 'tcp') return connectPlain({ host, port })
  // As in Open vSwitch, the authority alone decides: the names in ovs-pki's certificates are not those of hosts.
  return connectTls({ ...tls, host, port, checkServerIdentity: () => undefined })
}

const causes: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such socket: start ovsdb-server, or correct the path',
  EACCES: 'permission to use the socket is denied: run Torb as a user who may write to it',
  ECONNREFUSED: 'nobody listens there: start ovsdb-server, or correct the address',
  ENOTFOUND: 'the host name is unknown: correct it',
  ECONNRESET: 'it closed the connection: see whether it wants tcp: or ssl:',
  EHOSTUNREACH: 'there is no route to the host',
  ENETUNREACH: 'there is no route to the host',
  SELF_SIGNED_CERT_IN_CHAIN: 'the authority that was given did not sign its certificate',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'the authority that was given did not sign its certificate',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'the authority that was given did not sign its certificate',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'the authority that was given did not sign its certificate',
  CERT_SIGNATURE_FAILURE: 'the authority that was given did not sign its certificate',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  ERR_OSSL_PEM_NO_START_LINE:
    "the certificate, its key or the authority's certificate that was given is no PEM text",
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS: write tcp: instead of ssl:',
}

/** A clause about a server with which a socket failed. */
export function explain(error: Error): string {
  // A host of several addresses fails with the errors of all of them.
  const [one] = error instanceof AggregateError ? (error.errors as readonly Error[]) : [error]
  const { code = '', message } = (one ?? error) as Error & { readonly code?: string }
  if (/^ERR_SSL_.*ALERT/.test(code)) return 'it refuses the certificate: give one that its authority signed'
  return causes[code] ?? `the connection failed: ${message}`
}
