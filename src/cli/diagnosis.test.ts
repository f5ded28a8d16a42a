import { describe, expect, it } from 'vitest'
import { diagnose } from './diagnosis.ts'
import { parseOpenFiles, parsePorts, readFacts, type Facts } from './doctorFacts.ts'

const best: Facts = {
  platform: 'linux',
  nodeVersion: '26.10.0',
  kernel: '6.12.0-amd64',
  openFiles: { soft: 1_048_576, hard: 1_048_576 },
  isRoot: true,
  capabilities: 0x1ff_ffff_ffffn,
  seccomp: false,
  ipvs: 'loaded',
  ioUringDisabled: 0,
  unprivilegedBpfDisabled: 2,
  bpfJit: 1,
  firstUnprivilegedPort: 1024,
  localPorts: { first: 32_768, last: 60_999 },
}

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
    [
      { isRoot: false, capabilities: 0n },
      'low ports',
      'note',
      /a port of 1024 or above.*CAP_NET_BIND_SERVICE/,
    ],
    [{ isRoot: false, capabilities: 1n << 10n }, 'low ports', 'ok', /every port/],
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
    [{ kernel: '5.10.0' }, 'io_uring', 'note', /needs kernel 6.1/],
    [{ ioUringDisabled: 2 }, 'io_uring', 'note', /switched off.*io_uring_disabled=0/],
    [{ ioUringDisabled: 1, capabilities: 0n }, 'io_uring', 'note', /io_uring_group/],
    [{ ioUringDisabled: 1 }, 'io_uring', 'ok', /allows it/],
    [{ seccomp: true }, 'io_uring', 'ok', /seccomp filter may still forbid/],
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
    ipvs: 'absent',
    ioUringDisabled: null,
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

it('reads this machine', () => {
  const facts = readFacts()
  expect(facts.platform).toBe(process.platform)
  expect(diagnose(facts).length).toBeGreaterThan(0)
})
