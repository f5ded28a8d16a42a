import { execFileSync } from 'node:child_process'
import { endianness } from 'node:os'
import koffi from 'koffi'

/** linux/if_packet.h, linux/if_ether.h, linux/socket.h */
const AF_PACKET = 17
const SOCK_RAW = 3
const ETH_P_ALL = 0x0003
const MSG_DONTWAIT = 0x40
const SOL_SOCKET = 1
const SO_RCVBUFFORCE = 33
/** linux/netlink.h, linux/genetlink.h */
const NETLINK_GENERIC = 16
const GENL_ID_CTRL = 16
const NLM_F_REQUEST = 1

const little = endianness() === 'LE'
const network = (number: number): number => (little ? ((number & 0xff) << 8) | (number >> 8) : number)

const libc = koffi.load(null)
const socket = libc.func('int socket(int family, int type, int protocol)') as (
  family: number,
  type: number,
  protocol: number,
) => number
const setsockopt = libc.func(
  'int setsockopt(int fd, int level, int name, const void *value, uint32_t length)',
) as (fd: number, level: number, name: number, value: Uint8Array, length: number) => number
const receive = libc.func(
  'long recvfrom(int fd, _Out_ void *buffer, unsigned long length, int flags, _Out_ void *address, _Inout_ uint32_t *size)',
) as (
  fd: number,
  buffer: Uint8Array,
  length: number,
  flags: number,
  address: Uint8Array,
  size: number[],
) => number

let descriptor = -1
let draining: NodeJS.Timeout | null = null
let counts = new Map<string, number>()
/** When the first and the last request since the last `take` were seen, in milliseconds. */
let span: [first: number, last: number] = [0, 0]
const buffer = new Uint8Array(1 << 20)

/** Counts the requests of a datagram by generic netlink family and command; what the kernel says is no request. */
function count(datagram: Uint8Array): void {
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength)
  for (let at = 0; at + 20 <= datagram.length;) {
    const length = view.getUint32(at, little)
    if (length < 16 || at + length > datagram.length) return
    const family = view.getUint16(at + 4, little)
    const flags = view.getUint16(at + 6, little)
    if ((flags & NLM_F_REQUEST) !== 0 && family > GENL_ID_CTRL) {
      const key = String(view.getUint8(at + 16))
      counts.set(key, (counts.get(key) ?? 0) + 1)
      const now = performance.now()
      span = [span[0] === 0 ? now : span[0], now]
    }
    at += (length + 3) & ~3
  }
}

function drain(): void {
  const address = new Uint8Array(20)
  for (;;) {
    const length = receive(descriptor, buffer, buffer.length, MSG_DONTWAIT, address, [address.length])
    if (length < 0) return
    // struct sockaddr_ll: family u16, protocol be16; for netlink the protocol is that of its socket.
    const protocol = ((address[2] ?? 0) << 8) | (address[3] ?? 0)
    if (protocol === NETLINK_GENERIC) count(buffer.subarray(0, length))
  }
}

/** Stands in a network namespace and counts what is asked of the kernel over generic netlink, as an nlmon device sees it. */
export const actor = {
  async start(): Promise<void> {
    execFileSync('ip', ['link', 'add', 'trace0', 'type', 'nlmon'])
    execFileSync('ip', ['link', 'set', 'trace0', 'up'])
    descriptor = socket(AF_PACKET, SOCK_RAW, network(ETH_P_ALL))
    if (descriptor < 0) throw new Error(`no packet socket: errno ${koffi.errno()}`)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, new Uint8Array(new Int32Array([64 << 20]).buffer), 4)
    draining = setInterval(drain, 5)
  },

  /** Requests since the last call, by the number of their command. */
  async take(): Promise<Record<string, number>> {
    drain()
    const taken = Object.fromEntries(counts)
    counts = new Map()
    return taken
  },

  /** Milliseconds between the first and the last request since the last call. */
  async span(): Promise<number> {
    drain()
    const [first, last] = span
    span = [0, 0]
    return last - first
  },

  async stop(): Promise<void> {
    if (draining !== null) clearInterval(draining)
  },
}
export type NetlinkTrace = typeof actor
