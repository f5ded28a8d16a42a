import { openFileLimit } from '../../kernel/limits.ts'
import { bindUdp, connectUdp } from '../portable/udp.ts'
import { TcpProxy } from './tcp.ts'
import type { Transport } from '../transport.ts'
import { openRingLoop } from './loop.ts'

/** Holds what comes of a message at a time; whoever sends more is relayed without a copy. */
const slotBytes = 16 * 1024
/** All of them are 2 GiB, of which only what is used is had. */
const mostSlots = 131_072

/** TCP over io_uring in this thread's event loop, UDP over node:dgram. @throws where there is no ring: `ringMissing` knows why */
export async function openRingTransport(): Promise<Transport> {
  const stream = await openRingLoop({ slots: Math.min(mostSlots, openFileLimit()), slotBytes })
  const tcp = new TcpProxy(stream)
  return {
    name: 'ring',
    listenTcp: (address, port, acceptor) => tcp.listen(address, port, acceptor),
    bindUdp,
    connectUdp,
    openStreams: (slots, slotBytes) => openRingLoop({ slots, slotBytes }),
    end: () => stream.end(),
  }
}
