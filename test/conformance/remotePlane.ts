import type { Methods } from '../../lab/channel.ts'
import type { BackendId, ServiceId } from '../../src/model/names.ts'
import { Refusal, type RefusalCode } from '../../src/model/refusal.ts'
import type {
  Capabilities,
  Change,
  DestinationCounters,
  Flow,
  Ledger,
  Plane,
  ServiceCounters,
  VirtualService,
} from '../../src/planes/plane.ts'
import { ledgerOver } from './rig.ts'

// Only what JSON carries crosses: a serial line has nothing else. Maps go as lists of entries.
type Notes = readonly (readonly [ServiceId, string])[]
type Counted = Omit<ServiceCounters, 'destinations'> & {
  readonly destinations: readonly (readonly [BackendId, DestinationCounters])[]
}
type RemoteOutcome =
  | { readonly ok: true }
  | { readonly ok: false; readonly code: RefusalCode; readonly message: string }
type Changes = readonly Change<VirtualService, ServiceId>[]

/** The methods of a plane for a process that stands where its packets are; `open` makes it, so it can be made again. */
export function hostPlane(make: () => Plane | Promise<Plane>) {
  let plane: Plane | null = null
  const opened = (): Plane => {
    if (plane === null) throw new Error('the plane is not open')
    return plane
  }
  return {
    async open(notes: Notes): Promise<void> {
      plane = await make()
      await plane.open(ledgerOver(new Map(notes)))
    },
    async observe(scope: 'all' | readonly ServiceId[]): Promise<(readonly [ServiceId, VirtualService])[]> {
      return Array.fromAsync(opened().observe(scope))
    },
    async apply(changes: Changes): Promise<RemoteOutcome[]> {
      const outcomes = await opened().apply(changes)
      return outcomes.map((outcome) =>
        outcome.ok ? outcome : { ok: false, code: outcome.error.code, message: outcome.error.message },
      )
    },
    async counters(keys: readonly ServiceId[] | null): Promise<(readonly [ServiceId, Counted])[]> {
      const counters = await opened().counters(keys ?? undefined)
      return [...counters].map(([id, service]) => [
        id,
        { ...service, destinations: [...service.destinations] },
      ])
    },
    explain: async (flow: Flow) => opened().explain(flow),
    close: async () => opened().close(),
    withdraw: async (keys: readonly ServiceId[]) => opened().withdraw(keys),
    zero: async (keys: readonly ServiceId[] | null) => opened().zero(keys ?? undefined),
  } satisfies Methods
}

/** A plane that works in another process. */
export class RemotePlane implements Plane {
  readonly can: Capabilities
  readonly #host: ReturnType<typeof hostPlane>

  constructor(can: Capabilities, host: ReturnType<typeof hostPlane>) {
    this.can = can
    this.#host = host
  }

  async open(ledger: Ledger): Promise<void> {
    await this.#host.open([...ledger.keys()].map((key) => [key, ledger.note(key) ?? '']))
  }

  async *observe(scope: 'all' | readonly ServiceId[]): AsyncGenerator<readonly [ServiceId, VirtualService]> {
    yield* await this.#host.observe(scope)
  }

  async apply(changes: Changes) {
    const outcomes = await this.#host.apply(changes)
    return outcomes.map((outcome) =>
      outcome.ok ? outcome : { ok: false as const, error: new Refusal(outcome.code, outcome.message) },
    )
  }

  async counters(keys?: readonly ServiceId[]): Promise<Map<ServiceId, ServiceCounters>> {
    const counted = await this.#host.counters(keys ?? null)
    return new Map(
      counted.map(([id, service]) => [id, { ...service, destinations: new Map(service.destinations) }]),
    )
  }

  explain(flow: Flow) {
    return this.#host.explain(flow)
  }

  close() {
    return this.#host.close()
  }

  withdraw(keys: readonly ServiceId[]) {
    return this.#host.withdraw(keys)
  }

  zero(keys?: readonly ServiceId[]) {
    return this.#host.zero(keys ?? null)
  }
}
