import { getSystemErrorName } from 'node:util'

/** The libc calls in use. A failed call throws a SystemCallError with the errno it left. */
export interface Libc {
  socket(family: number, type: number, protocol: number): number
  bind(descriptor: number, address: Uint8Array): void
  setsockopt(descriptor: number, level: number, name: number, value: Uint8Array): void
  getsockopt(descriptor: number, level: number, name: number, value: Uint8Array): void
  send(descriptor: number, message: Uint8Array): number
  /** @returns the length, which with MSG_TRUNC may be more than the buffer holds */
  recv(descriptor: number, buffer: Uint8Array, flags: number): number
  close(descriptor: number): void
  setns(descriptor: number, kind: number): void
}

/** A system call that failed: its name and errno as the kernel gave it. */
export class SystemCallError extends Error {
  readonly call: string
  readonly errno: number

  constructor(call: string, errno: number, text: string) {
    super(`${call}: ${text}`)
    this.name = 'SystemCallError'
    this.call = call
    this.errno = errno
  }

  /** Such as EADDRINUSE, as errors of Node have it. */
  get code(): string {
    return getSystemErrorName(-this.errno)
  }
}

let loaded: Promise<Libc> | undefined

/** Loads koffi and libc at the first call: who needs no system call of his own pays nothing. */
export function loadLibc(): Promise<Libc> {
  loaded ??= load()
  return loaded
}

async function load(): Promise<Libc> {
  const { default: koffi } = await import('koffi')
  // Node itself is linked to the libc of the machine, glibc or musl.
  const program = koffi.load(null)
  const strerror = program.func('const char *strerror(int number)') as (number: number) => string
  // koffi has no ssize_t: a long is as wide on every Linux.
  const raw = {
    socket: program.func('int socket(int family, int type, int protocol)'),
    bind: program.func('int bind(int fd, const void *address, uint32_t length)'),
    setsockopt: program.func(
      'int setsockopt(int fd, int level, int name, const void *value, uint32_t length)',
    ),
    getsockopt: program.func('int getsockopt(int fd, int level, int name, _Out_ void *value, void *length)'),
    send: program.func('long send(int fd, const void *message, unsigned long length, int flags)'),
    recv: program.func('long recv(int fd, _Out_ void *buffer, unsigned long length, int flags)'),
    close: program.func('int close(int fd)'),
    setns: program.func('int setns(int fd, int kind)'),
  }
  const call = (name: keyof typeof raw, ...args: unknown[]): number => {
    const result = Number((raw[name] as (...args: unknown[]) => unknown)(...args))
    if (result >= 0) return result
    const errno = koffi.errno()
    throw new SystemCallError(name, errno, strerror(errno))
  }
  return {
    socket: (family, type, protocol) => call('socket', family, type, protocol),
    bind: (descriptor, address) => void call('bind', descriptor, address, address.length),
    setsockopt: (descriptor, level, name, value) =>
      void call('setsockopt', descriptor, level, name, value, value.length),
    getsockopt: (descriptor, level, name, value) =>
      void call('getsockopt', descriptor, level, name, value, new Uint32Array([value.length])),
    send: (descriptor, message) => call('send', descriptor, message, message.length, 0),
    recv: (descriptor, buffer, flags) => call('recv', descriptor, buffer, buffer.length, flags),
    close: (descriptor) => void call('close', descriptor),
    setns: (descriptor, kind) => void call('setns', descriptor, kind),
  }
}
