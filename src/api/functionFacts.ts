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
  /** Counters of a function and its instances; null where the gateway does not have it. */
  state(name: FunctionName): FunctionState | null
  /** What the proxy of each Worker has counted. */
  counters(): readonly Readonly<Record<CounterName, number>>[]
}
