import { z } from 'zod'
import { daemonOptions, type DaemonOptions } from '../model/daemon.ts'
import { issueText } from '../model/issues.ts'
import { defaultTimeouts } from '../model/timeouts.ts'
import { dashed, type Flag, type FlagTable, type Values } from './goFlags.ts'

/** GORB's one-letter names. */
const aliases: Readonly<Record<string, string>> = {
  listen: 'l',
  interface: 'i',
  consul: 'c',
  flush: 'f',
  verbose: 'v',
}

/** What the help says where an option is not given. */
const defaults: Readonly<Record<string, string>> = {
  listen: ':4672',
  interface: 'eth0 where it exists, else the device of the default route',
  plane: 'auto',
  data: '/var/lib/torb for root, else $XDG_STATE_HOME/torb',
  local_trust: 'any',
  ovn_nb: 'unix:/var/run/ovn/ovnnb_db.sock',
  ovn_sb: 'unix:/var/run/ovn/ovnsb_db.sock',
  ovn_owner: 'torb',
  tcp_timeout: String(defaultTimeouts.tcp),
  tcpfin_timeout: String(defaultTimeouts.tcpfin),
  udp_timeout: String(defaultTimeouts.udp),
  sync_id: '0',
  sync_group: '224.0.0.81',
  sync_port: '8848',
  sync_ttl: '1',
  sync_maxlen: 'what the interface carries in one piece',
  gateway_node: 'the name of the host',
  gateway_handler: 'wrr',
  gateway_transport: 'auto',
  gateway_workers: 'one for each core',
  access_log_every: '1',
  hop_limit: '1',
  etcd_max_loss: '50',
  feedback_interval: '5s',
  feedback_max_step: '10',
  feedback_floor: '10',
}

const placeholders: Readonly<Record<string, string>> = {
  listen: '[HOST]:PORT',
  interface: 'IFACE',
  vip_interface: 'IFACE',
  consul: 'URL',
  data: 'DIR',
  token_file: 'FILE',
  host_names: 'NAME',
  tls_cert: 'FILE',
  tls_key: 'FILE',
  tls_client_ca: 'FILE',
  ovn_nb: 'ADDRESS',
  ovn_sb: 'ADDRESS',
  ovn_owner: 'NAME',
  ovn_ca: 'FILE',
  ovn_cert: 'FILE',
  ovn_key: 'FILE',
  ovn_vswitchd: 'PATH',
  sync_master: 'IFACE',
  sync_backup: 'IFACE',
  sync_group: 'ADDRESS',
  gateway: '[ADDR]:PORT',
  zones: 'ZONE',
  gateway_node: 'NAME',
  gateway_peers: 'HOST[:PORT]',
  access_log: 'FILE',
  hop_key_file: 'FILE',
  etcd: 'HOST:PORT',
  etcd_user: 'NAME',
  etcd_password_file: 'FILE',
  etcd_ca: 'FILE',
  etcd_cert: 'FILE',
  etcd_key: 'FILE',
}

interface Property {
  readonly type?: string
  /** Of a text or a list of them. */
  readonly anyOf?: readonly unknown[]
  readonly description?: string
  readonly enum?: readonly string[]
  readonly minimum?: number
  readonly maximum?: number
}

/** `token_file` is --token-file; a list has the name of one of its items: `host_names` is --host-name. */
function flagName(key: string, { type }: Property): string {
  // GORB's name.
  if (key === 'vip_interface') return 'vipi'
  const name = key.replaceAll('_', '-')
  return type === 'array' ? name.replace(/s$/, '') : name
}

const kinds: Readonly<Record<string, Flag['kind']>> = {
  boolean: 'boolean',
  integer: 'integer',
  array: 'list',
}

const properties = Object.entries(
  (z.toJSONSchema(daemonOptions, { io: 'input' }).properties ?? {}) as Readonly<Record<string, Property>>,
)

/** The daemon's options as flags: the schema of the configuration file is the one list of both. */
export const serveFlags: FlagTable = Object.fromEntries([
  ...properties.map(([key, property]) => {
    const { anyOf, type = anyOf === undefined ? '' : 'array', description = '', minimum, maximum } = property
    const stated = defaults[key]
    const flag: Flag = {
      kind: kinds[type] ?? 'string',
      about: stated === undefined ? description : `${description} (default ${stated})`,
      ...(aliases[key] === undefined ? {} : { alias: aliases[key] }),
      ...(placeholders[key] === undefined ? {} : { value: placeholders[key] }),
      ...(property.enum === undefined ? {} : { choices: property.enum }),
      ...(minimum === undefined ? {} : { min: minimum }),
      ...(maximum === undefined ? {} : { max: maximum }),
    }
    return [flagName(key, property), flag] as const
  }),
  [
    'config',
    {
      kind: 'string',
      value: 'FILE',
      about: 'configuration file in YAML, JSON or TOML, read again on SIGHUP; a flag wins over its key',
    },
  ] as const,
])

/**
 * The flags that were given, under the keys of the configuration file.
 *
 * @throws Error that names the flag which the schema refuses
 */
export function givenOptions(flags: Values<FlagTable>): DaemonOptions {
  const given = properties.flatMap(([key, property]) => {
    const value = flags[flagName(key, property)]
    return value === undefined ? [] : [[key, value] as const]
  })
  const parsed = daemonOptions.safeParse(Object.fromEntries(given), { error: issueText })
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const [key = ''] = issue?.path ?? []
  const property = properties.find(([name]) => name === key)
  const flag = property === undefined ? String(key) : flagName(...property)
  throw new Error(`${dashed(flag)} ${issue?.message ?? ''}`)
}

const ownStore =
  'Torb keeps its own store under --data; one shared over the network is not part of this version'

/** GORB's flags that Torb does not have, and what to do instead. */
export const absentFlags: Readonly<Record<string, string>> = {
  store: ownStore,
  'store-sync-time': ownStore,
  'store-service-path': ownStore,
  'store-backend-path': ownStore,
  'store-use-tls': ownStore,
}
