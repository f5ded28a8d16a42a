import { readFileSync } from 'node:fs'
import { release } from 'node:os'
import { askForRing, type RingRefusal } from '../kernel/uring/probe.ts'
import type { DaemonOptions } from '../model/daemon.ts'
import { schedulerNames } from '../model/names.ts'
import { surveyPlanes } from '../planes/choose.ts'
import type { GatewayFacts } from './doctorGateway.ts'
import { readOvnFacts, readVswitchdFacts, type OvnDatabase, type Vswitchd } from './doctorOvn.ts'

/** Of the kernel's IPVS or one of its modules. available: loads when it is asked for. */
export type ModuleState = 'loaded' | 'available' | 'absent'

/** What there is to know of this machine; null where the kernel does not say. */
export interface Facts {
  readonly platform: string
  readonly nodeVersion: string
  readonly kernel: string
  readonly openFiles: { readonly soft: number; readonly hard: number } | null
  readonly uid: number | null
  /** Bits of linux/capability.h. */
  readonly capabilities: bigint | null
  readonly ipvs: ModuleState
  /** The schedulers of IPVS; null where the modules of this kernel are not to be seen, as in a container. */
  readonly schedulers: Readonly<Record<string, ModuleState>> | null
  /** What `--plane auto` goes by: the best first, and why not; null where it can be had. */
  readonly planes: readonly { readonly name: string; readonly missing: string | null }[]
  readonly forwarding: { readonly ipv4: boolean; readonly ipv6: boolean } | null
  /** Entries of the kernel's table of connections; null where nf_conntrack is not loaded. */
  readonly conntrack: { readonly count: number; readonly max: number } | null
  /** Why there is no io_uring to be had; null where there is. */
  readonly ring: RingRefusal | null
  readonly unprivilegedBpfDisabled: number | null
  readonly bpfJit: number | null
  readonly firstUnprivilegedPort: number | null
  readonly localPorts: { readonly first: number; readonly last: number } | null
  /** Of a running Torb's functions; null where nobody was asked. */
  readonly gateway: GatewayFacts | null
  /** Of OVN; null where none is configured. */
  readonly ovn: readonly OvnDatabase[] | null
  /** By which OVN's open connections are seen; null where none is configured. */
  readonly vswitchd: readonly Vswitchd[] | null
}

/** @param gateway asks a running Torb */
export async function readFacts(
  options: DaemonOptions = {},
  gateway: () => Promise<GatewayFacts | null> = () => Promise.resolve(null),
): Promise<Facts> {
  const kernel = release()
  const status = readText('/proc/self/status')
  const capabilities = /^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1]
  return {
    platform: process.platform,
    nodeVersion: process.versions.node,
    kernel,
    openFiles: parseOpenFiles(readText('/proc/self/limits')),
    uid: process.getuid?.() ?? null,
    capabilities: capabilities === undefined ? null : BigInt(`0x${capabilities}`),
    ...ipvsModules({
      hasTable: readText('/proc/net/ip_vs') !== '',
      loaded: readText('/proc/modules'),
      loadable: readText(`/lib/modules/${kernel}/modules.dep`),
      builtIn: readText(`/lib/modules/${kernel}/modules.builtin`),
    }),
    planes: await surveyPlanes(options),
    forwarding: parseForwarding(sysctl('net/ipv4/ip_forward'), sysctl('net/ipv6/conf/all/forwarding')),
    conntrack: parseConntrack(
      sysctl('net/netfilter/nf_conntrack_count'),
      sysctl('net/netfilter/nf_conntrack_max'),
    ),
    ring: await askForRing(),
    unprivilegedBpfDisabled: sysctl('kernel/unprivileged_bpf_disabled'),
    bpfJit: sysctl('net/core/bpf_jit_enable'),
    firstUnprivilegedPort: sysctl('net/ipv4/ip_unprivileged_port_start'),
    localPorts: parsePorts(readText('/proc/sys/net/ipv4/ip_local_port_range')),
    gateway: await gateway(),
    ovn: await readOvnFacts(options),
    vswitchd: await readVswitchdFacts(options),
  }
}

/** The line `Max open files` of /proc/PID/limits. */
export function parseOpenFiles(limits: string): Facts['openFiles'] {
  const [, soft, hard] = /^Max open files\s+(\d+|unlimited)\s+(\d+|unlimited)/m.exec(limits) ?? []
  if (soft === undefined || hard === undefined) return null
  const number = (text: string): number => (text === 'unlimited' ? Infinity : Number(text))
  return { soft: number(soft), hard: number(hard) }
}

export function parsePorts(range: string): Facts['localPorts'] {
  const [, first, last] = /^(\d+)\s+(\d+)/.exec(range) ?? []
  return first === undefined ? null : { first: Number(first), last: Number(last) }
}

interface ModuleLists {
  /** There is a /proc/net/ip_vs. */
  readonly hasTable: boolean
  /** /proc/modules */
  readonly loaded: string
  /** modules.dep and modules.builtin of the running kernel (modules.dep(5)); empty where they cannot be read. */
  readonly loadable: string
  readonly builtIn: string
}

/** What there is of ip_vs and its schedulers. */
export function ipvsModules(lists: ModuleLists): Pick<Facts, 'ipvs' | 'schedulers'> {
  const builtIn = moduleNames(lists.builtIn)
  const loadable = moduleNames(lists.loadable)
  const loaded = new Set(lists.loaded.split('\n').map((line) => line.split(' ', 1)[0]))
  const state = (name: string): ModuleState => {
    if (loaded.has(name) || (builtIn.has(name) && lists.hasTable)) return 'loaded'
    return loadable.has(name) || builtIn.has(name) ? 'available' : 'absent'
  }
  const ipvs = lists.hasTable ? 'loaded' : state('ip_vs')
  if (ipvs === 'absent' || (lists.loadable === '' && lists.builtIn === '')) return { ipvs, schedulers: null }
  return {
    ipvs,
    schedulers: Object.fromEntries(schedulerNames.map((name) => [name, state(`ip_vs_${name}`)])),
  }
}

/** The modules of IPVS at the heads of lines such as `kernel/net/netfilter/ipvs/ip_vs_rr.ko.xz: ...`. */
const moduleNames = (list: string): Set<string> =>
  new Set([...list.matchAll(/^\S*\/(ip_vs\w*)\.ko/gm)].map(([, name = '']) => name))

const parseForwarding = (ipv4: number | null, ipv6: number | null): Facts['forwarding'] =>
  ipv4 === null ? null : { ipv4: ipv4 !== 0, ipv6: ipv6 !== null && ipv6 !== 0 }

const parseConntrack = (count: number | null, max: number | null): Facts['conntrack'] =>
  count === null || max === null ? null : { count, max }

function sysctl(path: string): number | null {
  const text = readText(`/proc/sys/${path}`).trim()
  return /^-?\d+$/.test(text) ? Number(text) : null
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
