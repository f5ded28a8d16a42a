/**
 * The system calls of the ring and its sockets. Results are as the kernel gives them: below 0 a negated errno. Descriptors
 * are numbers of the process: all threads share them.
 */
export interface Calls {
  /** io_uring_setup(2). @param parameters struct io_uring_params, read and written */
  setup(entries: number, parameters: Uint32Array): number
  /** io_uring_enter(2). @param argument address of a struct io_uring_getevents_arg */
  enter(ring: number, submit: number, minimum: number, flags: number, argument: number): number
  /** io_uring_register(2) */
  register(ring: number, opcode: number, argument: Int32Array, count: number): number
  /** mmap(2), readable and writable. @throws SystemCallError */
  map(bytes: number, flags: number, descriptor: number, offset: number): Memory
  /** Gives the pages of a mapping back to the system; they read as zeros afterwards. */
  discard(memory: Memory): void
  socket(family: number, type: number, protocol: number): number
  bind(descriptor: number, address: Uint8Array): number
  listen(descriptor: number, backlog: number): number
  setsockopt(descriptor: number, level: number, name: number, value: Uint8Array): number
  /** These write into `named`. */
  getsockname(descriptor: number): number
  getpeername(descriptor: number): number
  /** A socket address that was asked for: struct sockaddr_in or sockaddr_in6. */
  readonly named: Uint8Array
  shutdown(descriptor: number, how: number): number
  close(descriptor: number): number
  eventfd(count: number, flags: number): number
  /** @param ends is given the reading and the writing end */
  pipe(ends: Int32Array, flags: number): number
  fcntl(descriptor: number, command: number, value: number): number
  splice(from: number, to: number, bytes: number, flags: number): number
}

/** Memory of the process at an address that the kernel is told. It is unmapped when nobody looks at it any more. */
export interface Memory {
  readonly address: number
  readonly buffer: ArrayBuffer
}

/** asm-generic/mman-common.h, mman.h */
export const mapFlag = { shared: 0x01, private: 0x02, anonymous: 0x20, noReserve: 0x4000, populate: 0x8000 }

const PROT_READ_WRITE = 0x3
const MADV_DONTNEED = 4
/** asm-generic/unistd.h: the same on every architecture. */
const number = { ioUringSetup: 425, ioUringEnter: 426, ioUringRegister: 427 } as const
/** sizeof(struct sockaddr_in6) */
const namedBytes = 28
/** sizeof(struct io_uring_getevents_arg) */
const argumentBytes = 24

let loaded: Promise<Calls> | undefined

/** Loads koffi and libc at the first call. */
export function loadCalls(): Promise<Calls> {
  loaded ??= load()
  return loaded
}

async function load(): Promise<Calls> {
  const { default: koffi } = await import('koffi')
  const { SystemCallError } = await import('../ffi.ts')
  const program = koffi.load(null)
  type Numbers = (...args: (number | Uint8Array | Uint32Array | Int32Array | null)[]) => number
  const define = (prototype: string): Numbers => program.func(prototype) as Numbers

  const setup = define('int syscall(long number, uint32_t entries, _Inout_ uint32_t *parameters)')
  const enter = define(
    'int syscall(long number, uint32_t ring, uint32_t submit, uint32_t minimum, uint32_t flags, uintptr_t argument, size_t bytes)',
  )
  const register = define(
    'int syscall(long number, uint32_t ring, uint32_t opcode, void *argument, uint32_t count)',
  )
  const mmap = define(
    'intptr_t mmap(uintptr_t address, size_t bytes, int protection, int flags, int fd, int64_t offset)',
  )
  const munmap = define('int munmap(uintptr_t address, size_t bytes)')
  const madvise = define('int madvise(uintptr_t address, size_t bytes, int advice)')
  const socket = define('int socket(int family, int type, int protocol)')
  const bind = define('int bind(int fd, const void *address, uint32_t length)')
  const listen = define('int listen(int fd, int backlog)')
  const setsockopt = define('int setsockopt(int fd, int level, int name, const void *value, uint32_t length)')
  const getsockname = define('int getsockname(int fd, uintptr_t address, uintptr_t length)')
  const getpeername = define('int getpeername(int fd, uintptr_t address, uintptr_t length)')
  const shutdown = define('int shutdown(int fd, int how)')
  const close = define('int close(int fd)')
  const eventfd = define('int eventfd(unsigned int count, int flags)')
  const pipe2 = define('int pipe2(_Out_ int *ends, int flags)')
  const fcntl = define('int fcntl(int fd, int command, long value)')
  const splice = define(
    'long splice(int from, void *fromOffset, int to, void *toOffset, size_t bytes, unsigned int flags)',
  )

  const outcome = (value: number): number => (value < 0 ? -koffi.errno() : value)
  const unmapped = new FinalizationRegistry<{ address: number; bytes: number }>(({ address, bytes }) => {
    munmap(address, bytes)
  })
  const map: Calls['map'] = (bytes, flags, descriptor, offset) => {
    const address = mmap(0, bytes, PROT_READ_WRITE, flags, descriptor, offset)
    if (address === -1) {
      const errno = koffi.errno()
      throw new SystemCallError('mmap', errno, `${bytes} bytes are not to be had (errno ${errno})`)
    }
    const buffer = koffi.view(address, bytes)
    unmapped.register(buffer, { address, bytes })
    return { address, buffer }
  }
  // At addresses of their own, which cost less to hand over than arrays.
  const names = map(4096, mapFlag.private | mapFlag.anonymous, -1, 0)
  const named = new Uint8Array(names.buffer, 0, namedBytes)
  const length = new Uint32Array(names.buffer, namedBytes, 1)
  const nameOf = (call: Numbers, descriptor: number): number => {
    length[0] = namedBytes
    return outcome(call(descriptor, names.address, names.address + namedBytes))
  }
  return {
    setup: (entries, parameters) => outcome(setup(number.ioUringSetup, entries, parameters)),
    enter: (ring, submit, minimum, flags, argument) =>
      outcome(enter(number.ioUringEnter, ring, submit, minimum, flags, argument, argumentBytes)),
    register: (ring, opcode, argument, count) =>
      outcome(register(number.ioUringRegister, ring, opcode, argument, count)),
    map,
    discard: ({ address, buffer }) => void madvise(address, buffer.byteLength, MADV_DONTNEED),
    socket: (family, type, protocol) => outcome(socket(family, type, protocol)),
    bind: (descriptor, address) => outcome(bind(descriptor, address, address.length)),
    listen: (descriptor, backlog) => outcome(listen(descriptor, backlog)),
    setsockopt: (descriptor, level, name, value) =>
      outcome(setsockopt(descriptor, level, name, value, value.length)),
    getsockname: (descriptor) => nameOf(getsockname, descriptor),
    getpeername: (descriptor) => nameOf(getpeername, descriptor),
    named,
    shutdown: (descriptor, how) => outcome(shutdown(descriptor, how)),
    close: (descriptor) => outcome(close(descriptor)),
    eventfd: (count, flags) => outcome(eventfd(count, flags)),
    pipe: (ends, flags) => outcome(pipe2(ends, flags)),
    fcntl: (descriptor, command, value) => outcome(fcntl(descriptor, command, value)),
    splice: (from, to, bytes, flags) => outcome(splice(from, null, to, null, bytes, flags)),
  }
}
