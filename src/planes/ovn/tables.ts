import type { Ovsdb, Row } from './ovsdb/ovsdb.ts'

/** Columns of OVN_Northbound (ovn-nb(5)) that are read; `wanted` came with later versions of OVN. */
export const northboundTables = {
  NB_Global: {
    required: { nb_cfg: 'integer', sb_cfg: 'integer', hv_cfg: 'integer', options: 'map' },
    wanted: { nb_cfg_timestamp: 'integer', sb_cfg_timestamp: 'integer', hv_cfg_timestamp: 'integer' },
  },
  Load_Balancer: {
    required: { name: 'string', vips: 'map', protocol: 'optional', options: 'map', external_ids: 'map' },
    wanted: { selection_fields: 'set', health_check: 'set', ip_port_mappings: 'map' },
  },
  Load_Balancer_Group: { required: {}, wanted: { name: 'string', load_balancer: 'set' } },
  Load_Balancer_Health_Check: {
    required: {},
    wanted: { vip: 'string', options: 'map', external_ids: 'map' },
  },
  Logical_Switch: {
    required: {
      name: 'string',
      ports: 'set',
      load_balancer: 'set',
      other_config: 'map',
      external_ids: 'map',
    },
    wanted: { load_balancer_group: 'set' },
  },
  Logical_Switch_Port: {
    required: {
      name: 'string',
      type: 'string',
      options: 'map',
      addresses: 'set',
      dynamic_addresses: 'optional',
      port_security: 'set',
      up: 'optional',
      enabled: 'optional',
      external_ids: 'map',
    },
  },
  Logical_Router: {
    required: {
      name: 'string',
      ports: 'set',
      load_balancer: 'set',
      options: 'map',
      external_ids: 'map',
      static_routes: 'set',
      nat: 'set',
    },
    wanted: { load_balancer_group: 'set' },
  },
  Logical_Router_Port: {
    required: {
      name: 'string',
      mac: 'string',
      networks: 'set',
      options: 'map',
      peer: 'optional',
      enabled: 'optional',
      gateway_chassis: 'set',
    },
    wanted: { ha_chassis_group: 'optional' },
  },
  Gateway_Chassis: { required: { chassis_name: 'string', priority: 'integer' } },
  HA_Chassis_Group: { required: { ha_chassis: 'set' } },
  HA_Chassis: { required: { chassis_name: 'string', priority: 'integer' } },
  Logical_Router_Static_Route: {
    required: { ip_prefix: 'string', nexthop: 'string', policy: 'optional', output_port: 'optional' },
  },
  NAT: {
    required: {
      type: 'string',
      external_ip: 'string',
      logical_ip: 'string',
      logical_port: 'optional',
      options: 'map',
    },
  },
  Chassis_Template_Var: {
    required: {},
    wanted: { chassis: 'string', variables: 'map', external_ids: 'map' },
  },
} as const

/** Columns of OVN_Southbound (ovn-sb(5)) that are read. */
export const southboundTables = {
  SB_Global: { required: { nb_cfg: 'integer' } },
  Chassis: { required: { name: 'string', hostname: 'string', other_config: 'map' } },
  Chassis_Private: {
    required: { name: 'string', nb_cfg: 'integer' },
    wanted: { nb_cfg_timestamp: 'integer', chassis: 'optional' },
  },
  Service_Monitor: {
    required: {
      ip: 'string',
      protocol: 'optional',
      port: 'integer',
      logical_port: 'string',
      src_ip: 'string',
      status: 'optional',
      options: 'map',
      external_ids: 'map',
    },
  },
  Port_Binding: {
    required: {
      logical_port: 'string',
      type: 'string',
      chassis: 'optional',
      mac: 'set',
      options: 'map',
      external_ids: 'map',
    },
    wanted: { up: 'optional' },
  },
} as const

export type Northbound = Ovsdb<typeof northboundTables>
export type Southbound = Ovsdb<typeof southboundTables>

export type NorthboundTable = keyof typeof northboundTables
export type SouthboundTable = keyof typeof southboundTables
export type NorthboundRow<Table extends NorthboundTable> = Row<(typeof northboundTables)[Table]>
export type SouthboundRow<Table extends SouthboundTable> = Row<(typeof southboundTables)[Table]>
