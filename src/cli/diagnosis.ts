import type { Facts, ModuleState } from './doctorFacts.ts'
import { gatewayFindings } from './doctorGateway.ts'
import { note, ok, problem, type Finding } from './finding.ts'

/** Bits of linux/capability.h. */
const capability = { netBindService: 10n, netAdmin: 12n, sysAdmin: 21n, perfmon: 38n, bpf: 39n } as const

const capabilityNames: Readonly<Record<keyof typeof capability, string>> = {
  netBindService: 'CAP_NET_BIND_SERVICE',
  netAdmin: 'CAP_NET_ADMIN',
  sysAdmin: 'CAP_SYS_ADMIN',
  perfmon: 'CAP_PERFMON',
  bpf: 'CAP_BPF',
}

/** Descriptors of the daemon itself: store, log, event loop, the API's listener and a few of its clients. */
const ownDescriptors = 100

/** What the facts mean for Torb, and what to do about them. */
export function diagnose(facts: Facts): Finding[] {
  return [
    nodeFinding(facts),
    privilegeFinding(facts),
    descriptorFinding(facts),
    portFinding(facts),
    localPortFinding(facts),
    planeFinding(facts),
    ipvsFinding(facts),
    forwardingFinding(facts),
    conntrackFinding(facts),
    bpfFinding(facts),
    ioUringFinding(facts),
    ...(facts.gateway === null ? [] : gatewayFindings(facts.gateway, facts.ring === null)),
    ...ovnFindings(facts),
  ].filter((finding) => finding !== null)
}

function nodeFinding({ nodeVersion, platform }: Facts): Finding {
  const fact = `Node ${nodeVersion} on ${platform}`
  if (Number(nodeVersion.split('.')[0]) >= 26) return ok('runtime', fact)
  return problem(
    'runtime',
    fact,
    'Torb needs Node 26 or newer: run "npm ci" in its checkout, which brings one',
  )
}

function privilegeFinding({ uid, capabilities }: Facts): Finding | null {
  if (uid === null || capabilities === null) return null
  const held = (Object.keys(capability) as (keyof typeof capability)[])
    .filter((name) => has(capabilities, capability[name]))
    .map((name) => capabilityNames[name])
  return ok(
    'privileges',
    `user ${uid}${uid === 0 ? ' (root)' : ''}, of what planes may want: ${held.join(', ') || 'no capability'}`,
  )
}

function descriptorFinding({ openFiles }: Facts): Finding | null {
  if (openFiles === null) return null
  const { soft, hard } = openFiles
  const connections = Math.max(0, Math.floor((soft - ownDescriptors) / 2))
  const fact =
    `${soft} open files (hard limit ${hard}): about ${connections} proxied TCP connections at once, ` +
    'two descriptors each, less one for each service and each check under way'
  const cure = 'raise it with "ulimit -n", LimitNOFILE= in the unit, or --ulimit nofile= of the container'
  if (soft < 1024) return problem('descriptors', fact, cure)
  return soft < 65_536 ? note('descriptors', fact, cure) : ok('descriptors', fact)
}

function portFinding({ firstUnprivilegedPort: first, capabilities }: Facts): Finding | null {
  if (first === null) return null
  if (first === 0 || has(capabilities, capability.netBindService))
    return ok('low ports', 'services may use every port')
  return note(
    'low ports',
    `services need a port of ${first} or above`,
    'for ports below give CAP_NET_BIND_SERVICE, or lower sysctl net.ipv4.ip_unprivileged_port_start',
  )
}

function localPortFinding({ localPorts }: Facts): Finding | null {
  if (localPorts === null) return null
  const count = localPorts.last - localPorts.first + 1
  const fact = `${localPorts.first} to ${localPorts.last}: at most ${count} proxied connections at once to one backend`
  if (count >= 20_000) return ok('local ports', fact)
  return note('local ports', fact, 'widen sysctl net.ipv4.ip_local_port_range')
}

/** The best plane that can be had is the one that --plane auto takes. */
function planeFinding({ planes }: Facts): Finding | null {
  const taken = planes.findIndex(({ missing }) => missing === null)
  const plane = planes[taken]
  if (plane === undefined) return null
  const passedOver = planes.slice(0, taken).map(({ name, missing }) => `; not ${name}: ${missing ?? ''}`)
  return ok('plane', `"torb serve" takes ${plane.name}${passedOver.join('')}`)
}

function ipvsFinding({ ipvs, schedulers, capabilities, platform }: Facts): Finding | null {
  if (platform !== 'linux') return null
  const may = has(capabilities, capability.netAdmin)
  const right = may ? 'CAP_NET_ADMIN is there' : 'CAP_NET_ADMIN is missing'
  if (ipvs === 'absent') {
    return note(
      'ipvs',
      `this kernel has no ip_vs module, ${right}`,
      'install the kernel with its modules (in a container: load ip_vs on the host), or use the userspace plane',
    )
  }
  const fact = `ip_vs is ${ipvs === 'loaded' ? 'loaded' : 'there but not loaded'}, ${right}${schedulerText(schedulers)}`
  if (ipvs === 'loaded' && may) return ok('ipvs', fact)
  const load = ipvs === 'available' ? 'load it with "modprobe ip_vs"' : ''
  const start = may ? '' : 'start Torb as root or with CAP_NET_ADMIN'
  return note('ipvs', fact, [load, start].filter(Boolean).join('; '))
}

function schedulerText(schedulers: Facts['schedulers']): string {
  if (schedulers === null) return ', schedulers load when they are asked for'
  const inState = (...states: ModuleState[]): string =>
    Object.keys(schedulers)
      .filter((name) => states.includes(schedulers[name] ?? 'absent'))
      .join(' ')
  const absent = inState('absent')
  return `, schedulers: ${inState('loaded', 'available') || 'none'}${absent === '' ? '' : `; not of this kernel: ${absent}`}`
}

function forwardingFinding({ forwarding, ipvs }: Facts): Finding | null {
  // The userspace plane ends connections and begins new ones: nothing is forwarded.
  if (forwarding === null || ipvs === 'absent') return null
  const { ipv4, ipv6 } = forwarding
  const fact = `IPv4 ${ipv4 ? 'on' : 'off'}, IPv6 ${ipv6 ? 'on' : 'off'}`
  if (ipv4 && ipv6) return ok('forwarding', fact)
  const settings = [
    ...(ipv4 ? [] : ['net.ipv4.ip_forward=1']),
    ...(ipv6 ? [] : ['net.ipv6.conf.all.forwarding=1']),
  ].join(' ')
  return note(
    'forwarding',
    fact,
    `"nat" of the ipvs plane needs it for clients elsewhere: "sysctl -w ${settings}"`,
  )
}

function conntrackFinding({ conntrack, platform }: Facts): Finding | null {
  if (platform !== 'linux') return null
  if (conntrack === null) return ok('conntrack', 'nf_conntrack is not loaded: no table of it can be full')
  const { count, max } = conntrack
  const fact = `${count} of ${max} connections in the table of nf_conntrack`
  if (count < 0.8 * max) return ok('conntrack', fact)
  return note(
    'conntrack',
    fact,
    'packets are dropped when it is full: raise sysctl net.netfilter.nf_conntrack_max',
  )
}

function bpfFinding({
  platform,
  kernel,
  capabilities,
  bpfJit,
  unprivilegedBpfDisabled,
}: Facts): Finding | null {
  if (platform !== 'linux') return null
  const may =
    has(capabilities, capability.sysAdmin) ||
    (has(capabilities, capability.bpf) &&
      has(capabilities, capability.netAdmin) &&
      has(capabilities, capability.perfmon))
  const jit = bpfJit === null ? 'JIT unknown' : bpfJit > 0 ? 'JIT on' : 'JIT off'
  const others = unprivilegedBpfDisabled === 0 ? ', unprivileged bpf(2) allowed' : ''
  const fact = `kernel ${kernel}, ${jit}, ${may ? 'bpf(2) is allowed' : 'CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are missing'}${others}`
  if (!atLeast(kernel, 6, 6)) return note('ebpf', fact, 'tcx needs kernel 6.6 or newer')
  return may ? ok('ebpf', fact) : note('ebpf', fact, 'start Torb as root or with these capabilities')
}

function ioUringFinding({ platform, ring }: Facts): Finding | null {
  if (platform !== 'linux') return null
  if (ring === null) return ok('io_uring', 'the kernel allows it')
  return note('io_uring', ring.cause, `${ring.cure}; node:net is used instead`)
}

/** Nothing where no OVN is configured: it is nothing that everybody needs. */
function ovnFindings({ ovn, vswitchd }: Facts): Finding[] {
  const databases = (ovn ?? []).map(({ name, address, version, problem: why }) =>
    why === ''
      ? ok('ovn', `the ${name} database answers at ${address}, schema ${version}`)
      : problem('ovn', `the ${name} database cannot be used`, why),
  )
  const chassis = (vswitchd ?? []).map(({ path, problem: why }) =>
    why === ''
      ? ok('ovn', `ovs-vswitchd answers at ${path}: open connections of this chassis are seen`)
      : note('ovn', `open connections of the chassis at ${path || '""'} are not seen`, why),
  )
  return [...databases, ...chassis]
}

function has(capabilities: bigint | null, bit: bigint): boolean {
  return capabilities !== null && ((capabilities >> bit) & 1n) === 1n
}

function atLeast(kernel: string, major: number, minor: number): boolean {
  const [a = 0, b = 0] = kernel.split('.', 2).map((part) => Number.parseInt(part, 10))
  return a > major || (a === major && b >= minor)
}
