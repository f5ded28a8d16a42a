import { describe, expect, it } from 'vitest'
import { plainCheck as check, plainDestination, plainService } from '../plain.ts'
import type { HealthReport } from '../plane.ts'
import type { Mapped } from './mappings.ts'
import { Monitors, verdictOf, type MonitorFacts } from './monitors.ts'
import type { OvsdbState, RowChange } from './ovsdb/ovsdb.ts'
import type { Southbound, southboundTables, SouthboundRow, SouthboundTable } from './tables.ts'

type Changes = readonly RowChange<typeof southboundTables>[]

/** A southbound database in memory, with chassis hv1 and the logical ports vm1 and vm2 on it. */
class Memory implements Pick<Southbound, 'rows' | 'state' | 'subscribe'> {
  readonly #tables = new Map<string, Map<string, { readonly uuid: string }>>()
  #listener: (changes: Changes) => void = () => undefined
  state: OvsdbState = { connected: true, address: '', since: 0, problem: '', version: '' }

  constructor() {
    this.put('Chassis', 'hv1', { name: 'hv1' })
    this.put('Port_Binding', 'vm1', { logical_port: 'vm1', chassis: 'hv1' })
    this.put('Port_Binding', 'vm2', { logical_port: 'vm2', chassis: 'hv1' })
  }

  rows<T extends SouthboundTable>(table: T): ReadonlyMap<string, SouthboundRow<T>> {
    return this.#table(table) as unknown as ReadonlyMap<string, SouthboundRow<T>>
  }

  subscribe(listener: (changes: Changes) => void): () => void {
    this.#listener = listener
    return () => (this.#listener = () => undefined)
  }

  /** Columns of a row; null removes it. */
  put(table: SouthboundTable, uuid: string, columns: Readonly<Record<string, unknown>> | null): void {
    const rows = this.#table(table)
    const before = rows.get(uuid) ?? null
    const after = columns === null ? null : { ...before, ...columns, uuid }
    if (after === null) rows.delete(uuid)
    else rows.set(uuid, after)
    this.#listener([{ table, uuid, before, after }])
  }

  monitor(port: string, ip: string, status: string | null, protocol = 'tcp'): void {
    this.put('Service_Monitor', `${protocol} ${port}`, { logical_port: port, ip, port: 80, protocol, status })
  }

  #table(table: string): Map<string, { readonly uuid: string }> {
    const known = this.#tables.get(table) ?? new Map<string, { readonly uuid: string }>()
    this.#tables.set(table, known)
    return known
  }
}

const web = plainService({
  destinations: [
    plainDestination('10.0.0.2', { id: 'b1', check }),
    plainDestination('fd00::2', { id: 'b2', check }),
    plainDestination('10.0.0.3', { id: 'b3', check: null }),
  ],
})
const mapped: Mapped = {
  mappings: new Map([
    ['10.0.0.2', { port: 'vm1', source: '10.0.0.254' }],
    ['fd00::2', { port: 'vm2', source: 'fd00::fe' }],
  ]),
  problems: new Map(),
}

function monitored(disabled: readonly string[] = []): {
  readonly database: Memory
  readonly monitors: Monitors
  /** Has these chassis be silent, and no others. */
  readonly silence: (...chassis: readonly string[]) => void
} {
  const database = new Memory()
  const portNamed = (name: string) => ({ name, enabled: disabled.includes(name) ? false : null }) as never
  let silent: readonly string[] = []
  let tell = (): void => undefined
  const monitors = new Monitors(
    database,
    { portNamed },
    {
      isSilent: (name) => silent.includes(name),
      watch: (listener) => {
        tell = listener
      },
    },
  )
  monitors.set(web, mapped)
  const silence = (...chassis: readonly string[]): void => {
    silent = chassis
    tell()
  }
  return { database, monitors, silence }
}

/** Reports up to the end of what has been told. */
async function told(monitors: Monitors): Promise<readonly string[]> {
  const reports: HealthReport[] = []
  setImmediate(() => monitors.close())
  for await (const report of monitors) reports.push(report)
  return reports.map(({ service, backend, up, reason }) => `${service}/${backend} ${up ? 'up' : reason}`)
}

describe('what a monitor says', () => {
  const online: MonitorFacts = {
    port: 'vm1',
    protocol: 'tcp',
    status: 'online',
    chassis: 'hv1',
    silent: false,
    enabled: true,
  }

  it.each<[Partial<MonitorFacts>, string | null]>([
    [{}, ''],
    [{ status: null }, null],
    [{ status: undefined }, null],
    [{ status: 'offline' }, "OVN's monitor on chassis hv1: offline (no answer or refused)"],
    [{ status: 'offline', protocol: 'udp' }, "OVN's monitor on chassis hv1: offline (port unreachable)"],
    [{ status: 'error' }, "OVN's monitor on chassis hv1: error"],
    [{ silent: true }, 'chassis hv1 is silent, so nobody checks port vm1'],
    [{ chassis: null }, 'port vm1 is not bound to a chassis'],
    [{ chassis: null, status: null }, 'port vm1 is not bound to a chassis'],
    [{ enabled: false, status: undefined }, 'port vm1 is disabled'],
  ])('%j', (facts, reason) => {
    expect(verdictOf({ ...online, ...facts })).toEqual(reason === null ? null : { up: reason === '', reason })
  })
})

describe('monitors', () => {
  it('are asked for each backend with a check', () => {
    const { database, monitors } = monitored()
    expect(monitors.health('web', 'b1')).toBe(null)
    database.monitor('vm1', '10.0.0.2', 'online')
    database.monitor('vm2', 'FD00::0:2', 'offline')
    expect(monitors.health('web', 'b1')).toEqual({ up: true, reason: '' })
    expect(monitors.health('web', 'b2')?.up).toBe(false)
    expect(monitors.health('web', 'b3')).toBe(null)
    expect(monitors.health('other', 'b1')).toBe(null)
  })

  it('say nothing while the southbound database is out of reach', () => {
    const { database, monitors } = monitored()
    database.monitor('vm1', '10.0.0.2', 'online')
    database.state = { ...database.state, connected: false }
    expect(monitors.health('web', 'b1')).toBe(null)
  })

  it('of another network that has the address, or of another protocol, are not asked', () => {
    const { database, monitors } = monitored()
    database.monitor('elsewhere', '10.0.0.2', 'offline')
    database.monitor('vm1', '10.0.0.2', 'offline', 'udp')
    expect(monitors.health('web', 'b1')).toBe(null)
  })

  it('tell of each turn once, also where the service is set anew meanwhile', async () => {
    const { database, monitors } = monitored()
    database.monitor('vm1', '10.0.0.2', 'online')
    database.monitor('vm1', '10.0.0.2', 'offline')
    database.monitor('vm1', '10.0.0.2', 'error')
    database.monitor('vm2', 'fd00::2', 'online')
    monitors.set({ ...web, destinations: web.destinations.toReversed() }, mapped)
    expect(await told(monitors)).toEqual([
      "web/b1 OVN's monitor on chassis hv1: offline (no answer or refused)",
      'web/b2 up',
    ])
  })

  it('tell of a port that is not bound any more', async () => {
    const { database, monitors } = monitored()
    database.monitor('vm1', '10.0.0.2', 'online')
    database.put('Port_Binding', 'vm1', { chassis: null })
    expect(await told(monitors)).toEqual(['web/b1 port vm1 is not bound to a chassis'])
  })

  it('are not believed while their chassis is silent', async () => {
    const { database, monitors, silence } = monitored()
    database.monitor('vm1', '10.0.0.2', 'online')
    silence('hv1')
    const reason = 'chassis hv1 is silent, so nobody checks port vm1'
    expect(monitors.health('web', 'b1')).toEqual({ up: false, reason })
    const first = await monitors[Symbol.asyncIterator]().next()
    expect(first.value).toEqual({ service: 'web', backend: 'b1', up: false, reason })
    silence()
    expect(await told(monitors)).toContain('web/b1 up')
  })

  it('tell nothing of a service that is forgotten', async () => {
    const { database, monitors } = monitored()
    database.monitor('vm1', '10.0.0.2', 'online')
    monitors.forget('web')
    database.monitor('vm2', 'fd00::2', 'offline')
    expect(await told(monitors)).toEqual([])
  })

  it('name what keeps OVN from checking', () => {
    const { monitors } = monitored(['vm1'])
    monitors.set(web, {
      mappings: new Map([...mapped.mappings].slice(0, 1)),
      problems: new Map([['fd00::2', 'no port']]),
    })
    expect([monitors.health('web', 'b1'), monitors.health('web', 'b2')]).toEqual([
      { up: false, reason: 'port vm1 is disabled' },
      { up: false, reason: 'no port' },
    ])
  })

  it('exclude a backend by itself where they say anything but online', () => {
    const { database, monitors } = monitored()
    const [b1] = web.destinations
    const excludes = (status: string | null): boolean => {
      database.monitor('vm1', '10.0.0.2', status)
      return b1 !== undefined && monitors.excludes('tcp', b1, mapped.mappings.get(b1.address))
    }
    expect([null, 'online', 'offline', 'error'].map(excludes)).toEqual([false, false, true, true])
    expect(b1 !== undefined && monitors.excludes('tcp', b1, undefined)).toBe(false)
  })
})
