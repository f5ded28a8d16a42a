import { Gateway, type FunctionState, type GatewayOptions } from '../../../src/gateway/gateway.ts'
import type { FunctionSpec } from '../../../src/model/function.ts'
import type { CounterName } from '../../../src/proxy/http/proxyCounters.ts'

/** The gateway as the daemon starts it, in a process of its own. */
let gateway: Gateway | null = null
const ejections: [instance: string, milliseconds: number][] = []

const running = (): Gateway => {
  if (gateway === null) throw new Error('call start first')
  return gateway
}

export const actor = {
  async start(options: Partial<GatewayOptions>): Promise<{ port: number; transport: string }> {
    gateway = await Gateway.start({
      address: '127.0.0.1',
      port: 0,
      zones: ['zone-b'],
      node: 'node-1',
      dummy: false,
      gateways: [],
      unsignedPeers: [],
      hopKey: null,
      hopLimit: 1,
      transport: 'auto',
      workers: 1,
      log: { info: () => undefined, warn: () => undefined },
      ejected: (instance, milliseconds) => void ejections.push([instance, milliseconds]),
      ...options,
    })
    return { port: gateway.port, transport: gateway.transport }
  },

  async put(name: string, spec: FunctionSpec): Promise<void> {
    const instances = spec.ips.map((text) => {
      const [address = '', port] = text.split(':')
      return { text, address, port: Number(port) }
    })
    await running().apply([{ name, published: { spec, instances } }])
  },

  state: async (name: string): Promise<FunctionState | null> => running().state(name),

  /** By Worker. */
  counters: async (): Promise<readonly Record<CounterName, number>[]> => running().counters(),

  /** Since the last call. */
  ejections: async (): Promise<readonly (readonly [instance: string, milliseconds: number])[]> =>
    ejections.splice(0),

  close: (): Promise<void> => running().close(),
}
export type EngineActor = typeof actor
