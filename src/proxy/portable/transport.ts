import type { Transport } from '../transport.ts'
import { listenTcp } from './tcp.ts'
import { bindUdp, connectUdp } from './udp.ts'

/** node:net and node:dgram: works wherever Node does. */
export const portable: Transport = {
  name: 'portable',
  listenTcp,
  bindUdp,
  connectUdp,
  end: () => undefined,
}
