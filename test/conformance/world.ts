import type { Endpoint, Held, Report, Traffic } from '../../lab/client.ts'
import type { Family } from '../../src/model/address.ts'
import type { Forwarding } from '../../src/model/names.ts'
import type { VirtualService } from '../../src/planes/plane.ts'

/** An echo server (lab/echo.ts), on TCP and UDP under one port. */
export interface Backend extends Endpoint {
  readonly name: string
}

/** Client addresses that share their first `prefix` bits. */
export interface ClientNetwork {
  readonly prefix: number
  readonly addresses: readonly string[]
}

/**
 * Where a plane is tried: clients, backends, virtual addresses and the paths between them.
 *
 * The operations are coarse, since a world may be at the other end of a serial line. What a world has not (several
 * IPv6 clients on a loopback) it leaves out; the cases that need it are then skipped by name.
 */
export interface World {
  readonly name: string
  /** What the path between director and backends is laid out for. */
  readonly forwarding: ReadonlySet<Forwarding>
  /** Where services have to be attached to take effect; null where nowhere. */
  readonly attach: VirtualService['attach']
  /** A closed connection is gone from the plane at once (IPVS keeps it as inactive for a while). */
  readonly forgetsClosed: boolean

  /** At least four, or none of that family. */
  backends(family: Family): readonly Backend[]
  /** At least one address, or no networks of that family. */
  clients(family: Family): readonly ClientNetwork[]
  /** A virtual address and port that were never used before. */
  vip(family: Family): Promise<Endpoint>

  exchange(traffic: Traffic): Promise<Report>
  /** Traffic that goes on until `stop`. */
  start(traffic: Traffic): Promise<number>
  stop(id: number): Promise<Report>
  hold(traffic: Traffic): Promise<{ readonly held: readonly Held[]; readonly failures: readonly string[] }>
  /** For each held connection the backend that answers on it now; null: it is dead. */
  answering(ids: readonly number[]): Promise<readonly (string | null)[]>
  release(ids: readonly number[]): Promise<void>
  releaseAll(): Promise<void>

  /** Resolves when accepted changes are in force, or when the counters tell of all that happened until now. */
  settle(what: 'effect' | 'statistics'): Promise<void>
  /** Puts an entry at this virtual endpoint that is not the plane's, which answers by the name `foreign`. */
  foreign(at: Endpoint, family: Family): Promise<void>
  close(): Promise<void>
}
