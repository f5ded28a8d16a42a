import { getSystemErrorMessage, getSystemErrorName } from 'node:util'
import { SystemCallError } from '../ffi.ts'
import { addressOf, addressText } from '../netlink/addressText.ts'
import { loadCalls, type Calls } from './calls.ts'

const AF_INET = 2
const AF_INET6 = 10
const SOCK_STREAM = 1
const SOCK_CLOEXEC = 0o2000000
/** asm-generic/socket.h */
const SOL_SOCKET = 1
const SO_REUSEADDR = 2
const SO_LINGER = 13
const IPPROTO_TCP = 6
const TCP_NODELAY = 1
const IPPROTO_IPV6 = 41
const IPV6_V6ONLY = 26
const SHUT_RD = 0
const SHUT_WR = 1
/** fcntl.h */
const F_SETFL = 4
const O_NONBLOCK = 0o4000
/** The kernel cuts it to net.core.somaxconn. */
const backlog = 4096

/** struct sockaddr_in6, the longer one. */
export const socketAddressBytes = 28

const on = int(1)
/** ::ffff:0:0/96 (RFC 4291 §2.5.5.2). */
const mappedPrefix = [...Array<number>(10).fill(0), 0xff, 0xff]
/** struct linger: on, no time; the rest is dropped and the peer gets a RST. */
const dropRest = new Uint8Array(new Int32Array([1, 0]).buffer)

/** A listening socket. Threads may share it: its descriptor is a number of the process. */
export interface ListeningSocket {
  readonly descriptor: number
  readonly port: number
  /** Refuses clients from now on. The descriptor stays, as threads may still name it to their rings. */
  end(): void
  close(): void
}

/**
 * A socket that listens.
 *
 * @param bothFamilies an IPv6 one takes IPv4 clients too
 * @throws SystemCallError such as EADDRINUSE, EADDRNOTAVAIL, EACCES
 */
export async function listenOn(
  address: string,
  port: number,
  bothFamilies = false,
): Promise<ListeningSocket> {
  const calls = await loadCalls()
  const socketAddress = socketAddressOf(address, port)
  const checked = (call: string, result: number): number => {
    if (result >= 0) return result
    const text = `${getSystemErrorName(result)}: ${getSystemErrorMessage(result)} ${address}:${port}`
    throw new SystemCallError(call, -result, text)
  }
  const isV6 = socketAddress[0] === AF_INET6
  const descriptor = checked('socket', calls.socket(isV6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))
  try {
    const set = (level: number, name: number, value = on) =>
      checked('setsockopt', calls.setsockopt(descriptor, level, name, value))
    set(SOL_SOCKET, SO_REUSEADDR)
    // What is accepted inherits it.
    set(IPPROTO_TCP, TCP_NODELAY)
    if (isV6) set(IPPROTO_IPV6, IPV6_V6ONLY, int(bothFamilies ? 0 : 1))
    checked('bind', calls.bind(descriptor, socketAddress))
    checked('listen', calls.listen(descriptor, backlog))
    checked('getsockname', calls.getsockname(descriptor))
    return {
      descriptor,
      port: endpointOf(calls.named).port,
      end: () => void calls.shutdown(descriptor, SHUT_RD),
      close: () => void calls.close(descriptor),
    }
  } catch (error) {
    calls.close(descriptor)
    throw error
  }
}

/** A socket for `connect`. @returns its descriptor or a negated errno */
export function openSocket(calls: Calls, socketAddress: Uint8Array): number {
  const family = socketAddress.length === socketAddressBytes ? AF_INET6 : AF_INET
  const descriptor = calls.socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)
  if (descriptor >= 0) calls.setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, on)
  return descriptor
}

/** Its close will be a RST. */
export function dropOnClose(calls: Calls, descriptor: number): void {
  calls.setsockopt(descriptor, SOL_SOCKET, SO_LINGER, dropRest)
}

/** Sends a FIN after what was sent. */
export function endSending(calls: Calls, descriptor: number): void {
  calls.shutdown(descriptor, SHUT_WR)
}

/** Whether splice(2) waits for the socket. */
export function setBlocking(calls: Calls, descriptor: number, isBlocking: boolean): void {
  calls.fcntl(descriptor, F_SETFL, isBlocking ? 0 : O_NONBLOCK)
}

/** The other end, an IPv4 one as such on any socket; '' and 0 where it is gone. */
export function peerOf(calls: Calls, descriptor: number): { address: string; port: number } {
  return calls.getpeername(descriptor) < 0 ? { address: '', port: 0 } : endpointOf(calls.named)
}

/** This end. */
export function localOf(calls: Calls, descriptor: number): { address: string; port: number } {
  return calls.getsockname(descriptor) < 0 ? { address: '', port: 0 } : endpointOf(calls.named)
}

/** struct sockaddr_in or sockaddr_in6 (16 or 28 bytes) of an endpoint. @throws Error where the address is none */
export function socketAddressOf(address: string, port: number): Uint8Array {
  const bytes = addressOf(address)
  const isV4 = bytes.length === 4
  const socketAddress = new Uint8Array(isV4 ? 16 : socketAddressBytes)
  socketAddress[0] = isV4 ? AF_INET : AF_INET6
  socketAddress[2] = port >> 8
  socketAddress[3] = port & 0xff
  socketAddress.set(bytes, isV4 ? 4 : 8)
  return socketAddress
}

/** Address and port of a struct sockaddr_in or sockaddr_in6. */
export function endpointOf(bytes: Uint8Array): { address: string; port: number } {
  const port = ((bytes[2] ?? 0) << 8) | (bytes[3] ?? 0)
  if (bytes[0] === AF_INET) return { address: v4Text(bytes, 4), port }
  const isMapped = mappedPrefix.every((byte, index) => bytes[8 + index] === byte)
  return { address: isMapped ? v4Text(bytes, 20) : addressText(bytes.subarray(8, 24)), port }
}

const v4Text = (bytes: Uint8Array, at: number): string =>
  `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`

function int(value: number): Uint8Array {
  return new Uint8Array(new Int32Array([value]).buffer)
}
