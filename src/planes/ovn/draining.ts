import type { ServiceId } from '../../model/names.ts'
import type { Destination, VirtualService } from '../plane.ts'
import type { Connections } from './connections.ts'
import { flushes } from './health.ts'
import type { SwitchRow } from './logicalRows.ts'
import { attachedSwitches } from './mappings.ts'
import { mark } from './marks.ts'
import { connected } from './neighbourhood.ts'
import type { ColumnInput, Operation, OvsdbLock } from './ovsdb/ovsdb.ts'
import type { Northbound } from './tables.ts'
import type { Topology } from './topology.ts'
import { vipOf, vipText } from './vips.ts'

/** Chassis are given so long to follow; a dead one must not hold up the others. */
const patienceMs = 10_000

/**
 * How the connections that are left at a backend's removal are reset.
 *
 * row: by the service's own row, whose ct_flush every chassis heeds. flash: by a row of the same virtual address and only these
 * backends, on switches between routers, which is removed again. chassis: by the control sockets that Torb may use. none: not.
 */
export type ResetWay = 'row' | 'flash' | 'chassis' | 'none'

/** @param before the service as it was with these backends */
export function resetWay(before: VirtualService, topology: Topology, chassis: boolean): ResetWay {
  if (flushes(before) && isOnSwitch(topology, before)) return 'row'
  if (joinSwitches(topology, before).length > 0) return 'flash'
  return chassis ? 'chassis' : 'none'
}

/** ovn-controller 23.03 heeds ct_flush of those only that are attached to a switch. */
function isOnSwitch(topology: Topology, { attach }: VirtualService): boolean {
  if (attach === null) return false
  const groups = attach.groups.flatMap((name) => topology.groupNamed(name) ?? [])
  return (
    attach.switches.length > 0 ||
    groups.some((group) => topology.reachOfGroup(group).some(({ datapath }) => datapath.kind === 'switch'))
  )
}

/**
 * Switches near a service that stand between routers: nobody is on them who could ask for it, and what comes in from a router
 * skips load balancing. On every chassis that has a port near the service, they are too.
 */
export function joinSwitches(topology: Topology, { attach }: VirtualService): readonly SwitchRow[] {
  if (attach === null) return []
  return [...connected(topology, attachedSwitches(topology, attach))].filter((row) => {
    const [endpoint] = topology.endpoints(row)
    return endpoint === undefined && !topology.leadsOutside(row) && topology.links(row).length > 0
  })
}

/** All virtual addresses of a service, those of its template among them, as OVN writes them. */
const vipsOf = ({ address, port, ovn }: VirtualService): readonly string[] =>
  [address, ...Object.values(ovn?.template ?? {})].map((one) => vipOf({ address: one, port }))

/** The row whose removal resets the connections to these backends. */
export function flashRow(
  before: VirtualService,
  gone: readonly Destination[],
  owner: string,
): Readonly<Record<string, ColumnInput>> {
  const { id, port, protocol } = before
  const backends = gone.map(vipText).join(',')
  return {
    name: `${id} (resets connections)`,
    vips: Object.fromEntries(vipsOf(before).map((vip) => [vip, backends])),
    protocol: port === 'any' ? null : protocol,
    options: { ct_flush: 'true' },
    external_ids: { [mark.owner]: owner, [mark.reset]: id },
  }
}

interface DrainingOptions {
  readonly northbound: Northbound
  readonly topology: Topology
  readonly connections: Connections
  readonly owner: string
  readonly lock: Pick<OvsdbLock, 'assertion'>
  readonly log: { info(fields: object, text: string): void; warn(fields: object, text: string): void }
}

interface Reset {
  readonly before: VirtualService
  /** Fewer, where some come back before it has begun. */
  gone: readonly Destination[]
}

/** Resets that have begun. */
interface UnderWay {
  readonly resets: readonly Reset[]
  /** Lets them end as soon as can be. */
  readonly hurry: () => void
  readonly ended: Promise<unknown>
}

/** What connections of a service to these backends are known by. */
const pairsOf = (service: VirtualService, destinations: readonly Destination[]): readonly string[] =>
  vipsOf(service).flatMap((vip) => destinations.map((to) => `${service.protocol} ${vip} ${vipText(to)}`))

/** Ends the connections that remain when a backend is removed: at once, or when its drain is over. */
export class Draining {
  readonly #options: DrainingOptions
  /** Not begun, in order. */
  #pending: readonly Reset[] = []
  #underWay: UnderWay | null = null
  #running: Promise<void> | null = null

  constructor(options: DrainingOptions) {
    this.#options = options
  }

  /** Removes what a run that was killed left behind. */
  async open(): Promise<void> {
    const { northbound, owner } = this.#options
    const left = [...northbound.rows('Load_Balancer').values()].filter(
      ({ external_ids: ids }) => ids.get(mark.owner) === owner && ids.has(mark.reset),
    )
    if (left.length > 0) await this.#commit(left.map(({ uuid }) => removal(uuid)))
  }

  /**
   * Resets connections to backends that were taken out of a service; to be called when that is committed.
   *
   * It goes on by itself: a service never waits for it.
   */
  reset(before: VirtualService, gone: readonly Destination[]): void {
    if (gone.length === 0) return
    this.#pending = [...this.#pending, { before, gone }]
    this.#running ??= this.#run().finally(() => (this.#running = null))
  }

  /**
   * To be called before these services come into force: a reset of connections to what they have would hit new ones. What has not
   * begun is left out.
   *
   * @returns when none such is under way
   */
  async giveWay(services: readonly VirtualService[]): Promise<void> {
    if (this.#running === null) return
    const wanted = new Set(services.flatMap((service) => pairsOf(service, service.destinations)))
    const isWanted = ({ before }: Reset, one: Destination): boolean =>
      pairsOf(before, [one]).some((pair) => wanted.has(pair))
    for (const reset of this.#pending) reset.gone = reset.gone.filter((one) => !isWanted(reset, one))
    const { resets = [], hurry, ended } = this.#underWay ?? {}
    if (!resets.some((reset) => reset.gone.some((one) => isWanted(reset, one)))) return
    hurry?.()
    await ended
  }

  /** Resolves when nothing is under way any more. */
  async close(): Promise<void> {
    await this.#running
  }

  async #run(): Promise<void> {
    while (this.#pending.length > 0) {
      const due = new Set(this.#pending)
      // Flows that still lead there would make the connection anew.
      await this.#applied()
      const ways = Map.groupBy(due, ({ before }) =>
        resetWay(before, this.#options.topology, this.#options.connections.known),
      )
      await this.#during(ways.get('flash') ?? [], (resets, hurried) => this.#flash(resets, hurried))
      for (const reset of ways.get('chassis') ?? [])
        await this.#during([reset], () => this.#options.connections.reset(reset.before, reset.gone))
      for (const { before, gone } of ways.get('none') ?? []) {
        if (gone.length === 0) continue
        this.#options.log.info(
          { plane: 'ovn', service: before.id },
          `connections to ${gone.map(({ id }) => id).join(', ')} that are still open end by themselves: nothing here can reset them; give all backends pulses of type ${before.protocol}, or the chassis on this machine as ovn_vswitchd`,
        )
      }
      this.#pending = this.#pending.filter((reset) => !due.has(reset))
    }
  }

  /** Carries out those of these resets that are still to be, which have begun with that. */
  async #during(
    due: readonly Reset[],
    work: (resets: readonly Reset[], hurried: Promise<void>) => Promise<unknown>,
  ): Promise<void> {
    this.#pending = this.#pending.filter((reset) => !due.includes(reset))
    const resets = due.filter(({ gone }) => gone.length > 0)
    if (resets.length === 0) return
    const { promise: hurried, resolve: hurry } = Promise.withResolvers<void>()
    const ended = work(resets, hurried)
    this.#underWay = { resets, hurry, ended }
    try {
      await ended
    } finally {
      this.#underWay = null
    }
  }

  async #flash(resets: readonly Reset[], hurried: Promise<void>): Promise<void> {
    const { owner, topology, log } = this.#options
    const operations = resets.flatMap(({ before, gone }, i): Operation[] => [
      { op: 'insert', table: 'Load_Balancer', uuidName: `reset${i}`, row: flashRow(before, gone, owner) },
      ...joinSwitches(topology, before).map(({ uuid }): Operation => ({
        op: 'mutate',
        table: 'Logical_Switch',
        where: { uuid },
        mutations: [['load_balancer', 'insert', [{ named: `reset${i}` }]]],
      })),
    ])
    try {
      const results = await this.#commit(operations)
      // A chassis that has not followed by then has nothing to reset.
      await this.#applied(hurried)
      await this.#commit(results.flatMap(({ uuid }) => (uuid === undefined ? [] : removal(uuid))))
    } catch (error) {
      const services = [...new Set(resets.map(({ before }): ServiceId => before.id))].join(', ')
      log.warn(
        { plane: 'ovn' },
        `connections to removed backends of ${services} were not reset, and end by themselves: ${(error as Error).message}`,
      )
    }
  }

  /** @returns results of the operations alone */
  async #commit(operations: readonly Operation[]) {
    const { northbound, lock } = this.#options
    const results = await northbound.transact([
      lock.assertion,
      ...operations,
      { op: 'mutate', table: 'NB_Global', where: [], mutations: [['nb_cfg', '+=', 1]] },
    ])
    return results.slice(1, 1 + operations.length)
  }

  /** Waits until all chassis have what is committed now, for as long as is sensible or until it is hurried. */
  async #applied(hurried?: Promise<void>): Promise<void> {
    const { northbound } = this.#options
    const [global] = northbound.rows('NB_Global').values()
    const number = global?.nb_cfg ?? 0
    const reached = (): boolean => {
      const [now] = northbound.rows('NB_Global').values()
      return (now?.hv_cfg ?? 0) >= number
    }
    if (reached()) return
    await new Promise<void>((resolve) => {
      const end = (): void => {
        clearTimeout(timer)
        unsubscribe()
        resolve()
      }
      const timer = setTimeout(end, patienceMs)
      const unsubscribe = northbound.subscribe(() => {
        if (reached()) end()
      })
      void hurried?.then(end)
    })
  }
}

const removal = (uuid: string): Operation => ({ op: 'delete', table: 'Load_Balancer', where: { uuid } })
