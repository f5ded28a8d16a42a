import { describe, expect, it } from 'vitest'
import { diagnose } from './diagnosis.ts'
import type { OvnDatabase } from './doctorOvn.ts'
import { ipvsModules, parseOpenFiles, parsePorts, readFacts, type Facts } from './doctorFacts.ts'

const best: Facts = {
  platform: 'linux',
  nodeVersion: '26.10.0',
  kernel: '6.12.0-amd64',
  openFiles: { soft: 1_048_576, hard: 1_048_576 },
  uid: 0,
  capabilities: 0x1ff_ffff_ffffn,
  ipvs: 'loaded',
  schedulers: { rr: 'loaded', wrr: 'available' },
  planes: [
    { name: 'ipvs', missing: null },
    { name: 'userspace', missing: null },
  ],
  forwarding: { ipv4: true, ipv6: true },
  conntrack: { count: 10, max: 65_536 },
  ring: null,
  unprivilegedBpfDisabled: 2,
  bpfJit: 1,
  firstUnprivilegedPort: 1024,
  localPorts: { first: 32_768, last: 60_999 },
  gateway: null,
  ovn: null,
  vswitchd: null,
}

const north: OvnDatabase = {
  name: 'northbound',
  address: 'unix:/nb',
  version: '7.0.0',
  problem: '',
}
const south: OvnDatabase = { ...north, name: 'southbound', version: '20.27.0' }

it('speaks of OVN only where it is configured', () => {
  const of = (ovn: Facts['ovn']) =>
    diagnose({ ...best, ovn }).flatMap(({ subject, level }) => (subject === 'ovn' ? [level] : []))
  expect([of(null), of([north, south])]).toEqual([[], ['ok', 'ok']])
})

it('finds nothing amiss on a machine that has all', () => {
  expect(diagnose(best).filter(({ level }) => level !== 'ok')).toEqual([])
})

describe('each lack has its cure', () => {
  const cases: [facts: Partial<Facts>, subject: string, level: string, text: RegExp][] = [
    [{ nodeVersion: '20.19.0' }, 'runtime', 'problem', /Node 20.*npm ci/],
    [
      { openFiles: { soft: 256, hard: 4096 } },
      'descriptors',
      'problem',
      /256 open files \(hard limit 4096\): about 78 .*ulimit -n/,
    ],
    [
      { openFiles: { soft: 20_000, hard: 20_000 } },
      'descriptors',
      'note',
      /about 9950 proxied TCP connections/,
    ],
    [{ uid: 1000, capabilities: 0n }, 'low ports', 'note', /a port of 1024 or above.*CAP_NET_BIND_SERVICE/],
    [{ uid: 1000, capabilities: 1n << 10n }, 'low ports', 'ok', /every port/],
    [
      { localPorts: { first: 50_000, last: 50_099 } },
      'local ports',
      'note',
      /at most 100 .*ip_local_port_range/,
    ],
    [{ ipvs: 'absent' }, 'ipvs', 'note', /no ip_vs module.*userspace plane/],
    [{ ipvs: 'available' }, 'ipvs', 'note', /not loaded.*modprobe ip_vs/],
    [{ ipvs: 'available', capabilities: 0n }, 'ipvs', 'note', /modprobe ip_vs"; start Torb as root/],
    [{ capabilities: 0n }, 'ebpf', 'note', /CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are missing/],
    [{ kernel: '6.1.0-18-amd64' }, 'ebpf', 'note', /tcx needs kernel 6.6/],
    [{ capabilities: 1n << 12n, uid: 7 }, 'privileges', 'ok', /user 7, .*: CAP_NET_ADMIN /],
    [{ capabilities: 0n, uid: 7 }, 'privileges', 'ok', /no capability/],
    [
      {
        planes: [
          { name: 'ipvs', missing: 'no ip_vs here' },
          { name: 'userspace', missing: null },
        ],
      },
      'plane',
      'ok',
      /takes userspace; not ipvs: no ip_vs here/,
    ],
    [
      { schedulers: { rr: 'loaded', twos: 'absent' } },
      'ipvs',
      'ok',
      /schedulers: rr; not of this kernel: twos/,
    ],
    [{ schedulers: null }, 'ipvs', 'ok', /load when they are asked for/],
    [
      { forwarding: { ipv4: false, ipv6: false } },
      'forwarding',
      'note',
      /off.*net\.ipv4\.ip_forward=1 net\.ipv6\.conf\.all\.forwarding=1/,
    ],
    [{ conntrack: { count: 60_000, max: 65_536 } }, 'conntrack', 'note', /60000 of 65536.*nf_conntrack_max/],
    [{ conntrack: null }, 'conntrack', 'ok', /not loaded/],
    [
      { ring: { cause: 'the kernel is too old', cure: 'use a newer one' } },
      'io_uring',
      'note',
      /too old use a newer one; node:net is used instead/,
    ],
    [{ ring: null }, 'io_uring', 'ok', /allows it/],
    [{ ovn: [north, south] }, 'ovn', 'ok', /northbound database answers at unix:\/nb, schema 7\.0\.0/],
    [
      { ovn: [{ ...north, problem: 'nobody listens there: start ovsdb-server' }] },
      'ovn',
      'problem',
      /northbound database cannot be used nobody listens there: start/,
    ],
    [{ vswitchd: [{ path: '/run/ovs', problem: '' }] }, 'ovn', 'ok', /ovs-vswitchd answers at \/run\/ovs/],
    [
      { vswitchd: [{ path: '/run/ovs', problem: 'there is no such socket: correct the path' }] },
      'ovn',
      'note',
      /chassis at \/run\/ovs are not seen there is no such socket: correct/,
    ],
  ]
  it.each(cases)('%o', (facts, subject, level, text) => {
    const finding = diagnose({ ...best, ...facts }).find((found) => found.subject === subject)
    expect(finding?.level).toBe(level)
    expect(`${finding?.fact} ${finding?.cure}`).toMatch(text)
    expect(finding?.cure === '').toBe(level === 'ok')
  })
})

it('says nothing of what other systems do not have', () => {
  const facts: Facts = {
    ...best,
    platform: 'darwin',
    openFiles: null,
    capabilities: null,
    uid: null,
    ipvs: 'absent',
    schedulers: null,
    planes: [],
    forwarding: null,
    conntrack: null,
    ring: { cause: 'io_uring is of Linux', cure: 'use Linux' },
    firstUnprivilegedPort: null,
    localPorts: null,
  }
  expect(diagnose(facts).map(({ subject }) => subject)).toEqual(['runtime'])
})

it('reads what the kernel writes', () => {
  expect(
    parseOpenFiles(
      'Max cpu time   unlimited   unlimited   seconds\nMax open files   1024    524288   files\n',
    ),
  ).toEqual({
    soft: 1024,
    hard: 524_288,
  })
  expect(
    parseOpenFiles('Max open files            unlimited            unlimited            files\n'),
  ).toEqual({
    soft: Infinity,
    hard: Infinity,
  })
  expect(parseOpenFiles('')).toBeNull()
  expect(parsePorts('32768\t60999\n')).toEqual({ first: 32_768, last: 60_999 })
  expect(parsePorts('')).toBeNull()
})

it('finds IPVS and its schedulers in the lists of modules', () => {
  const nothing = { hasTable: false, loaded: '', loadable: '', builtIn: '' }
  const loadable = [
    'kernel/net/netfilter/ipvs/ip_vs.ko.xz: kernel/net/netfilter/nf_conntrack.ko.xz kernel/lib/libcrc32c.ko.xz',
    'kernel/net/netfilter/ipvs/ip_vs_rr.ko.xz: kernel/net/netfilter/ipvs/ip_vs.ko.xz',
    'kernel/net/netfilter/ipvs/ip_vs_wrr.ko.xz: kernel/net/netfilter/ipvs/ip_vs.ko.xz',
    '',
  ].join('\n')
  expect(ipvsModules(nothing)).toEqual({ ipvs: 'absent', schedulers: null })
  expect(ipvsModules({ ...nothing, loadable })).toMatchObject({
    ipvs: 'available',
    schedulers: { rr: 'available', wrr: 'available', twos: 'absent' },
  })
  const loaded = 'ip_vs_rr 12288 1 - Live 0x0\nip_vs 200704 3 ip_vs_rr, Live 0x0\n'
  expect(ipvsModules({ hasTable: true, loaded, loadable, builtIn: '' })).toMatchObject({
    ipvs: 'loaded',
    schedulers: { rr: 'loaded', wrr: 'available' },
  })
  const builtIn = 'kernel/net/netfilter/ipvs/ip_vs.ko\nkernel/net/netfilter/ipvs/ip_vs_sh.ko\n'
  expect(ipvsModules({ ...nothing, hasTable: true, builtIn })).toMatchObject({
    ipvs: 'loaded',
    schedulers: { sh: 'loaded', rr: 'absent' },
  })
  // A container sees the table of its namespace, not the modules of the host.
  expect(ipvsModules({ ...nothing, hasTable: true })).toEqual({ ipvs: 'loaded', schedulers: null })
})

it('reads this machine', async () => {
  const facts = await readFacts()
  expect(facts.platform).toBe(process.platform)
  expect(diagnose(facts).length).toBeGreaterThan(0)
})
