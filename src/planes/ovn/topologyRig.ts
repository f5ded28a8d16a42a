import type { RowChange, Uuid } from './ovsdb/ovsdb.ts'
import { northboundTables, type Northbound, type NorthboundRow, type NorthboundTable } from './tables.ts'

type Columns<T extends NorthboundTable> = Partial<Omit<NorthboundRow<T>, 'uuid'>>
type Options = Readonly<Record<string, string>>

const emptyOf = {
  string: '',
  integer: 0,
  boolean: false,
  uuid: '',
  optional: null,
  set: [],
  map: new Map<string, string>(),
} as const

const toMap = (options: Options = {}): ReadonlyMap<string, string> => new Map(Object.entries(options))

/** What a load balancer of a layout is attached to, by name. */
interface Attached {
  readonly switches?: readonly string[]
  readonly routers?: readonly string[]
  readonly groups?: readonly string[]
}

/** A northbound database in memory, laid out by the names of ovn-nbctl's commands. Uuids are TABLE/NUMBER. */
export class Layout implements Pick<Northbound, 'rows'> {
  readonly #tables = new Map<string, Map<Uuid, { readonly uuid: Uuid }>>()
  #listener: (changes: readonly RowChange<typeof northboundTables>[]) => void = () => undefined
  #rowsMade = 0

  rows<T extends NorthboundTable>(table: T): ReadonlyMap<Uuid, NorthboundRow<T>> {
    return this.#table(table) as unknown as ReadonlyMap<Uuid, NorthboundRow<T>>
  }

  /** Reports each change from now on. */
  report(to: (changes: readonly RowChange<typeof northboundTables>[]) => void): void {
    this.#listener = to
  }

  switch(name: string, otherConfig: Options = {}): this {
    this.insert('Logical_Switch', { name, other_config: toMap(otherConfig) })
    return this
  }

  router(name: string, options: Options = {}): this {
    this.insert('Logical_Router', { name, options: toMap(options) })
    return this
  }

  /** A switch port; addresses as in its column. */
  port(
    of: string,
    name: string,
    addresses: readonly string[],
    columns: Columns<'Logical_Switch_Port'> = {},
  ): this {
    const uuid = this.insert('Logical_Switch_Port', { name, addresses, ...columns })
    this.#include('Logical_Switch', of, 'ports', uuid)
    return this
  }

  localnet(of: string): this {
    return this.port(of, `${of}-localnet`, ['unknown'], { type: 'localnet' })
  }

  /** A router's port and, but for `peer`, the port of the switch towards it. Their names: ROUTER-SWITCH, SWITCH-ROUTER. */
  join(
    router: string,
    of: string,
    networks: readonly string[],
    gateways: readonly string[] = [],
    switchPortOptions: Options = {},
  ): this {
    const name = `${router}-${of}`
    this.#routerPort(router, name, networks, { gateway_chassis: this.#gateways(gateways) })
    return this.port(of, `${of}-${router}`, ['router'], {
      type: 'router',
      options: toMap({ 'router-port': name, ...switchPortOptions }),
    })
  }

  /** Two routers face to face. */
  peers(
    [one, networksOfOne]: readonly [string, readonly string[]],
    [other, networksOfOther]: readonly [string, readonly string[]],
  ): this {
    this.#routerPort(one, `${one}-${other}`, networksOfOne, { peer: `${other}-${one}` })
    this.#routerPort(other, `${other}-${one}`, networksOfOther, { peer: `${one}-${other}` })
    return this
  }

  route(router: string, prefix: string, nexthop: string): this {
    const uuid = this.insert('Logical_Router_Static_Route', { ip_prefix: prefix, nexthop })
    this.#include('Logical_Router', router, 'static_routes', uuid)
    return this
  }

  nat(router: string, type: string, external: string, logical: string): this {
    const uuid = this.insert('NAT', { type, external_ip: external, logical_ip: logical })
    this.#include('Logical_Router', router, 'nat', uuid)
    return this
  }

  group(name: string, to: Omit<Attached, 'groups'> = {}): this {
    const uuid = this.insert('Load_Balancer_Group', { name })
    for (const of of to.switches ?? []) this.#include('Logical_Switch', of, 'load_balancer_group', uuid)
    for (const of of to.routers ?? []) this.#include('Logical_Router', of, 'load_balancer_group', uuid)
    return this
  }

  /** @returns its uuid */
  balancer(
    name: string,
    vips: Readonly<Record<string, string>>,
    to: Attached,
    columns: Columns<'Load_Balancer'> = {},
  ): Uuid {
    const uuid = this.insert('Load_Balancer', { name, vips: toMap(vips), protocol: 'tcp', ...columns })
    for (const of of to.switches ?? []) this.#include('Logical_Switch', of, 'load_balancer', uuid)
    for (const of of to.routers ?? []) this.#include('Logical_Router', of, 'load_balancer', uuid)
    for (const of of to.groups ?? []) this.#include('Load_Balancer_Group', of, 'load_balancer', uuid)
    return uuid
  }

  insert<T extends NorthboundTable>(table: T, columns: Columns<T>): Uuid {
    const uuid = `${table}/${++this.#rowsMade}`
    const { required, wanted = {} } = northboundTables[table] as {
      required: Record<string, keyof typeof emptyOf>
      wanted?: Record<string, keyof typeof emptyOf>
    }
    const empty = Object.fromEntries(
      Object.entries({ ...required, ...wanted }).map(([column, kind]) => [column, emptyOf[kind]]),
    )
    this.#put(table, null, { ...empty, ...columns, uuid })
    return uuid
  }

  /** Changes columns of the row of this name. */
  update<T extends NorthboundTable>(table: T, name: string, columns: Columns<T>): this {
    const before = this.#named(table, name)
    this.#put(table, before, { ...before, ...columns })
    return this
  }

  remove(table: NorthboundTable, name: string): this {
    this.#put(table, this.#named(table, name), null)
    return this
  }

  #routerPort(
    router: string,
    name: string,
    networks: readonly string[],
    columns: Columns<'Logical_Router_Port'>,
  ): void {
    const uuid = this.insert('Logical_Router_Port', { name, networks, ...columns })
    this.#include('Logical_Router', router, 'ports', uuid)
  }

  #gateways(chassis: readonly string[]): readonly Uuid[] {
    return chassis.map((name, i) => this.insert('Gateway_Chassis', { chassis_name: name, priority: 100 - i }))
  }

  /** Puts an element into a set of the row of this name. */
  #include(table: NorthboundTable, name: string, column: string, element: Uuid): void {
    const before = this.#named(table, name)
    const set = (before as unknown as Readonly<Record<string, readonly Uuid[]>>)[column] ?? []
    this.#put(table, before, { ...before, [column]: [...set, element] })
  }

  #named(table: NorthboundTable, name: string): { readonly uuid: Uuid } {
    for (const row of this.#table(table).values()) if ('name' in row && row.name === name) return row
    throw new Error(`the layout has no ${table} ${name}`)
  }

  #table(table: string): Map<Uuid, { readonly uuid: Uuid }> {
    const known = this.#tables.get(table)
    if (known !== undefined) return known
    const made = new Map<Uuid, { readonly uuid: Uuid }>()
    this.#tables.set(table, made)
    return made
  }

  #put(
    table: NorthboundTable,
    before: { readonly uuid: Uuid } | null,
    after: { readonly uuid: Uuid } | null,
  ): void {
    if (after === null) this.#table(table).delete(before?.uuid ?? '')
    else this.#table(table).set(after.uuid, after)
    const change = { table, uuid: (before ?? after)?.uuid ?? '', before, after }
    this.#listener([change])
  }
}

/**
 * The seed's article ("The OVN load balancer", 2016): web servers vm1 and vm2 on dmz, vm3 and vm4 on inside, both behind
 * the distributed router tenant1, which reaches the LAN by the gateway router edge1.
 */
export const article = (edgeOptions: Options = {}): Layout =>
  new Layout()
    .switch('dmz')
    .switch('inside')
    .switch('transit')
    .switch('outside')
    .router('tenant1')
    .router('edge1', { chassis: 'hv1', ...edgeOptions })
    .join('tenant1', 'dmz', ['172.16.255.129/26'])
    .join('tenant1', 'inside', ['172.16.255.193/26'])
    .join('tenant1', 'transit', ['172.16.255.2/30'])
    .join('edge1', 'transit', ['172.16.255.1/30'])
    .join('edge1', 'outside', ['10.127.0.129/25'])
    .localnet('outside')
    .port('dmz', 'vm1', ['02:ac:10:ff:01:30 172.16.255.130'])
    .port('dmz', 'vm2', ['02:ac:10:ff:01:31 172.16.255.131'])
    .port('inside', 'vm3', ['02:ac:10:ff:01:94 172.16.255.194'])
    .port('inside', 'vm4', ['02:ac:10:ff:01:95 172.16.255.195'])
    .route('tenant1', '0.0.0.0/0', '172.16.255.1')
    .route('edge1', '172.16.255.128/25', '172.16.255.2')
