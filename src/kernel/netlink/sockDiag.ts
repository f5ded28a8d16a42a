import { SystemCallError } from '../ffi.ts'
import { bytes, littleEndian } from './codec.ts'
import { netlinkFamily, NetlinkSocket } from './socket.ts'

/** linux/sock_diag.h */
const SOCK_DIAG_BY_FAMILY = 20
const AF_INET = 2
const AF_INET6 = 10
const IPPROTO_TCP = 6
const ENOENT = 2
/** linux/tcp_states.h */
const TCP_ESTABLISHED = 1
/** linux/inet_diag.h: INET_DIAG_NOCOOKIE */
const noCookie = 0xffffffff

export interface Endpoint {
  /** 4 or 16 bytes; an IPv4-mapped address by its four. */
  readonly address: Uint8Array
  readonly port: number
}

/** struct inet_diag_req_v2: the one TCP socket that is bound to `local` and connected to `remote`. */
export function encodeInetDiagRequest(local: Endpoint, remote: Endpoint): Uint8Array {
  const bytes = new Uint8Array(56)
  const view = new DataView(bytes.buffer)
  bytes[0] = local.address.length === 4 ? AF_INET : AF_INET6
  bytes[1] = IPPROTO_TCP
  view.setUint32(4, 0xffffffff, littleEndian) // every state
  // struct inet_diag_sockid: ports and addresses in network order
  view.setUint16(8, local.port)
  view.setUint16(10, remote.port)
  bytes.set(local.address, 12)
  bytes.set(remote.address, 28)
  view.setUint32(48, noCookie, littleEndian)
  view.setUint32(52, noCookie, littleEndian)
  return bytes
}

/**
 * idiag_uid of struct inet_diag_msg: family u8, state u8, timer u8, retrans u8, sockid (48), expires, rqueue, wqueue, uid, inode.
 *
 * Only an established socket counts: where no connected socket fits, the kernel answers with a listener of the same
 * address, and a socket in TIME_WAIT or without a process shows user 0.
 *
 * @returns null where the answer is about another socket
 */
export function uidOfInetDiag(view: DataView, local: Endpoint, remote: Endpoint): number | null {
  if (view.byteLength < 72 || view.getUint8(1) !== TCP_ESTABLISHED) return null
  if (view.getUint16(4) !== local.port || view.getUint16(6) !== remote.port) return null
  return view.getUint32(64, littleEndian)
}

/** Asks the kernel who owns a TCP socket of this network namespace. */
export class SockDiag {
  readonly #socket: NetlinkSocket

  private constructor(socket: NetlinkSocket) {
    this.#socket = socket
  }

  static async open(): Promise<SockDiag> {
    return new SockDiag(await NetlinkSocket.open(netlinkFamily.sockDiag))
  }

  /** @returns the user id, or null where this namespace has no such socket */
  ownerOf(local: Endpoint, remote: Endpoint): number | null {
    try {
      const answer = this.#socket.request({
        name: 'sock_diag',
        type: SOCK_DIAG_BY_FAMILY,
        write: (out) => bytes.write(out, encodeInetDiagRequest(local, remote)),
      })
      return answer?.type === SOCK_DIAG_BY_FAMILY ? uidOfInetDiag(answer.payload, local, remote) : null
    } catch (error) {
      if (error instanceof SystemCallError && error.errno === ENOENT) return null
      throw error
    }
  }

  close(): void {
    this.#socket.close()
  }
}
