import {
  canonical,
  checkSources,
  networksOf,
  ownSubnets,
  portAddresses,
  routerPortName,
  texts,
  vipAddresses,
  type BalancerRow,
  type GroupRow,
  type NatRow,
  type RouterPortRow,
  type RouterRow,
  type SwitchPortRow,
  type SwitchRow,
} from './logicalRows.ts'
import type { RowChange } from './ovsdb/ovsdb.ts'
import { RowIndex } from './rowIndex.ts'
import { networkText } from './subnet.ts'
import type { NorthboundRow, NorthboundTable, northboundTables } from './tables.ts'

/** Tables with rows that are found by a key. */
export const indexedTables = [
  'Logical_Switch',
  'Logical_Router',
  'Logical_Switch_Port',
  'Logical_Router_Port',
  'Load_Balancer',
  'Load_Balancer_Group',
  'NAT',
] as const satisfies readonly NorthboundTable[]

/** Columns of a switch or router that `attachedTo` reads. */
const attachments = ['load_balancer', 'load_balancer_group'] as const

/** Rows of the logical network by what they are asked for. */
export class LogicalIndexes {
  readonly switchNames = new RowIndex<SwitchRow>(({ name }) => [name])
  readonly switchOfPort = new RowIndex<SwitchRow>(({ ports }) => texts(ports), ['ports'])
  readonly routerNames = new RowIndex<RouterRow>(({ name }) => [name])
  readonly routerOfPort = new RowIndex<RouterRow>(({ ports }) => texts(ports), ['ports'])
  readonly portNames = new RowIndex<SwitchPortRow>(({ name }) => [name])
  readonly holders = new RowIndex<SwitchPortRow>((row) => portAddresses(row).addresses)
  /** Switch ports by the name of their router port. */
  readonly towards = new RowIndex<SwitchPortRow>((row) => {
    const name = routerPortName(row)
    return name === null ? [] : [name]
  })
  readonly routerPortNames = new RowIndex<RouterPortRow>(({ name }) => [name])
  readonly routerPortAddresses = new RowIndex<RouterPortRow>((row) =>
    networksOf(row).map(({ address }) => address),
  )
  /** By NETWORK/PREFIX. */
  readonly routerPortNetworks = new RowIndex<RouterPortRow>((row) => networksOf(row).map(networkText))
  readonly switchNetworks = new RowIndex<SwitchRow>(
    (row) => ownSubnets(row).map(networkText),
    ['other_config'],
  )
  readonly groupNames = new RowIndex<GroupRow>(({ name = '' }) => [name])
  readonly groupsOf = new RowIndex<GroupRow>((row) => texts(row.load_balancer ?? []), ['load_balancer'])
  /** Switches and routers by load balancers and groups that they name. */
  readonly switchesWith = new RowIndex<SwitchRow>(attachedTo, attachments)
  readonly routersWith = new RowIndex<RouterRow>(attachedTo, attachments)
  readonly balancersByVip = new RowIndex<BalancerRow>(vipAddresses)
  readonly checkSources = new RowIndex<BalancerRow>(checkSources)
  readonly externals = new RowIndex<NatRow>(({ external_ip: external }) => canonical(external))
  readonly #indexes: {
    readonly [T in (typeof indexedTables)[number]]: readonly RowIndex<NorthboundRow<T>>[]
  } = {
    Logical_Switch: [this.switchNames, this.switchOfPort, this.switchesWith, this.switchNetworks],
    Logical_Router: [this.routerNames, this.routerOfPort, this.routersWith],
    Logical_Switch_Port: [this.portNames, this.holders, this.towards],
    Logical_Router_Port: [this.routerPortNames, this.routerPortAddresses, this.routerPortNetworks],
    Load_Balancer: [this.balancersByVip, this.checkSources],
    Load_Balancer_Group: [this.groupNames, this.groupsOf],
    NAT: [this.externals],
  }

  /** Takes over that a row came (before null), went (after null) or changed; of other tables nothing. */
  replace(
    table: NorthboundTable,
    before: NorthboundRow<NorthboundTable> | null,
    after: NorthboundRow<NorthboundTable> | null,
  ): void {
    const indexes: Partial<Record<NorthboundTable, readonly unknown[]>> = this.#indexes
    for (const index of (indexes[table] ?? []) as RowIndex<NorthboundRow<NorthboundTable>>[]) {
      index.replace(before, after)
    }
  }
}

/** Columns that make the network what it is. Which load balancers are where, and which ports are up, are no part of it. */
const network: Partial<Record<NorthboundTable, readonly string[]>> = {
  NB_Global: ['options'],
  Logical_Switch: ['name', 'ports', 'other_config', 'load_balancer_group'],
  Logical_Switch_Port: ['name', 'type', 'options', 'addresses', 'dynamic_addresses', 'enabled'],
  Logical_Router: ['name', 'ports', 'options', 'static_routes', 'nat', 'load_balancer_group'],
  Logical_Router_Port: ['name', 'mac', 'networks', 'options', 'peer', 'gateway_chassis', 'ha_chassis_group'],
  Logical_Router_Static_Route: ['ip_prefix', 'nexthop', 'policy', 'output_port'],
  NAT: ['type', 'external_ip', 'logical_ip'],
  Gateway_Chassis: ['chassis_name', 'priority'],
  HA_Chassis_Group: ['ha_chassis'],
  HA_Chassis: ['chassis_name', 'priority'],
  Load_Balancer_Group: ['name'],
}

/** Whether a change makes another network. The replica leaves the values of columns that did not change as they are. */
export function changesNetwork({ table, before, after }: RowChange<typeof northboundTables>): boolean {
  const columns = network[table]
  if (columns === undefined) return false
  if (before === null || after === null) return true
  return columns.some((column) => Reflect.get(before, column) !== Reflect.get(after, column))
}

/** Load balancers and groups that a switch or router names. */
export const attachedTo = (row: SwitchRow | RouterRow): readonly string[] => [
  ...texts(row.load_balancer),
  ...texts(row.load_balancer_group ?? []),
]
