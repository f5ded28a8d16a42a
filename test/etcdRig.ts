import { EventLog, type TorbEvent } from '../src/control/events.ts'
import { FunctionTable } from '../src/control/functionTable.ts'
import type { GatewayOptions } from '../src/gateway/gateway.ts'
import { startTestGateway, type TestGateway } from '../src/gateway/gatewaySuite.ts'
import { startEtcd, type EtcdOptions, type EtcdSource } from '../src/sources/etcd/etcd.ts'
import { MemoryStore } from './fixtures/memoryStore.ts'

export const keyOf = (name: string, zone = 'zone-b'): string => `golb/function/${zone}/${name}`

/** etcd's value for instances and their weights. */
export const valueOf = (ips: readonly string[], weights: readonly number[]): string =>
  JSON.stringify({ ips, weights })

/** The chain from etcd to the gateway: source, table, gateway. */
export interface Chain extends AsyncDisposable {
  readonly table: FunctionTable
  readonly source: EtcdSource
  readonly events: readonly TorbEvent[]
  readonly eventLog: EventLog
  /** `name=weights` of all functions. */
  functions(): string[]
  state(): string
}

/** Follows etcd into a table; what carries its functions out is `target`. */
export async function followEtcd(
  options: Partial<EtcdOptions> & Pick<EtcdOptions, 'endpoints'>,
  target: Pick<TestGateway['gateway'], 'apply'> = { apply: () => Promise.resolve() },
): Promise<Chain> {
  const zones = options.zones ?? ['zone-b']
  const eventLog = new EventLog()
  const events: TorbEvent[] = []
  eventLog.subscribe(({ event }) => events.push(event))
  const table = await FunctionTable.open({
    store: new MemoryStore(),
    zones,
    target,
    events: eventLog,
    now: Date.now,
    resolve: (name) => Promise.reject(new Error(`${name} is asked for`)),
    isOwnListener: (address, port) => address === '127.0.0.1' && port === 4672,
  })
  const source = startEtcd(
    { ...options, zones },
    table.source('etcd'),
    Date.now,
    // The shortest pauses.
    () => 0,
  )
  return {
    table,
    source,
    events,
    eventLog,
    functions: () => table.names().map((name) => `${name}=${table.function(name)?.spec.weights.join()}`),
    state: () => source.status().state,
    [Symbol.asyncDispose]: async () => {
      await source.close()
      await table.close()
    },
  }
}

export interface RoutedChain extends Chain {
  readonly gateway: TestGateway
  /** Bodies of so many requests to a function, one after the other. */
  bodies(name: string, count: number): Promise<string>
}

/** The whole chain, up to requests. */
export async function routeByEtcd(
  options: Parameters<typeof followEtcd>[0],
  gatewayOptions: Partial<GatewayOptions> = {},
): Promise<RoutedChain> {
  const gateway = await startTestGateway(gatewayOptions)
  const chain = await followEtcd(options, gateway.gateway)
  return {
    ...chain,
    gateway,
    async bodies(name, count) {
      let all = ''
      for (let i = 0; i < count; i++) all += (await gateway.get(`/function/${name}`)).body
      return all
    },
    [Symbol.asyncDispose]: async () => {
      await chain[Symbol.asyncDispose]()
      await gateway[Symbol.asyncDispose]()
    },
  }
}
