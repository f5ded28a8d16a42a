import type { FunctionHealth } from '../control/functionHealth.ts'
import type { FollowedSource } from '../control/functions.ts'
import type { FunctionTable } from '../control/functionTable.ts'
import type { FunctionState } from '../gateway/gateway.ts'
import type { FunctionName } from '../model/function.ts'
import type { CounterName } from '../proxy/http/proxyCounters.ts'

/** What the routes of functions, and their metrics, go by. Asked anew each time: gateway and etcd may start after the API. */
export interface FunctionFacts {
  readonly table: FunctionTable
  /** null: none runs in this Torb; functions are kept all the same. */
  readonly gateway: () => GatewayFacts | null
  /** Pulses of instances; null: none run. */
  readonly health: () => Pick<FunctionHealth, 'state' | 'weights'> | null
  /** null: Torb follows no etcd. */
  readonly etcd: () => FollowedSource | null
}

/** The part of `Gateway` (src/gateway/gateway.ts) that is shown. */
export interface GatewayFacts {
  readonly port: number
  readonly transport: 'ring' | 'portable'
  readonly workers: number
  /** Why it runs on node:net; '' on the ring. */
  readonly portableReason: string
  readonly rules: GatewayRules
  /** Counters of a function and its instances; null where the gateway does not have it. */
  state(name: FunctionName): FunctionState | null
  /** What the proxy of each Worker has counted. */
  counters(): readonly Readonly<Record<CounterName, number>>[]
}

/** What a gateway was started with, as far as it decides where a request goes. */
export interface GatewayRules {
  /** Own zone first. */
  readonly zones: readonly string[]
  /** It answers by itself while no function is known. */
  readonly dummy: boolean
  /** Gateways that a request may pass on its way, the first included. */
  readonly hopLimit: number
  /** How it knows that a request came from another gateway: by a common key, by the peers' addresses, not at all. */
  readonly vouched: 'signed' | 'unsigned' | 'nobody'
}
