import type { Methods } from '../../lab/channel.ts'
import type { ServiceId } from '../../src/model/names.ts'
import { Refusal, type RefusalCode } from '../../src/model/refusal.ts'
import type {
  Capabilities,
  Change,
  Flow,
  Ledger,
  Plane,
  ServiceCounters,
  VirtualService,
} from '../../src/planes/plane.ts'
import { ledgerOver } from './rig.ts'

type Notes = ReadonlyMap<ServiceId, string>
type RemoteOutcome =
  | { readonly ok: true }
  | { readonly ok: false; readonly code: RefusalCode; readonly message: string }
type Changes = readonly Change<VirtualService, ServiceId>[]

/** The methods of a plane for a process that stands where its packets are; `open` makes it, so it can be made again. */
export function hostPlane(make: () => Plane) {
  let plane: Plane | null = null
  const opened = (): Plane => {
    if (plane === null) throw new Error('the plane is not open')
    return plane
  }
  return {
    async open(notes: Notes): Promise<Capabilities> {
      plane = make()
      await plane.open(ledgerOver(notes))
      return plane.can
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
    counters: async (keys?: readonly ServiceId[]): Promise<ReadonlyMap<ServiceId, ServiceCounters>> =>
      opened().counters(keys),
    explain: async (flow: Flow) => opened().explain(flow),
    close: async () => opened().close(),
    withdraw: async (keys: readonly ServiceId[]) => opened().withdraw(keys),
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
    await this.#host.open(new Map([...ledger.keys()].map((key) => [key, ledger.note(key) ?? ''])))
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

  counters(keys?: readonly ServiceId[]) {
    return this.#host.counters(keys)
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
}
