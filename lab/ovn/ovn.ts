import { execFile, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { TrafficActor } from '../actors/traffic.ts'
import { layOut, namespacesMissing, Network, type Namespace } from '../namespaces.ts'
import { Daemon, type DaemonSpec } from './daemon.ts'
import { ovnSchemas } from './ovsdbServers.ts'

const run = promisify(execFile)
const trafficModule = new URL('../actors/traffic.ts', import.meta.url)

const programs = [
  'ovn-nbctl',
  'ovn-northd',
  'ovn-controller',
  'ovs-vswitchd',
  'ovsdb-server',
  'ethtool',
  'setpriv',
]
const switchSchema = '/usr/share/openvswitch/vswitch.ovsschema'

/** Seconds that a command of OVN may take. */
const patience = 20

/** `sun_path` (unix(7)) less the terminating zero. */
const longestSocketPath = 107

/** Why there is no OVN to test against, with the cure, or null where there is. */
export function ovnMissing(): string | null {
  const namespaces = namespacesMissing()
  if (namespaces !== null) return namespaces
  const missing = programs.filter((program) => spawnSync(program, ['--version']).error !== undefined)
  return missing.length === 0 ? null : `${missing.join(', ')} missing: run "npm run lab"`
}

/** Addresses in CIDR form and the routers of an endpoint. */
export interface PortLink {
  readonly addresses: readonly string[]
  readonly gateways?: readonly string[]
}

/** An endpoint: a namespace of its own whose eth0 is on a chassis' bridge. */
export class OvnPort {
  readonly name: string
  readonly mac: string
  readonly namespace: Namespace
  /** Without prefix lengths. */
  readonly addresses: readonly string[]
  #traffic: Promise<TrafficActor> | null = null

  constructor(name: string, mac: string, namespace: Namespace, { addresses }: PortLink) {
    this.name = name
    this.mac = mac
    this.namespace = namespace
    this.addresses = addresses.map((address) => address.replace(/\/.*/, ''))
  }

  /** Clients and echo servers in here, in one process; started by the first call. */
  traffic(): Promise<TrafficActor> {
    return (this.#traffic ??= this.namespace.actor<TrafficActor>(trafficModule))
  }
}

/** A hypervisor: Open vSwitch with the userspace datapath and OVN's controller, in a namespace of its own. */
export interface Chassis {
  readonly name: string
  readonly namespace: Namespace
  /** Its Open vSwitch database. */
  readonly ovs: Daemon
  readonly vswitchd: Daemon
  readonly controller: Daemon
  /** Its OVS_RUNDIR: sockets, logs, databases. */
  readonly directory: string
  readonly vsctl: (...args: readonly string[]) => Promise<string>
}

/** Name of the physical network that localnet ports reach; its bridge is br-ex on each chassis. */
export const physicalNetwork = 'lan'

export interface OvnOptions {
  readonly chassis: 1 | 2
  /** Addresses of a northbound database that is served already, such as a cluster's; without it there is one here, `nb`. */
  readonly northbound?: readonly string[]
}

/** Starts an OVN; ready when its chassis are registered. @throws Error with the cause; nothing then stays behind */
export async function startOvn({ chassis, northbound }: OvnOptions): Promise<OvnLab> {
  const directory = mkdtempSync(join(tmpdir(), 'ovn-'))
  const names = chassis === 1 ? ['hv1'] : ['hv1', 'hv2']
  const longest = `${directory}/hv1/ovn-controller.4194304.ctl`
  if (longest.length > longestSocketPath) {
    rmSync(directory, { recursive: true })
    throw new Error(`${longest} is too long for a socket: set TMPDIR to a shorter path`)
  }
  const network = await Network.create({
    bridges: { underlay: [] },
    local: [],
    members: Object.fromEntries(names.map((name) => [name, { bridge: 'underlay', addresses: [] }])),
  })
  const lab = new OvnLab(directory, network, names, northbound)
  try {
    await lab.start()
  } catch (error) {
    lab.close()
    throw error
  }
  return lab
}

/** A real OVN in namespaces and a directory of its own. Ends with `close`, and with this process whatever ends that. */
export class OvnLab implements Disposable {
  readonly directory: string
  /** Of the northbound database, as `ovn-nbctl --db` takes it. */
  readonly nbAddress: string
  readonly sbAddress: string
  /** Not started where the northbound database is served elsewhere. */
  readonly nb: Daemon
  readonly sb: Daemon
  readonly northd: Daemon
  readonly chassis: readonly Chassis[]
  readonly #network: Network
  readonly #servesNorthbound: boolean
  #ports = 0

  constructor(
    directory: string,
    network: Network,
    chassis: readonly string[],
    northbound?: readonly string[],
  ) {
    this.directory = directory
    this.#network = network
    this.#servesNorthbound = northbound === undefined
    this.nbAddress = northbound?.join(',') ?? `unix:${directory}/nb/db.sock`
    this.sbAddress = `unix:${directory}/sb/db.sock`
    const namespace = network.hub
    this.nb = new Daemon('nb', databaseSpec(namespace, `${directory}/nb`))
    this.sb = new Daemon('sb', databaseSpec(namespace, `${directory}/sb`))
    this.northd = new Daemon('northd', {
      namespace,
      directory: `${directory}/northd`,
      command: ['ovn-northd', `--ovnnb-db=${this.nbAddress}`, `--ovnsb-db=${this.sbAddress}`],
    })
    this.chassis = chassis.map((name) => chassisOf(name, network.member(name), `${directory}/${name}`))
    network.onClose(() => rmSync(directory, { recursive: true, force: true }))
  }

  async start(): Promise<void> {
    const { nb, sb, northd } = this
    await Promise.all([
      Promise.all([
        this.#servesNorthbound
          ? createDatabase(`${this.directory}/nb`, ovnSchemas.northbound).then(() => nb.start())
          : undefined,
        createDatabase(`${this.directory}/sb`, ovnSchemas.southbound).then(() => sb.start()),
      ]).then(() => Promise.all([northd.start(), this.nbctl('init'), this.sbctl('init')])),
      ...this.chassis.map((chassis, i) => startChassis(chassis, `192.0.2.${i + 1}`, this.sbAddress)),
    ])
    await Promise.all([
      ...this.chassis.map(({ controller }) => controller.start()),
      ...this.chassis.map(({ name }) => this.sbctl('wait-until', 'Chassis', name)),
    ])
  }

  /** Runs ovn-nbctl. @returns its standard output @throws Error with its standard error */
  async nbctl(...args: readonly string[]): Promise<string> {
    return (await run('ovn-nbctl', [`--timeout=${patience}`, `--db=${this.nbAddress}`, ...args])).stdout
  }

  /** Runs ovn-sbctl. */
  async sbctl(...args: readonly string[]): Promise<string> {
    return (await run('ovn-sbctl', [`--timeout=${patience}`, `--db=${this.sbAddress}`, ...args])).stdout
  }

  /** Waits until what the northbound database has is in force on all chassis. */
  async sync(): Promise<void> {
    await this.nbctl('--wait=hv', 'sync')
  }

  /**
   * An endpoint on a logical switch, which has to be there: makes the logical port too, and waits until it is up.
   *
   * @param at which chassis, from 1
   */
  async port(at: 1 | 2, logicalSwitch: string, name: string, link: PortLink): Promise<OvnPort> {
    const port = await this.#endpoint(at, 'br-int', name, link, [`external_ids:iface-id=${name}`])
    const addresses = [port.mac, ...port.addresses].join(' ')
    await this.nbctl('lsp-add', logicalSwitch, name, '--', 'lsp-set-addresses', name, addresses)
    await this.nbctl('wait-until', 'Logical_Switch_Port', name, 'up=true')
    return port
  }

  /** A host on the physical network, beside OVN: what localnet ports with network_name `physicalNetwork` reach. */
  host(at: 1 | 2, name: string, link: PortLink): Promise<OvnPort> {
    return this.#endpoint(at, 'br-ex', name, link, [])
  }

  /** Synchronous, so that it also works at exit. */
  close(): void {
    this.#network.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  async #endpoint(
    at: 1 | 2,
    bridge: string,
    name: string,
    link: PortLink,
    settings: readonly string[],
  ): Promise<OvnPort> {
    const chassis = this.chassis[at - 1]
    if (chassis === undefined) throw new Error(`this OVN has no chassis ${at}`)
    const number = ++this.#ports
    const device = `p${number}`
    const mac = `0a:00:00:00:${hexByte(number >> 8)}:${hexByte(number & 0xff)}`
    const namespace = await this.#network.add(name)
    await layOut(
      [
        `link add ${device} type veth peer name eth0 netns ${namespace.name} address ${mac}`,
        `link set ${device} up`,
      ],
      chassis.namespace.name,
    )
    await layOut(
      [
        'link set lo up',
        // Room for Geneve.
        'link set eth0 mtu 1400 up',
        ...link.addresses.map(
          (address) => `address add ${address} dev eth0${address.includes(':') ? ' nodad' : ''}`,
        ),
        ...(link.gateways ?? []).map(
          (gateway) => `route add ${gateway.includes(':') ? '::/0' : '0.0.0.0/0'} via ${gateway}`,
        ),
      ],
      namespace.name,
    )
    await Promise.all([
      // The userspace datapath does not fill in checksums that the kernel left to hardware.
      namespace.run('ethtool', '-K', 'eth0', 'tx', 'off'),
      // Probes of OVN leave half-open sockets at the servers.
      namespace.run('sysctl', '-q', '-w', 'net.ipv4.tcp_synack_retries=1'),
      chassis.vsctl(
        'add-port',
        bridge,
        device,
        ...(settings.length === 0 ? [] : ['--', 'set', 'Interface', device, ...settings]),
      ),
    ])
    return new OvnPort(name, mac, namespace, link)
  }
}

const hexByte = (value: number): string => value.toString(16).padStart(2, '0')

/** An ovsdb-server of the database that `createDatabase` makes. */
function databaseSpec(namespace: Namespace, directory: string): DaemonSpec {
  const socket = `${directory}/db.sock`
  return {
    namespace,
    directory,
    command: ['ovsdb-server', `${directory}/db`, `--remote=punix:${socket}`],
    socket,
  }
}

async function createDatabase(directory: string, schema: string): Promise<void> {
  mkdirSync(directory)
  await run('ovsdb-tool', ['create', `${directory}/db`, schema])
}

function chassisOf(name: string, namespace: Namespace, directory: string): Chassis {
  const address = `unix:${directory}/db.sock`
  return {
    name,
    namespace,
    directory,
    ovs: new Daemon('ovs', databaseSpec(namespace, directory)),
    vswitchd: new Daemon('vswitchd', { namespace, directory, command: ['ovs-vswitchd', address] }),
    controller: new Daemon('controller', { namespace, directory, command: ['ovn-controller', address] }),
    vsctl: async (...args) =>
      (await run('ovs-vsctl', [`--timeout=${patience}`, `--db=${address}`, ...args])).stdout,
  }
}

/** Brings up Open vSwitch; its Geneve tunnels leave by br-phy, since the userspace datapath routes them itself. */
async function startChassis(chassis: Chassis, underlay: string, sbAddress: string): Promise<void> {
  const { namespace, name, directory, vsctl } = chassis
  await createDatabase(directory, switchSchema)
  await chassis.ovs.start()
  await vsctl('--no-wait', 'init')
  await chassis.vswitchd.start()
  await vsctl(
    ...'set Open_vSwitch .'.split(' '),
    `external_ids:system-id=${name}`,
    `external_ids:ovn-remote="${sbAddress}"`,
    'external_ids:ovn-encap-type=geneve',
    `external_ids:ovn-encap-ip=${underlay}`,
    'external_ids:ovn-bridge-datapath-type=netdev',
    `external_ids:ovn-bridge-mappings=${physicalNetwork}:br-ex`,
    ...['br-int', 'br-ex', 'br-phy'].flatMap((bridge) => [
      '--',
      'add-br',
      bridge,
      '--',
      'set',
      'Bridge',
      bridge,
      'datapath_type=netdev',
      `fail_mode=${bridge === 'br-int' ? 'secure' : 'standalone'}`,
    ]),
    ...'-- add-port br-phy eth0'.split(' '),
  )
  await layOut([`address add ${underlay}/24 dev br-phy`, 'link set br-phy up'], namespace.name)
  await namespace.run('ethtool', '-K', 'eth0', 'tx', 'off')
}
