import { mkdirSync, mkdtempDisposableSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { unsupported } from '../can.ts'
import { ipvsCan } from './can.ts'
import { toCounters } from './counters.ts'
import { startDaemons } from './settings.ts'
import { toDestination, toService } from './entries.ts'
import { probe } from './probe.ts'
import { MemoryIpvs } from './memoryIpvs.ts'
import { destination, virtualService } from './rig.ts'
import { readSysctls, writeSysctls } from './sysctls.ts'

describe('sysctls', () => {
  it('are set where they differ', () => {
    using place = mkdtempDisposableSync(join(tmpdir(), 'torb-vs-'))
    const file = (name: string): string => join(place.path, name)
    for (const name of ['expire_nodest_conn', 'expire_quiescent_template']) writeFileSync(file(name), '0\n')
    writeFileSync(file('conn_reuse_mode'), '1\n')
    writeFileSync(file('conntrack'), '0\n')
    expect(writeSysctls(place.path)).toEqual([])
    expect(readFileSync(file('expire_nodest_conn'), 'utf8')).toBe('1\n')
    expect(readSysctls(place.path)).toEqual({
      expire_nodest_conn: 1,
      expire_quiescent_template: 1,
      conn_reuse_mode: 1,
      conntrack: 0,
    })
  })

  it('that cannot be set are named with the command to run', () => {
    using place = mkdtempDisposableSync(join(tmpdir(), 'torb-vs-'))
    for (const name of ['expire_nodest_conn', 'expire_quiescent_template', 'conn_reuse_mode']) {
      mkdirSync(join(place.path, name))
    }
    expect(writeSysctls(place.path)).toContain(
      'net.ipv4.vs.expire_nodest_conn is unknown and could not be set (EISDIR); run `sysctl -w net.ipv4.vs.expire_nodest_conn=1` as root',
    )
  })
})

describe('startDaemons', () => {
  const master = {
    state: 'master',
    interface: 'eth0',
    syncId: 1,
    maxLength: 0,
    group: '',
    port: 0,
    ttl: 0,
  } as const

  it('starts what does not run so, and leaves the others alone', () => {
    const ipvs = new MemoryIpvs()
    const backup = { ...master, state: 'backup' } as const
    ipvs.startDaemon(backup)
    startDaemons(ipvs, [])
    expect(ipvs.daemons()).toEqual([backup])
    startDaemons(ipvs, [master])
    startDaemons(ipvs, [master])
    expect(ipvs.daemons()).toEqual([backup, master])
    startDaemons(ipvs, [{ ...master, interface: 'eth1', ttl: 3 }])
    expect(ipvs.daemons()).toEqual([backup, { ...master, interface: 'eth1', ttl: 3 }])
    // What is left to the kernel is no difference.
    startDaemons(ipvs, [{ ...master, interface: 'eth1' }])
    expect(ipvs.daemons()[1]?.ttl).toBe(3)
  })
})

describe('probe', () => {
  it('finds the schedulers that the table takes, and leaves nothing', () => {
    const ipvs = new MemoryIpvs(['wlc', 'mh'])
    expect([...probe(ipvs).schedulers]).toEqual(['wlc', 'mh'])
    expect(ipvs.services()).toEqual([])
  })
})

describe('what the plane cannot do', () => {
  it('names the schedulers that work, the module to load, and a plane that can', () => {
    const can = { ...ipvsCan, schedulers: new Set(['rr', 'wlc'] as const) }
    const other = { ...ipvsCan, name: 'userspace' as const }
    expect(unsupported(can, virtualService({ scheduler: 'twos' }), [can, other])).toBe(
      'the ipvs plane cannot schedule by twos; this kernel has rr, wlc; load the other ("modprobe ip_vs_twos") and ' +
        'restart Torb; the userspace plane can',
    )
  })
})

describe('toCounters', () => {
  const statistics = {
    connections: 9,
    packetsIn: 8,
    packetsOut: 7,
    bytesIn: 6,
    bytesOut: 5,
    connectionRate: 4,
    packetRateIn: 3,
    packetRateOut: 2,
    byteRateIn: 1,
    byteRateOut: 10,
  }

  it.each([
    ['tcp', 3, 4],
    ['sctp', 3, 4],
    // Every UDP flow is inactive to the kernel.
    ['udp', 7, 0],
  ] as const)('of %s have %i active and %i inactive connections', (protocol, active, inactive) => {
    const spec = virtualService({ protocol, destinations: [destination(1)] })
    const seen = spec.destinations.map((one) => ({
      ...toDestination(one),
      statistics,
      activeConnections: 3,
      inactiveConnections: 4,
      persistentConnections: 1,
    }))
    const part = {
      connections: 9,
      packetsIn: 8,
      packetsOut: 7,
      bytesIn: 6,
      bytesOut: 5,
      active,
      inactive,
      errors: 0,
      rates: { connections: 4, packetsIn: 3, packetsOut: 2, bytesIn: 1, bytesOut: 10 },
    }
    expect(toCounters({ ...toService(spec), statistics }, seen, spec)).toEqual({
      ...part,
      destinations: new Map([['b1', part]]),
    })
  })
})
