import type { FunctionState, GatewayOptions } from '../../../src/gateway/gateway.ts'
import { startTestGateway, type TestGateway } from '../../../src/gateway/gatewaySuite.ts'
import type { FunctionSpec } from '../../../src/model/function.ts'
import type { CounterName } from '../../../src/proxy/http/proxyCounters.ts'

/** The gateway as the daemon starts it, in a process of its own. */
let started: TestGateway | null = null
const ejections: [instance: string, milliseconds: number][] = []

const running = (): TestGateway => {
  if (started === null) throw new Error('call start first')
  return started
}

export const actor = {
  async start(options: Partial<GatewayOptions>): Promise<{ port: number; transport: string }> {
    started = await startTestGateway({
      transport: 'auto',
      ejected: (instance, milliseconds) => void ejections.push([instance, milliseconds]),
      ...options,
    })
    return { port: started.gateway.port, transport: started.gateway.transport }
  },

  put: (name: string, spec: FunctionSpec): Promise<void> => running().put(name, spec),

  state: async (name: string): Promise<FunctionState | null> => running().gateway.state(name),

  /** By Worker. */
  counters: async (): Promise<readonly Record<CounterName, number>[]> => running().gateway.counters(),

  /** Since the last call. */
  ejections: async (): Promise<readonly (readonly [instance: string, milliseconds: number])[]> =>
    ejections.splice(0),

  close: (): Promise<void> => running().gateway.close(),
}
export type EngineActor = typeof actor
