import { readFileSync, readdirSync } from 'node:fs'
import { release } from 'node:os'

/** What there is to know of this machine; null where the kernel does not say. */
export interface Facts {
  readonly platform: string
  readonly nodeVersion: string
  readonly kernel: string
  readonly openFiles: { readonly soft: number; readonly hard: number } | null
  readonly isRoot: boolean
  /** Bits of linux/capability.h. */
  readonly capabilities: bigint | null
  readonly seccomp: boolean
  readonly ipvs: 'loaded' | 'available' | 'absent'
  /** /proc/sys/kernel/io_uring_disabled: 0 anybody, 1 a group or CAP_SYS_ADMIN, 2 nobody. */
  readonly ioUringDisabled: number | null
  readonly unprivilegedBpfDisabled: number | null
  readonly bpfJit: number | null
  readonly firstUnprivilegedPort: number | null
  readonly localPorts: { readonly first: number; readonly last: number } | null
}

export function readFacts(): Facts {
  const kernel = release()
  const status = readText('/proc/self/status')
  const capabilities = /^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1]
  return {
    platform: process.platform,
    nodeVersion: process.versions.node,
    kernel,
    openFiles: parseOpenFiles(readText('/proc/self/limits')),
    isRoot: process.getuid?.() === 0,
    capabilities: capabilities === undefined ? null : BigInt(`0x${capabilities}`),
    seccomp: /^Seccomp:\s*[12]/m.test(status),
    ipvs: ipvsState(kernel),
    ioUringDisabled: sysctl('kernel/io_uring_disabled'),
    unprivilegedBpfDisabled: sysctl('kernel/unprivileged_bpf_disabled'),
    bpfJit: sysctl('net/core/bpf_jit_enable'),
    firstUnprivilegedPort: sysctl('net/ipv4/ip_unprivileged_port_start'),
    localPorts: parsePorts(readText('/proc/sys/net/ipv4/ip_local_port_range')),
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

function ipvsState(kernel: string): Facts['ipvs'] {
  if (readText('/proc/net/ip_vs') !== '') return 'loaded'
  const modules = `/lib/modules/${kernel}`
  const builtIn = /\/ip_vs\.ko/.test(readText(`${modules}/modules.builtin`))
  return builtIn || listed(`${modules}/kernel/net/netfilter/ipvs`).some((name) => name.startsWith('ip_vs.ko'))
    ? 'available'
    : 'absent'
}

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

function listed(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}
