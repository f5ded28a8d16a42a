import { setImmediate as turn } from 'node:timers/promises'
import { openIpvs } from '../../kernel/netlink/ipvs.ts'
import type {
  Ipvs,
  IpvsCommand,
  IpvsDaemon,
  IpvsServiceKey,
  IpvsServiceSeen,
  IpvsTimeouts,
} from '../../kernel/netlink/ipvsEntries.ts'
import type { ServiceId } from '../../model/names.ts'
import { Refusal } from '../../model/refusal.ts'
import { endpointKey, parseEndpointKey, type VirtualEndpoint } from '../endpoint.ts'
import type {
  Capabilities,
  Change,
  Explanation,
  Flow,
  Ledger,
  Outcome,
  Plane,
  ServiceCounters,
  VirtualService,
} from '../plane.ts'
import { ipvsCan } from './can.ts'
import { carryOut, isGone, type Refused } from './carryOut.ts'
import { toCounters } from './counters.ts'
import { endpointOfKey, fromEntries, keyText, serviceKey, serviceKeys } from './entries.ts'
import { explain } from './explain.ts'
import { planOf, repeated, type Plan } from './plan.ts'
import { probe } from './probe.ts'
import { asError, causeOf, changeRefused, errorName, unusable } from './refusals.ts'
import { setTimeouts, startDaemons } from './settings.ts'
import { readSysctls, writeSysctls } from './sysctls.ts'

export interface IpvsOptions {
  /** Opens the kernel's table; that of the process's own network namespace where absent. */
  readonly ipvs?: () => Promise<Ipvs>
  /** Seconds, for all services of the kernel; what is absent stays as it is. */
  readonly timeouts?: Partial<IpvsTimeouts>
  /** Connection-sync daemons to run. Without any, those that run are left alone. */
  readonly daemons?: readonly IpvsDaemon[]
  /** Whether to set net.ipv4.vs.* (sysctls.ts); true where absent. */
  readonly sysctl?: boolean
  readonly log?: { warn(fields: object, text: string): void }
}

/** What the plane knows of a service of its own. */
interface Own {
  /** As it was last applied; null: known from the ledger only. */
  readonly spec: VirtualService | null
  readonly endpoint: VirtualEndpoint
}

interface Planned extends Change<VirtualService, ServiceId> {
  readonly plan: Plan
}

/** From so many services on, one dump of all is cheaper than asking for each. */
const dumpFrom = 8
/** Services that are read between two turns of the event loop. */
const readAtOnce = 25

/** Programs the kernel's IPVS. Traffic goes on without Torb; what was made is known again by the ledger. */
export class IpvsPlane implements Plane {
  readonly #options: IpvsOptions
  readonly #own = new Map<ServiceId, Own>()
  /** What the kernel holds of these is neither what was nor what should be: the next change begins by reading it. */
  readonly #unsure = new Set<ServiceId>()
  #can: Capabilities = ipvsCan
  #kernel: Ipvs | null = null

  constructor(options: IpvsOptions = {}) {
    this.#options = options
  }

  /** Before `open` all that IPVS ever had, then what this kernel has. */
  get can(): Capabilities {
    return this.#can
  }

  async open(ledger: Ledger): Promise<void> {
    const { timeouts = {}, daemons = [], sysctl = true, log } = this.#options
    const ipvs = await this.#openKernel()
    try {
      this.#can = probe(ipvs)
      if (sysctl) for (const complaint of writeSysctls()) log?.warn({ plane: 'ipvs' }, complaint)
      setTimeouts(ipvs, timeouts)
      startDaemons(ipvs, daemons)
    } catch (error) {
      ipvs.close()
      throw error instanceof Refusal
        ? error
        : new Refusal('refused', unusable(asError(error)), { cause: error })
    }
    this.#kernel = ipvs
    for (const id of ledger.keys()) {
      const endpoint = parseEndpointKey(ledger.note(id) ?? '')
      if (endpoint !== null) this.#own.set(id, { spec: null, endpoint })
    }
  }

  async *observe(scope: 'all' | readonly ServiceId[]): AsyncGenerator<readonly [ServiceId, VirtualService]> {
    const ids = scope === 'all' ? [...this.#own.keys()] : scope
    for await (const [id, seen, { spec }] of this.#held(ids)) {
      yield [id, fromEntries(seen, this.#ipvs.destinations(seen.key), spec)]
    }
  }

  // oxlint-disable-next-line require-await -- a kernel that does not answer is a rejection, by the seam
  async apply(changes: readonly Change<VirtualService, ServiceId>[]): Promise<readonly Outcome[]> {
    const distinct = new Set(changes.map(({ key }) => key)).size === changes.length
    const batches = distinct ? [changes] : changes.map((change) => [change])
    return batches.flatMap((batch) => this.#applyAll(batch))
  }

  async counters(
    keys: readonly ServiceId[] = [...this.#own.keys()],
  ): Promise<ReadonlyMap<ServiceId, ServiceCounters>> {
    const counted = new Map<ServiceId, ServiceCounters>()
    for await (const [id, seen, { spec }] of this.#held(keys)) {
      counted.set(id, toCounters(seen, this.#ipvs.destinations(seen.key), spec))
    }
    return counted
  }

  explain(flow: Flow): Promise<Explanation> {
    const owners = new Map(
      [...this.#own].flatMap(([id, own]) =>
        keysOf(own).map((key) => [keyText(key), { id, known: own.spec }]),
      ),
    )
    return explain(this.#ipvs, owners, flow)
  }

  // oxlint-disable-next-line require-await -- a refusal is a rejection, by the seam
  async foreign(endpoints?: readonly string[]): Promise<readonly VirtualService[]> {
    const mine = new Set([...this.#own.values()].flatMap(keysOf).map(keyText))
    const found: IpvsServiceSeen[] =
      endpoints === undefined || endpoints.length >= dumpFrom
        ? this.#ipvs.services()
        : endpoints.flatMap((text) => {
            const endpoint = parseEndpointKey(text)
            return endpoint === null
              ? []
              : serviceKeys(endpoint).flatMap((key) => this.#ipvs.service(key) ?? [])
          })
    const asked = endpoints === undefined ? null : new Set(endpoints)
    return found
      .filter(({ key }) => {
        const endpoint = endpointOfKey(key)
        return (
          endpoint !== null && !mine.has(keyText(key)) && (asked === null || asked.has(endpointKey(endpoint)))
        )
      })
      .map((seen) => fromEntries(seen, this.#ipvs.destinations(seen.key), null))
  }

  // oxlint-disable-next-line require-await -- a refusal is a rejection, by the seam
  async flush(): Promise<void> {
    this.#mustDo([{ do: 'flush' }])
    this.#own.clear()
    this.#unsure.clear()
  }

  // oxlint-disable-next-line require-await -- a refusal is a rejection, by the seam
  async withdraw(keys: readonly ServiceId[]): Promise<void> {
    const mine = keys.flatMap((id) => {
      const own = this.#own.get(id)
      return own === undefined ? [] : [{ id, own }]
    })
    this.#mustDo(mine.flatMap(({ own }) => this.#present(own).map((key) => ({ do: 'delete-service', key }))))
    for (const { id } of mine) {
      this.#own.delete(id)
      this.#unsure.delete(id)
    }
  }

  /** Foreign services keep their counters. */
  // oxlint-disable-next-line require-await -- a refusal is a rejection, by the seam
  async zero(keys: readonly ServiceId[] = [...this.#own.keys()]): Promise<void> {
    const mine = keys.flatMap((id) => this.#own.get(id) ?? [])
    this.#mustDo(mine.flatMap((own) => this.#present(own).map((key) => ({ do: 'zero', key }))))
  }

  // oxlint-disable-next-line require-await -- a refusal is a rejection, by the seam
  async facts(): Promise<Readonly<Record<string, unknown>>> {
    const { version, connectionTable } = this.#ipvs.info()
    return {
      version,
      connection_table: connectionTable,
      timeouts: this.#ipvs.timeouts(),
      sync_daemons: this.#ipvs.daemons(),
      sysctls: readSysctls(),
    }
  }

  /** The kernel goes on. */
  close(): Promise<void> {
    this.#kernel?.close()
    this.#kernel = null
    return Promise.resolve()
  }

  get #ipvs(): Ipvs {
    if (this.#kernel === null) throw new Refusal('unreachable', 'the ipvs plane is not open')
    return this.#kernel
  }

  async #openKernel(): Promise<Ipvs> {
    try {
      return await (this.#options.ipvs ?? openIpvs)()
    } catch (error) {
      throw new Refusal('refused', unusable(asError(error)), { cause: error })
    }
  }

  #applyAll(changes: readonly Change<VirtualService, ServiceId>[]): Outcome[] {
    const planned = changes.map((change): Planned => {
      const before = this.#unsure.has(change.key) ? this.#readBack(change.key) : change.before
      return { ...change, before, plan: planOf(before, change.after) }
    })
    const fit = planned.filter(({ after }) => after === null || repeated(after) === null)
    const results = new Map(this.#carryOut(fit).map((refused, index) => [fit[index], refused]))
    return planned.map((change): Outcome => {
      const refused = results.get(change)
      if (refused === undefined) return { ok: false, error: repeatedRefused(change) }
      if (refused === null) {
        this.#took(change)
        return { ok: true }
      }
      if (refused.undoing !== null) this.#tookPart(change, refused)
      return { ok: false, error: changeRefused(change.after ?? change.before, change.key, refused) }
    })
  }

  #carryOut(changes: readonly Planned[]): (Refused | null)[] {
    try {
      return carryOut(
        this.#ipvs,
        changes.map(({ plan }) => plan),
      )
    } catch (error) {
      // The kernel did not answer, and may have done a part.
      for (const { key } of changes) if (this.#own.has(key)) this.#unsure.add(key)
      throw error
    }
  }

  #took({ key, after }: Planned): void {
    this.#unsure.delete(key)
    if (after === null) this.#own.delete(key)
    else this.#own.set(key, { spec: after, endpoint: after })
  }

  /** A change that could not be taken back. What it made is ours, and what was ours stays so where the kernel still has it. */
  #tookPart({ key, before, after }: Planned, { appeared }: Refused): void {
    const candidates = [before, appeared ? after : null]
    const held = candidates.find(
      (spec) => spec !== null && this.#ipvs.service(serviceKey(spec, spec.family)) !== undefined,
    )
    if (held === undefined || held === null) this.#own.delete(key)
    else {
      this.#own.set(key, { spec: held, endpoint: held })
      this.#unsure.add(key)
    }
  }

  #readBack(id: ServiceId): VirtualService | null {
    const own = this.#own.get(id)
    if (own === undefined) return null
    for (const key of keysOf(own)) {
      const seen = this.#ipvs.service(key)
      if (seen !== undefined) return fromEntries(seen, this.#ipvs.destinations(key), own.spec)
    }
    return null
  }

  /** Its own services that the kernel holds, of those asked for. */
  async *#held(ids: readonly ServiceId[]): AsyncGenerator<readonly [ServiceId, IpvsServiceSeen, Own]> {
    const dump =
      ids.length < dumpFrom ? null : new Map(this.#ipvs.services().map((seen) => [keyText(seen.key), seen]))
    for (const [index, id] of ids.entries()) {
      const own = this.#own.get(id)
      if (own === undefined) continue
      const seen = first(keysOf(own), (key) =>
        dump === null ? this.#ipvs.service(key) : dump.get(keyText(key)),
      )
      if (seen !== undefined) yield [id, seen, own]
      if (index % readAtOnce === readAtOnce - 1) await turn()
    }
  }

  /** Under what keys the kernel may hold it: one, but a mark that is known from the ledger only has two families. */
  #present(own: Own): IpvsServiceKey[] {
    const keys = keysOf(own)
    return keys.length === 1 ? keys : keys.filter((key) => this.#ipvs.service(key) !== undefined).slice(0, 1)
  }

  /** @throws Refusal where the kernel refuses one; that something is gone already is no refusal */
  #mustDo(commands: readonly IpvsCommand[]): void {
    if (commands.length === 0) return
    this.#ipvs.execute(commands).forEach((error, index) => {
      const command = commands[index]
      if (error === null || command === undefined || isGone(command, error)) return
      throw new Refusal('refused', `IPVS refused (${errorName(error)}): ${causeOf(command, error)}`, {
        cause: error,
      })
    })
  }
}

const keysOf = ({ spec, endpoint }: Own): IpvsServiceKey[] =>
  spec === null ? serviceKeys(endpoint) : [serviceKey(spec, spec.family)]

function first<T, R>(list: readonly T[], find: (item: T) => R | undefined): R | undefined {
  for (const item of list) {
    const found = find(item)
    if (found !== undefined) return found
  }
  return undefined
}

const repeatedRefused = ({ key, after }: Planned): Refusal =>
  new Refusal(
    'refused',
    `service ${key}: two backends are at ${after === null ? '' : repeated(after)}, and IPVS keeps one for each address and port; remove one of them`,
  )
