import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import {
  connectNorthbound,
  fastTiming,
  insertNamed,
  nameOf,
  namesIn,
  northboundTables,
  type Northbound,
} from '../../../../lab/ovn/ovsdbClient.ts'
import { OvsdbProxy } from '../../../../lab/ovn/ovsdbProxy.ts'
import { ovnSchemas, ovsdbMissing, OvsdbServers } from '../../../../lab/ovn/ovsdbServers.ts'
import { Refusal } from '../../../model/refusal.ts'
import { until } from '../../../../lab/until.ts'

const missing = ovsdbMissing()
if (missing !== null) console.log(`skipped: an OVSDB client: ${missing}`)
const schema = ovnSchemas.northbound

interface Schema {
  readonly tables: Record<string, { readonly columns: Record<string, unknown> }>
}

/** Debian's northbound schema without a column of Load_Balancer, as a file for the time of `use`. */
async function withoutColumn(column: string, use: (path: string) => Promise<void>): Promise<void> {
  const changed = JSON.parse(readFileSync(schema, 'utf8')) as Schema
  delete changed.tables['Load_Balancer']?.columns[column]
  const path = join(tmpdir(), `torb-${randomUUID()}.ovsschema`)
  writeFileSync(path, JSON.stringify(changed))
  try {
    await use(path)
  } finally {
    rmSync(path)
  }
}

/** Inserts a row of this uuid, again after each loss of the connection, until it is there for sure. */
async function insertSurely(database: Northbound, name: string): Promise<void> {
  const uuid = randomUUID()
  for (;;) {
    try {
      await database.transact([{ op: 'insert', table: 'Load_Balancer', row: { name }, uuid }])
      return
    } catch (error) {
      expect(error).toBeInstanceOf(Refusal)
      expect(error).toMatchObject({ code: 'unreachable' })
      await until(() => database.state.connected)
      // It may have been done; the replica of the next connection tells.
      if (database.rows('Load_Balancer').has(uuid)) return
    }
  }
}

describe.skipIf(missing !== null)('an OVSDB client', () => {
  it('loses and doubles nothing where the server is killed during a thousand transactions', async () => {
    await using servers = await OvsdbServers.start({ schema })
    await using database = await connectNorthbound(servers.unix)
    const losses: string[] = []
    database.watchState(({ connected, problem }) => {
      if (!connected) losses.push(problem)
    })
    const names = Array.from({ length: 1000 }, (_, i) => `lb-${String(i).padStart(4, '0')}`)
    let done = 0
    const written = (async () => {
      // Fifty under way at any time.
      const rest = names.values()
      await Promise.all(
        Array.from({ length: 50 }, async () => {
          for (const name of rest) {
            await insertSurely(database, name)
            done++
          }
        }),
      )
    })()
    for (const enough of [200, 500, 800]) {
      await until(() => done >= enough)
      await servers.kill()
      await servers.start()
    }
    await written
    expect(losses).toHaveLength(3)
    expect(namesIn(database)).toEqual(names)
    await using fresh = await connectNorthbound(servers.unix)
    expect(fresh.rows('Load_Balancer')).toEqual(database.rows('Load_Balancer'))
  })

  it('tells after a loss exactly what differs', async () => {
    await using servers = await OvsdbServers.start({ schema })
    await using proxy = await OvsdbProxy.start(servers.unix[0] ?? '')
    await using other = await connectNorthbound(servers.unix)
    await other.transact(['same', 'changed', 'gone'].map(insertNamed))
    await using database = await connectNorthbound([proxy.address])
    const seen: unknown[] = []
    database.subscribe((changes) => {
      const names = changes.map(({ before, after }) => [nameOf(before), nameOf(after)])
      seen.push(names.sort(([, a], [, b]) => (String(a) < String(b) ? -1 : 1)))
    })
    const same = [...database.rows('Load_Balancer').values()].find(({ name }) => name === 'same')
    proxy.silent = true
    await other.transact([
      { op: 'update', table: 'Load_Balancer', where: [['name', '==', 'changed']], row: { name: 'fresh' } },
      { op: 'delete', table: 'Load_Balancer', where: [['name', '==', 'gone']] },
      insertNamed('new'),
    ])
    expect(seen).toEqual([])
    proxy.silent = false
    proxy.cut()
    await until(() => seen.length > 0)
    expect(seen).toEqual([
      [
        ['changed', 'fresh'],
        [null, 'new'],
        ['gone', null],
      ],
    ])
    expect(database.state.connected).toBe(true)
    expect(database.rows('Load_Balancer').get(same?.uuid ?? '')).toBe(same)
  })

  it.each([
    ['monitor_cond', ['monitor_cond_since']],
    ['monitor', ['monitor_cond_since', 'monitor_cond']],
  ])('makes do with %s where the server has no better', async (method, unknown) => {
    await using servers = await OvsdbServers.start({ schema })
    await using proxy = await OvsdbProxy.start(servers.unix[0] ?? '', unknown)
    await using database = await connectNorthbound([proxy.address])
    expect(proxy.asked.findLast((text) => text.includes('Load_Balancer'))).toContain(`"${method}"`)
    await database.transact([
      { op: 'insert', table: 'Load_Balancer', row: { name: 'a', vips: { a: '1', b: '2' } } },
      insertNamed('b'),
    ])
    const changes: unknown[] = []
    database.subscribe((some) =>
      changes.push(...some.map(({ before, after }) => [before?.uuid, after?.uuid])),
    )
    await database.transact([
      {
        op: 'mutate',
        table: 'Load_Balancer',
        where: [['name', '==', 'a']],
        mutations: [['vips', 'delete', ['a']]],
      },
      { op: 'delete', table: 'Load_Balancer', where: [['name', '==', 'b']] },
    ])
    const rows = [...database.rows('Load_Balancer').values()]
    expect(rows.map(({ name, vips }) => [name, vips])).toEqual([['a', new Map([['b', '2']])]])
    expect(changes).toHaveLength(2)
    proxy.cut()
    await until(() => !database.state.connected)
    await until(() => database.state.connected)
    expect([...database.rows('Load_Balancer').values()]).toEqual(rows)
    expect(changes).toHaveLength(2)
  })

  it('gives up a connection over which nothing comes any more', async () => {
    await using servers = await OvsdbServers.start({ schema })
    await using proxy = await OvsdbProxy.start(servers.unix[0] ?? '')
    await using database = await connectNorthbound([proxy.address], {}, fastTiming)
    // It stays while the server is alive, however little there is to say.
    const echoes = (): number => proxy.answered.filter((text) => text.includes('"echo"')).length
    await until(() => echoes() > 1)
    expect(database.state.connected).toBe(true)
    proxy.silent = true
    const asked = database.transact([insertNamed('lost')])
    await expect(asked).rejects.toMatchObject({
      code: 'unreachable',
      message: expect.stringContaining('silent'),
    })
    expect(database.state).toMatchObject({ connected: false, problem: expect.stringContaining('silent') })
    await expect(database.transact([insertNamed('never')])).rejects.toMatchObject({ code: 'unreachable' })
    proxy.silent = false
    await until(() => database.state.connected)
    await database.transact([insertNamed('back')])
    expect(namesIn(database)).toEqual(['back'])
  })

  it('keeps what it had while the server is away, and says so', async () => {
    await using servers = await OvsdbServers.start({ schema })
    await using database = await connectNorthbound(servers.unix)
    await database.transact([insertNamed('kept')])
    await servers.kill()
    await until(() => !database.state.connected)
    // More than one round over the addresses.
    await until(() => database.state.problem.includes('nobody listens'))
    expect(namesIn(database)).toEqual(['kept'])
    await sleep(1)
    await servers.start()
    await until(() => database.state.connected)
    expect(database.state.problem).toBe('')
  })

  it('refuses a schema without a column that it needs, and names it', async () => {
    await withoutColumn('selection_fields', async (path) => {
      await using servers = await OvsdbServers.start({ schema: path })
      await expect(connectNorthbound(servers.unix)).rejects.toMatchObject({
        code: 'unreachable',
        message: expect.stringContaining('lacks column selection_fields of table Load_Balancer'),
      })
      const { Load_Balancer, ...others } = northboundTables
      const { selection_fields, ...required } = Load_Balancer.required
      const tables = { ...others, Load_Balancer: { required, wanted: { selection_fields } } }
      await using database = await connectNorthbound(servers.unix, { tables: tables as never })
      expect(database.has('Load_Balancer', 'selection_fields')).toBe(false)
    })
  })

  it('follows a schema that changes under it', async () => {
    await using servers = await OvsdbServers.start({ schema })
    await using database = await connectNorthbound(servers.unix)
    await database.transact([
      { op: 'insert', table: 'Load_Balancer', row: { name: 'a', external_ids: { k: 'v' } } },
    ])
    const row = (): unknown => [...database.rows('Load_Balancer').values()][0]
    expect(row()).toMatchObject({ external_ids: new Map([['k', 'v']]) })
    await withoutColumn('external_ids', async (path) => {
      await promisify(execFile)('ovsdb-client', ['convert', servers.unix[0] ?? '', path])
      await until(() => database.state.connected && !database.has('Load_Balancer', 'external_ids'))
      expect(row()).not.toHaveProperty('external_ids')
    })
    await promisify(execFile)('ovsdb-client', ['convert', servers.unix[0] ?? '', schema])
    await until(() => database.state.connected && database.has('Load_Balancer', 'external_ids'))
    expect(row()).toMatchObject({ name: 'a', external_ids: new Map() })
  })
})
