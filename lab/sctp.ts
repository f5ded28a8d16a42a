import { promisify } from 'node:util'
import koffi from 'koffi'
import type { Endpoint } from './client.ts'

// asm-generic/socket.h, linux/in.h
const inet = 2
const stream = 1
const sctp = 132
const solSocket = 1
const receiveTimeout = 20
const sendTimeout = 21

const libc = koffi.load(null)
const socket = libc.func('int socket(int family, int type, int protocol)') as (...args: number[]) => number
const setsockopt = libc.func(
  'int setsockopt(int fd, int level, int name, const void *value, uint32_t size)',
) as (fd: number, level: number, name: number, value: Uint8Array, size: number) => number
const bind = libc.func('int bind(int fd, const void *address, uint32_t size)') as (
  fd: number,
  address: Uint8Array,
  size: number,
) => number
const listen = libc.func('int listen(int fd, int backlog)') as (fd: number, backlog: number) => number
const close = libc.func('int close(int fd)') as (fd: number) => number
const send = libc.func('long send(int fd, const void *data, unsigned long size, int flags)') as (
  fd: number,
  data: Uint8Array,
  size: number,
  flags: number,
) => number

/** Those that wait do so on a thread of the pool. */
const waiting = (declaration: string) =>
  promisify(libc.func(declaration).async) as (...args: unknown[]) => Promise<number>
const accept = waiting('int accept(int fd, void *address, void *size)')
const connect = waiting('int connect(int fd, const void *address, uint32_t size)')
const recv = waiting('long recv(int fd, _Out_ void *data, unsigned long size, int flags)')

/** struct sockaddr_in. */
function addressBytes({ address, port }: Endpoint): Buffer {
  const bytes = Buffer.alloc(16)
  bytes.writeUInt16LE(inet, 0)
  bytes.writeUInt16BE(port, 2)
  bytes.set(address.split('.').map(Number), 4)
  return bytes
}

function bound(at: Endpoint): number {
  const fd = checked('socket', socket(inet, stream, sctp))
  const address = addressBytes(at)
  checked('bind', bind(fd, address, address.length))
  return fd
}

function checked(call: string, result: number): number {
  if (result < 0) throw new Error(`SCTP: ${call} failed (errno ${koffi.errno()})`)
  return result
}

/** An SCTP server (Node has none) that tells everybody its name, for as long as the process lives. IPv4. */
export function serveSctp(name: string, at: Endpoint): void {
  const listener = bound(at)
  checked('listen', listen(listener, 64))
  const greet = async (): Promise<never> => {
    for (;;) {
      const fd = checked('accept', await accept(listener, null, null))
      send(fd, Buffer.from(name), name.length, 0)
      close(fd)
    }
  }
  void greet()
}

/** Opens an association, reads the name of who answers, and closes. @throws Error where nothing comes within 5 s */
export async function askSctp(from: string, to: Endpoint): Promise<string> {
  const fd = bound({ address: from, port: 0 })
  try {
    // struct timeval
    const patience = Buffer.alloc(16)
    patience.writeBigInt64LE(5n)
    for (const option of [receiveTimeout, sendTimeout])
      checked('setsockopt', setsockopt(fd, solSocket, option, patience, patience.length))
    const address = addressBytes(to)
    checked('connect', await connect(fd, address, address.length))
    const data = Buffer.alloc(256)
    const length = checked('recv', await recv(fd, data, data.length, 0))
    return data.toString('latin1', 0, length)
  } finally {
    close(fd)
  }
}
