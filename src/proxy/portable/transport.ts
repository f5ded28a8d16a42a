import type { Transport } from '../transport.ts'
import { PortableStreams } from './stream.ts'
import { listenTcp } from './tcp.ts'
import { bindUdp, connectUdp } from './udp.ts'

/** node:net and node:dgram: works wherever Node does. */
export const portable: Transport = {
  name: 'portable',
  listenTcp,
  bindUdp,
  connectUdp,
  openStreams: (slots, slotBytes) => Promise.resolve(new PortableStreams({ slots, slotBytes })),
  end: () => undefined,
}
