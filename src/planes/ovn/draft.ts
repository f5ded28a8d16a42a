import type { ServiceId } from '../../model/names.ts'
import { Refusal } from '../../model/refusal.ts'
import type { Change, VirtualService } from '../plane.ts'
import { endpointKey } from '../endpoint.ts'
import { attachmentsOf, attachProblem, nowhere, type Attach, type Attachment } from './attachments.ts'
import { collision } from './collisions.ts'
import { forceSnatOperations, togetherWanted } from './forceSnat.ts'
import { checkRefusal } from './health.ts'
import type { NamedUuid, Operation, Uuid } from './ovsdb/ovsdb.ts'
import { mark } from './marks.ts'
import { specOf } from './ownRows.ts'
import { lacks, wrong } from './refusals.ts'
import { rowOfForeign } from './foreign.ts'
import { vipKey } from './rows.ts'
import type { NorthboundRow } from './tables.ts'
import { variableFor, variableOf, variableOperations, type Variable } from './templates.ts'
import { chassisNames, held, mappedOf, wantedRows, type View } from './view.ts'
import { attachment, deletion, insertion, unchanged, update } from './writes.ts'

type ServiceChange = Change<VirtualService, ServiceId>
type BalancerRow = NorthboundRow<'Load_Balancer'>

/** Why a service cannot be written as things are, with the cure; null where it can. */
export function refusalOf(view: View, spec: VirtualService): string | null {
  const { topology, northbound, own } = view
  const before = own.spec(spec.id)
  const why =
    unfit(view, spec) ?? attachProblem(topology, northbound, added(spec.attach, before?.attach ?? null))
  if (why !== null) return why
  const had = new Set(before?.destinations.map(({ address }) => address))
  const { problems } = mappedOf(view, spec)
  for (const [address, problem] of problems) if (!had.has(address)) return problem
  return null
}

const unfit = ({ slots, lacking }: View, spec: VirtualService): string | null =>
  wrong(spec, slots) ?? lacks(spec, lacking) ?? checkRefusal(spec)

/** A transaction in the making: several changes, of which each sees those before it. */
export class Draft {
  readonly #view: View
  readonly #operations: Operation[] = []
  /** Services as they will be. */
  readonly #after = new Map<ServiceId, VirtualService | null>()
  /** Routers whose lb_force_snat_ip may be another one now. */
  readonly #routers = new Set<Uuid>()
  readonly #variables: Variable[] = []
  #names = 0

  constructor(view: View) {
    this.#view = view
  }

  /** Adds a change. @throws Refusal where it cannot be; the draft is then as it was */
  add(change: ServiceChange): void {
    const { own } = this.#view
    const { key, before, after } = change
    const row = own.main(key)
    const present = own.spec(key)
    if (after !== null) this.#check(after, present)
    const moved = after !== null && (present === null || placeOf(present) !== placeOf(after))
    const found = moved ? collision(this.#view, after, this.#after) : null
    const adopted = change.foreign === true && before !== null ? this.#adopted(before) : null
    if (found !== null && (adopted === null || found.row?.uuid !== adopted.uuid)) throw taken(key, found.text)
    const routers = this.#routersOf(key, present, after)
    const operations = after === null ? this.#removal(key) : this.#writing(after, present, row ?? adopted)
    this.#operations.push(...operations)
    this.#after.set(key, after)
    for (const uuid of routers) this.#routers.add(uuid)
    const variable =
      after === null ? null : variableFor(after, this.#view.owner, chassisNames(this.#view.southbound))
    if (variable !== null) this.#variables.push(variable)
    else if (present?.ovn?.template !== undefined)
      this.#variables.push({ name: variableOf(this.#view.owner, key), values: null })
  }

  /** All that is to be done; empty where everything is as it should be. */
  operations(): readonly Operation[] {
    const { northbound, owner } = this.#view
    const routers = northbound.rows('Logical_Router')
    return [
      ...this.#operations,
      ...[...this.#routers].flatMap((uuid) => {
        const router = routers.get(uuid)
        return router === undefined
          ? []
          : forceSnatOperations(router, this.#forced(router, this.#after), owner)
      }),
      ...(this.#variables.length === 0
        ? []
        : variableOperations(northbound.rows('Chassis_Template_Var').values(), this.#variables, owner)),
    ]
  }

  /** The row of an entry that is taken over. @throws Refusal where it cannot be */
  #adopted(entry: VirtualService): BalancerRow {
    const { northbound, owner } = this.#view
    const row = rowOfForeign(northbound, entry)
    if (row === null)
      throw new Refusal(
        'refused',
        `load balancer ${entry.id} is gone: somebody removed it just now; ask again`,
      )
    const other = row.external_ids.get(mark.owner)
    if (other === undefined || other === owner) return row
    throw new Refusal(
      'refused',
      `load balancer ${entry.id} is marked ${mark.owner}=${other}, so another Torb writes it: delete it there, or remove the mark`,
    )
  }

  #check(after: VirtualService, present: VirtualService | null): void {
    const { topology, northbound } = this.#view
    const fresh = added(after.attach, present?.attach ?? null)
    const why = unfit(this.#view, after) ?? attachProblem(topology, northbound, fresh)
    if (why !== null) throw new Refusal('refused', why)
  }

  #removal(key: ServiceId): readonly Operation[] {
    const { own } = this.#view
    return [own.main(key), own.watch(key), ...own.surplus(key)].flatMap((row) =>
      row === null ? [] : [deletion(row)],
    )
  }

  #writing(
    after: VirtualService,
    present: VirtualService | null,
    row: BalancerRow | null,
  ): readonly Operation[] {
    const { northbound, own, owner, topology } = this.#view
    const naming = (): string => `row${++this.#names}`
    // A row of several virtual addresses is not one service's: the address moves to a row of its own.
    const shared = row !== null && row.vips.size > 1 && !own.isOwn(row)
    const into = shared ? null : row
    const wanted = wantedRows(this.#view, after, row)
    const operations: Operation[] = []
    let balancer: Uuid | NamedUuid
    if (into === null) {
      if (row === null) operations.push(absent(owner, after.id))
      else operations.push(...withoutVip(row, after, owner))
      const made = insertion(northbound, wanted.main, naming)
      operations.push(...made.operations)
      balancer = made.named
    } else {
      operations.push(...update(northbound, into, wanted.main, naming))
      balancer = into.uuid
    }
    const watch = own.watch(after.id)
    if (wanted.watch === null) operations.push(...(watch === null ? [] : [deletion(watch)]))
    else if (watch === null) operations.push(...insertion(northbound, wanted.watch, naming).operations)
    else operations.push(...update(northbound, watch, wanted.watch, naming))
    operations.push(...own.surplus(after.id).map(deletion))
    return [...operations, ...this.#attaching(after, present, into, balancer, topology)]
  }

  #attaching(
    after: VirtualService,
    present: VirtualService | null,
    row: BalancerRow | null,
    balancer: Uuid | NamedUuid,
    topology: View['topology'],
  ): readonly Operation[] {
    const places = attachmentsOf(topology, after.attach)
    const has = row === null ? [] : held(places, row)
    const names = (place: Attachment): string => `${place.table} ${place.given}`
    const known = new Set(attachmentsOf(topology, added(after.attach, present?.attach ?? null)).map(names))
    const missing = places.filter(
      (place) =>
        !has.includes(place) &&
        // Where Torb attached it by a name that several have now, those that do not have it are not meant.
        (known.has(names(place)) || places.filter((other) => names(other) === names(place)).length === 1),
    )
    // What was given by its name may be given by its UUID now.
    const stays = new Set(places.map(({ uuid }) => uuid))
    const given = attachmentsOf(topology, added(present?.attach ?? null, after.attach))
    const left = row === null ? [] : held(given, row).filter(({ uuid }) => !stays.has(uuid))
    return [
      ...missing.flatMap((place) => attachment(place, 'insert', balancer)),
      ...left.flatMap((place) => attachment(place, 'delete', balancer)),
    ]
  }

  /** Routers that a change of this service may give another lb_force_snat_ip. @throws Refusal where they cannot have it */
  #routersOf(key: ServiceId, present: VirtualService | null, after: VirtualService | null): readonly Uuid[] {
    const { topology, northbound, owner } = this.#view
    if (present?.ovn?.force_snat === undefined && after?.ovn?.force_snat === undefined) return []
    const reached = [present?.attach, after?.attach].flatMap((attach) => topology.reachOf(attach ?? nowhere))
    const uuids = new Set(
      reached.flatMap(({ datapath }) => (datapath.kind === 'router' ? datapath.row.uuid : [])),
    )
    const then = new Map(this.#after).set(key, after)
    for (const uuid of uuids) {
      const router = northbound.rows('Logical_Router').get(uuid)
      if (router !== undefined) forceSnatOperations(router, this.#forced(router, then), owner)
    }
    return [...uuids]
  }

  /** What the services of a router want its lb_force_snat_ip to be, those of the draft as they will be. */
  #forced(
    router: NorthboundRow<'Logical_Router'>,
    then: ReadonlyMap<ServiceId, VirtualService | null>,
  ): string | null {
    const { own, topology } = this.#view
    const wishes: (readonly [ServiceId, string])[] = []
    const ask = (id: ServiceId, spec: VirtualService | null): void => {
      const force = spec?.ovn?.force_snat
      if (spec === null || force === undefined) return
      const reached = topology.reachOf(spec.attach ?? nowhere)
      if (reached.some(({ datapath }) => datapath.row.uuid === router.uuid)) wishes.push([id, force])
    }
    for (const id of own.ids()) {
      const row = own.main(id)
      if (row !== null && !then.has(id)) ask(id, specOf(row))
    }
    for (const [id, spec] of then) ask(id, spec)
    return togetherWanted(router.name, wishes)
  }
}

/** Where a service is reached, and at which switches and routers. */
const placeOf = (spec: VirtualService): string => `${endpointKey(spec)} ${JSON.stringify(spec.attach)}`

/** What one list of places has and the other has not. */
function added(attach: Attach | null, before: Attach | null): Attach | null {
  if (attach === null || before === null) return attach
  const without = (list: readonly string[], had: readonly string[]): readonly string[] =>
    list.filter((name) => !had.includes(name))
  return {
    switches: without(attach.switches, before.switches),
    routers: without(attach.routers, before.routers),
    groups: without(attach.groups, before.groups),
  }
}

/** Fails the transaction where the service has a row already that the replica does not know yet. */
const absent = (owner: string, service: ServiceId): Operation => ({
  op: 'wait',
  table: 'Load_Balancer',
  where: [['external_ids', 'includes', { [mark.owner]: owner, [mark.service]: service }]],
  columns: ['name'],
  until: '==',
  rows: [],
})

/** Takes the virtual address of a service out of somebody else's row. */
function withoutVip(row: BalancerRow, spec: VirtualService, owner: string): readonly Operation[] {
  const key = vipKey(spec, owner)
  return [
    unchanged('Load_Balancer', row, ['vips']),
    {
      op: 'mutate',
      table: 'Load_Balancer',
      where: { uuid: row.uuid },
      mutations: [['vips', 'delete', { [key]: row.vips.get(key) ?? '' }]],
    },
  ]
}

const taken = (id: ServiceId, text: string): Refusal =>
  new Refusal('refused', `service ${id} cannot be written: ${text}`)
