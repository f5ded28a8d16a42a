import { getSystemErrorMessage } from 'node:util'
import { loadLibc, SystemCallError, type Libc } from '../ffi.ts'
import { inNamespace } from '../netns.ts'
import { s32, struct, u16, u32, Writer } from './codec.ts'
import {
  askAcknowledgement,
  controlType,
  flag,
  readAnswer,
  readMessages,
  writeMessage,
  type Message,
} from './message.ts'

const AF_NETLINK = 16
const SOCK_RAW = 3
const SOCK_CLOEXEC = 0o2000000
const SOL_SOCKET = 1
const SO_RCVBUF = 8
const SO_RCVTIMEO = 20
const SO_RCVBUFFORCE = 33
const SOL_NETLINK = 270
const NETLINK_CAP_ACK = 10
const NETLINK_EXT_ACK = 11
const MSG_TRUNC = 0x20
const MSG_DONTWAIT = 0x40
const EINTR = 4
const EAGAIN = 11
const EMSGSIZE = 90
const ENOBUFS = 105

/** The kernel keeps an acknowledgement in a buffer of 768 bytes (its truesize), or more with a long text. */
const acknowledgementBytes = 1024
const messagesPerSend = 256
const bytesPerSend = 65_536
/** A dump that others disturb is asked for again so often. */
const dumpAttempts = 20

/** linux/netlink.h: NETLINK_*. */
export const netlinkFamily = { route: 0, sockDiag: 4, generic: 16 } as const

const socketAddress = struct({ family: u16, pad: u16, port: u32, groups: u32 })

export interface SocketOptions {
  /** Path of a network namespace, such as /run/netns/NAME; the process's own without. */
  readonly namespace?: string | undefined
  /** Bytes for answers that wait to be read; the kernel has a least and, without privilege, a most. 1 MiB without. */
  readonly receiveBuffer?: number | undefined
}

/** One message to send. */
export interface Request {
  /** What it does, for the text of an error. */
  readonly name: string
  readonly type: number
  /** NLM_F_* beside NLM_F_REQUEST. */
  readonly flags?: number
  readonly write: (out: Writer) => void
}

/** A netlink socket for requests that the kernel answers at once; a call blocks for the microseconds that it takes. */
export class NetlinkSocket {
  readonly #libc: Libc
  readonly #descriptor: number
  readonly #messagesPerSend: number
  // The kernel gives at most 32 KiB of a dump at a time (net/netlink/af_netlink.c: netlink_recvmsg).
  readonly #buffer = new Uint8Array(65_536)
  readonly #out = new Writer(bytesPerSend)
  #sequence = 0

  private constructor(libc: Libc, descriptor: number, receiveBuffer: number) {
    this.#libc = libc
    this.#descriptor = descriptor
    this.#messagesPerSend = Math.max(
      1,
      Math.min(messagesPerSend, Math.floor(receiveBuffer / acknowledgementBytes)),
    )
  }

  /** @throws SystemCallError where the kernel lacks the family, Error where there is no such namespace */
  static async open(
    family: number,
    { namespace, receiveBuffer = 1 << 20 }: SocketOptions = {},
  ): Promise<NetlinkSocket> {
    const libc = await loadLibc()
    const create = () => libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, family)
    const descriptor = namespace === undefined ? create() : await inNamespace(namespace, create)
    try {
      const address = encoded((out) =>
        // Port 0: the kernel chooses.
        socketAddress.write(out, { family: AF_NETLINK, pad: 0, port: 0, groups: 0 }),
      )
      libc.bind(descriptor, address)
      // struct timeval of longs: one second. The kernel answers in its own system call; this is for a kernel that does not.
      libc.setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, timeval(1))
      return new NetlinkSocket(libc, descriptor, prepare(libc, descriptor, receiveBuffer))
    } catch (error) {
      libc.close(descriptor)
      throw error
    }
  }

  /**
   * Sends one request and gives the first message of its answer; null for a bare acknowledgement.
   *
   * @throws SystemCallError with the errno of the kernel's answer
   */
  request(request: Request): Message | null {
    const sequence = this.#send(request, request.flags ?? 0)
    for (;;) {
      for (const message of this.#receive(0)) {
        // An answer to an earlier request, whose wait ended, is passed over.
        if (message.sequence !== sequence) continue
        if (message.type !== controlType.error) return message
        const refused = refusal(request, message)
        if (refused !== null) throw refused
        return null
      }
    }
  }

  /**
   * Asks for a list, and again when it changed while it was read.
   *
   * @param read its message is valid only during the call; what it gives undefined for is left out
   * @throws SystemCallError with the errno of the kernel's answer
   */
  dump<T>(request: Request, read: (message: Message) => T | undefined): T[] {
    for (let attempt = 0; attempt < dumpAttempts; attempt += 1) {
      const items = this.#dumpOnce(request, read)
      if (items !== null) return items
    }
    throw failure(request.name, EINTR, `the list changed while it was read, ${dumpAttempts} times`)
  }

  /**
   * Sends many requests in few system calls, in order, and gives for each null or why it was refused. A refused one does
   * not keep those after it from being done.
   */
  execute(requests: readonly Request[]): (Error | null)[] {
    const outcomes = requests.map((): Error | null => null)
    for (let first = 0; first < requests.length;) {
      const { next, last } = this.#fill(requests, first, outcomes)
      const base = this.#sequence
      this.#sequence = (base + next - first) >>> 0
      if (last !== undefined) {
        try {
          this.#libc.send(this.#descriptor, this.#out.written())
          this.#collect(requests, outcomes, first, last, base + 1)
        } catch (error) {
          for (let index = first; index < next; index += 1) outcomes[index] ??= error as Error
        }
      }
      first = next
    }
    return outcomes
  }

  close(): void {
    this.#libc.close(this.#descriptor)
  }

  /** Writes as many requests from `first` as one system call takes. @returns the index after them, and that of the last one */
  #fill(requests: readonly Request[], first: number, outcomes: (Error | null)[]) {
    const out = this.#out
    out.reset()
    let last: number | undefined
    let lastStart = 0
    let next = first
    for (; next < requests.length && next - first < this.#messagesPerSend; next += 1) {
      const request = requests[next] as Request
      const start = out.length
      try {
        append(out, request, request.flags ?? 0, (this.#sequence + 1 + next - first) >>> 0)
      } catch (error) {
        // Not to be encoded, so not to be sent; the others are.
        out.reset(start)
        outcomes[next] = error as Error
        continue
      }
      if (out.length > bytesPerSend && last !== undefined) {
        out.reset(start)
        break
      }
      last = next
      lastStart = start
    }
    // The kernel does the messages in order and answers only those that fail: the answer to the last one ends the batch.
    if (last !== undefined) askAcknowledgement(out, lastStart)
    return { next, last }
  }

  /** Takes the answers to the requests `first` to `last`, of which the first one had `sequence`. */
  #collect(
    requests: readonly Request[],
    outcomes: (Error | null)[],
    first: number,
    last: number,
    sequence: number,
  ): void {
    let answered = first - 1
    let lost = false
    for (;;) {
      let messages: Message[]
      try {
        messages = this.#receive(lost ? MSG_DONTWAIT : 0)
      } catch (error) {
        if (!(error instanceof SystemCallError)) throw error
        if (error.errno === ENOBUFS) {
          lost = true
          continue
        }
        if (!lost || error.errno !== EAGAIN) throw error
        // Answers get lost from the moment when the buffer is full, so that what came first is complete.
        for (let index = answered + 1; index <= last; index += 1) {
          outcomes[index] ??= failure(
            requests[index]?.name ?? '',
            ENOBUFS,
            "the kernel's answer got lost, so that it is not known whether it was done: read it back",
          )
        }
        return
      }
      for (const message of messages) {
        const index = first + ((message.sequence - sequence) >>> 0)
        const request = requests[index]
        if (message.type !== controlType.error || request === undefined || index > last) continue
        outcomes[index] = refusal(request, message)
        answered = index
        if (index === last) return
      }
    }
  }

  #send(request: Request, flags: number): number {
    const sequence = (this.#sequence = (this.#sequence + 1) >>> 0)
    this.#out.reset()
    append(this.#out, request, flags, sequence)
    this.#libc.send(this.#descriptor, this.#out.written())
    return sequence
  }

  /** The messages of the next datagram. */
  #receive(flags: number): Message[] {
    for (;;) {
      try {
        const length = this.#libc.recv(this.#descriptor, this.#buffer, flags | MSG_TRUNC)
        if (length <= this.#buffer.length) return readMessages(this.#buffer.subarray(0, length))
        throw failure('netlink receive', EMSGSIZE, `${length} bytes in one datagram`)
      } catch (error) {
        if (!(error instanceof SystemCallError && error.errno === EINTR)) throw error
      }
    }
  }

  /** null where the list was not read as one: it changed meanwhile, or a part of it got lost. */
  #dumpOnce<T>(request: Request, read: (message: Message) => T | undefined): T[] | null {
    const sequence = this.#send(request, (request.flags ?? 0) | flag.dump)
    const items: T[] = []
    let whole = true
    for (;;) {
      let messages: Message[] = []
      try {
        messages = this.#receive(0)
      } catch (error) {
        if (!(error instanceof SystemCallError && error.errno === ENOBUFS)) throw error
        whole = false
      }
      for (const message of messages) {
        if (message.sequence !== sequence) continue
        if ((message.flags & flag.dumpInterrupted) !== 0) whole = false
        if (message.type === controlType.error || message.type === controlType.done) {
          const refused = refusal(request, message)
          if (refused?.errno === EINTR) return null
          if (refused !== null) throw refused
          return whole ? items : null
        }
        if (message.type === controlType.noop) continue
        const item = read(message)
        if (item !== undefined) items.push(item)
      }
    }
  }
}

/** Enlarges the receive buffer and asks for extended acknowledgements. @returns the bytes that the buffer holds */
function prepare(libc: Libc, descriptor: number, receiveBuffer: number): number {
  const set = (level: number, name: number, value: number): boolean => {
    try {
      libc.setsockopt(
        descriptor,
        level,
        name,
        encoded((out) => s32.write(out, value)),
      )
      return true
    } catch {
      return false
    }
  }
  // Forcing needs CAP_NET_ADMIN; without it the limit is net.core.rmem_max.
  if (!set(SOL_SOCKET, SO_RCVBUFFORCE, receiveBuffer)) set(SOL_SOCKET, SO_RCVBUF, receiveBuffer)
  // Linux before 4.12 has none; its errors have a number only.
  set(SOL_NETLINK, NETLINK_EXT_ACK, 1)
  set(SOL_NETLINK, NETLINK_CAP_ACK, 1)
  const value = new Int32Array(1)
  libc.getsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, new Uint8Array(value.buffer))
  return value[0] ?? 0
}

function timeval(seconds: number): Uint8Array {
  return new Uint8Array(new BigInt64Array([BigInt(seconds), 0n]).buffer)
}

function encoded(write: (out: Writer) => void): Uint8Array {
  const out = new Writer(64)
  write(out)
  return out.written()
}

function append(out: Writer, request: Request, flags: number, sequence: number): void {
  writeMessage(out, { type: request.type, flags: flags | flag.request, sequence }, request.write)
}

const failure = (name: string, errno: number, detail: string): SystemCallError => {
  const text = getSystemErrorMessage(-errno)
  return new SystemCallError(name, errno, detail === '' ? text : `${text}: ${detail}`)
}

function refusal(request: Request, message: Message): SystemCallError | null {
  const { errno, text } = readAnswer(message)
  return errno === 0 ? null : failure(request.name, errno, text)
}
