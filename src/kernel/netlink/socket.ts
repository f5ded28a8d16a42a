import { getSystemErrorMessage } from 'node:util'
import { loadLibc, SystemCallError, type Libc } from '../ffi.ts'
import {
  controlType,
  decodeMessages,
  encodeMessage,
  errorNumber,
  flag,
  littleEndian,
  type Message,
} from './message.ts'

const AF_NETLINK = 16
const SOCK_RAW = 3
const SOCK_CLOEXEC = 0o2000000
const SOL_SOCKET = 1
const SO_RCVTIMEO = 20

/** linux/netlink.h: NETLINK_*. */
export const netlinkFamily = { sockDiag: 4 } as const

/** A netlink socket for requests that the kernel answers at once; a call blocks for the microseconds that it takes. */
export class NetlinkSocket {
  readonly #libc: Libc
  readonly #descriptor: number
  readonly #buffer = new Uint8Array(65_536)
  #sequence = 0

  private constructor(libc: Libc, descriptor: number) {
    this.#libc = libc
    this.#descriptor = descriptor
  }

  /** @throws SystemCallError where the kernel lacks the family */
  static async open(family: number): Promise<NetlinkSocket> {
    const libc = await loadLibc()
    const descriptor = libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, family)
    try {
      // struct sockaddr_nl: family u16, pad u16, pid u32 (0: the kernel chooses), groups u32.
      const address = new Uint8Array(12)
      new DataView(address.buffer).setUint16(0, AF_NETLINK, littleEndian)
      libc.bind(descriptor, address)
      // struct timeval of longs: one second. The kernel answers in its own system call; this is for a kernel that does not.
      const second = new Uint8Array(16)
      new DataView(second.buffer).setBigInt64(0, 1n, littleEndian)
      libc.setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, second)
    } catch (error) {
      libc.close(descriptor)
      throw error
    }
    return new NetlinkSocket(libc, descriptor)
  }

  /**
   * Sends one request and gives the first message of its answer; null for a bare acknowledgement.
   *
   * @throws SystemCallError with the errno of the kernel's answer
   */
  request(type: number, payload: Uint8Array): Message | null {
    const sequence = (this.#sequence = (this.#sequence + 1) >>> 0)
    this.#libc.send(this.#descriptor, encodeMessage({ type, flags: flag.request, sequence, payload }))
    for (;;) {
      const length = this.#libc.recv(this.#descriptor, this.#buffer, 0)
      // An answer to an earlier request, whose wait ended, is passed over.
      const message = decodeMessages(this.#buffer.subarray(0, length)).find(
        (item) => item.sequence === sequence,
      )
      if (message === undefined) continue
      if (message.type !== controlType.error) return { ...message, payload: message.payload.slice() }
      const errno = errorNumber(message.payload)
      if (errno === 0) return null
      throw new SystemCallError('netlink request', errno, getSystemErrorMessage(-errno))
    }
  }

  close(): void {
    this.#libc.close(this.#descriptor)
  }
}
