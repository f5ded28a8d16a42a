import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectNorthbound, insertNamed, namesIn, type Northbound } from '../../../../lab/ovn/ovsdbClient.ts'
import { ovnSchemas, ovsdbMissing, OvsdbServers } from '../../../../lab/ovn/ovsdbServers.ts'
import { Refusal } from '../../../model/refusal.ts'
import { OvsdbError, type Operation } from './ovsdb.ts'
import { until } from '../../../../lab/until.ts'

const missing = ovsdbMissing()
if (missing !== null) console.log(`skipped: an OVSDB server: ${missing}`)

describe.skipIf(missing !== null)('an OVSDB server', () => {
  let servers: OvsdbServers
  let database: Northbound

  beforeAll(async () => {
    servers = await OvsdbServers.start({ schema: ovnSchemas.northbound, tls: true })
    database = await connectNorthbound(servers.unix)
  })

  afterAll(async () => {
    await database?.close()
    await servers?.[Symbol.asyncDispose]()
  })

  const failure = async (operations: readonly Operation[]): Promise<unknown> => {
    const [result] = await Promise.allSettled([database.transact(operations)])
    return result.status === 'rejected' ? result.reason : null
  }

  it.each(['unix', 'tcp', 'ssl'] as const)('is read and written over %s', async (kind) => {
    await using other = await connectNorthbound(
      servers[kind],
      servers.tls === null ? {} : { tls: servers.tls },
    )
    expect(other.state).toMatchObject({ connected: true, address: servers[kind][0], problem: '' })
    expect(namesIn(other)).toEqual(namesIn(database))
    const [result] = await other.transact([
      {
        op: 'insert',
        table: 'Load_Balancer',
        row: { name: kind, vips: { '10.0.0.1:80': 'a' }, protocol: 'udp', selection_fields: ['ip_src'] },
      },
    ])
    const row = {
      uuid: result?.uuid,
      name: kind,
      vips: new Map([['10.0.0.1:80', 'a']]),
      protocol: 'udp',
      selection_fields: ['ip_src'],
      external_ids: new Map(),
    }
    expect(other.rows('Load_Balancer').get(result?.uuid ?? '')).toEqual(row)
    await until(() => database.rows('Load_Balancer').has(result?.uuid ?? ''))
    expect(database.rows('Load_Balancer').get(result?.uuid ?? '')).toEqual(row)
  })

  it('has of what is wanted what its schema has', () => {
    const { version } = JSON.parse(readFileSync(ovnSchemas.northbound, 'utf8')) as { version: string }
    expect(database.state.version).toBe(version)
    expect(database.has('Load_Balancer', 'external_ids')).toBe(true)
    expect(database.has('Load_Balancer', 'future')).toBe(false)
    expect(database.has('Future', 'name')).toBe(false)
  })

  it('tells its listeners of each change, sets and maps by what differs', async () => {
    const seen: unknown[] = []
    const end = database.subscribe((changes) => seen.push(...changes.map(({ after }) => after)))
    const where = [['name', '==', 'told']] as const
    const change = (operation: Operation): Promise<unknown> => database.transact([operation])
    await change({
      op: 'insert',
      table: 'Load_Balancer',
      row: { name: 'told', vips: { a: '1', b: '2' }, selection_fields: ['ip_src', 'ip_dst'] },
    })
    await change({
      op: 'mutate',
      table: 'Load_Balancer',
      where,
      mutations: [
        ['vips', 'delete', ['a']],
        ['vips', 'insert', { c: '3' }],
        ['selection_fields', 'delete', ['ip_src']],
        ['selection_fields', 'insert', ['tp_src']],
      ],
    })
    await change({
      op: 'update',
      table: 'Load_Balancer',
      where,
      row: { vips: { b: '9' }, protocol: 'tcp' },
    })
    await change({
      op: 'update',
      table: 'Load_Balancer',
      where,
      row: { protocol: null, selection_fields: [] },
    })
    await change({ op: 'delete', table: 'Load_Balancer', where })
    end()
    await change(insertNamed('untold'))
    expect(seen).toMatchObject([
      {
        vips: new Map(Object.entries({ a: '1', b: '2' })),
        selection_fields: ['ip_dst', 'ip_src'],
        protocol: null,
      },
      { vips: new Map(Object.entries({ b: '2', c: '3' })), selection_fields: ['ip_dst', 'tp_src'] },
      { vips: new Map([['b', '9']]), protocol: 'tcp' },
      { protocol: null, selection_fields: [] },
      {},
    ])
    expect(seen.at(-1)).toBeNull()
  })

  it('creates and attaches in one transaction, and answers each operation', async () => {
    const uuid = randomUUID()
    const results = await database.transact([
      { op: 'insert', table: 'Load_Balancer', row: { name: 'attached' }, uuidName: 'lb' },
      {
        op: 'insert',
        table: 'Logical_Switch',
        row: { name: 'sw', load_balancer: [{ named: 'lb' }] },
        uuid,
      },
      { op: 'select', table: 'Logical_Switch', where: { uuid }, columns: ['name', 'load_balancer'] },
      { op: 'update', table: 'Logical_Switch', where: { uuid }, row: { name: 'switch' } },
      { op: 'comment', comment: 'a test' },
    ])
    const lb = results[0]?.uuid ?? ''
    expect(results.slice(1)).toEqual([
      { uuid },
      { rows: [{ name: 'sw', load_balancer: [lb] }] },
      { count: 1 },
      {},
    ])
    expect(database.rows('Logical_Switch').get(uuid)).toEqual({ uuid, name: 'switch', load_balancer: [lb] })
  })

  it('has done what a transaction did when it resolves, with a thousand under way', async () => {
    await database.transact([{ op: 'insert', table: 'NB_Global', row: {} }])
    const count = 1000
    const seen = await Promise.all(
      Array.from({ length: count }, async (_, i) => {
        const [result] = await database.transact([
          insertNamed(`many-${i}`),
          { op: 'mutate', table: 'NB_Global', where: [], mutations: [['nb_cfg', '+=', 1]] },
        ])
        const [global] = database.rows('NB_Global').values()
        return database.rows('Load_Balancer').has(result?.uuid ?? '') && (global?.nb_cfg ?? 0) > i
      }),
    )
    expect(seen.filter(Boolean)).toHaveLength(count)
  })

  it('does nothing of a transaction whose guard fails', async () => {
    const guard = (names: readonly string[], until: '==' | '!='): Operation => ({
      op: 'wait',
      table: 'Load_Balancer',
      where: [['name', '==', 'guarded']],
      columns: ['name'],
      until,
      rows: names.map((name) => ({ name })),
    })
    await database.transact([guard([], '=='), insertNamed('guarded')])
    expect(await failure([insertNamed('late'), guard([], '==')])).toMatchObject({
      code: 'timed out',
      operation: 1,
    })
    expect(await failure([guard(['guarded'], '!='), insertNamed('late')])).toMatchObject({ operation: 0 })
    await database.transact([guard(['guarded'], '=='), insertNamed('in-time')])
    expect(namesIn(database).filter((name) => ['late', 'in-time'].includes(name))).toEqual(['in-time'])
  })

  it.each<[string, string, number, readonly Operation[]]>([
    [
      'that an operation meets',
      'constraint violation',
      1,
      [
        insertNamed('bad'),
        { op: 'insert', table: 'Load_Balancer', row: { protocol: 'quic' } },
        insertNamed('bad'),
      ],
    ],
    [
      'that the commit meets, after all operations',
      'referential integrity violation',
      2,
      [
        insertNamed('bad'),
        {
          op: 'insert',
          table: 'Logical_Switch',
          row: { name: 'bad', load_balancer_group: [randomUUID()] },
        },
      ],
    ],
    ['of a lock that is not held', 'not owner', 0, [{ op: 'assert', lock: 'nobody' }, insertNamed('bad')]],
  ])('refuses a transaction whole, with the error %s', async (_, code, operation, operations) => {
    const error = await failure(operations)
    expect(error).toBeInstanceOf(OvsdbError)
    expect(error).toMatchObject({ code, operation })
    expect(namesIn(database)).not.toContain('bad')
  })

  it('inserts a row of a chosen uuid once', async () => {
    const uuid = randomUUID()
    const insert: Operation = { op: 'insert', table: 'Load_Balancer', row: { name: 'chosen' }, uuid }
    expect(await database.transact([insert])).toEqual([{ uuid }])
    expect(await failure([insert])).toMatchObject({ code: 'duplicate uuid' })
  })

  it('is not asked for what its schema lacks', async () => {
    const refused = await failure([{ op: 'insert', table: 'Load_Balancer', row: { future: 'x' } }])
    expect(refused).toBeInstanceOf(Refusal)
    expect(refused).toMatchObject({
      message: expect.stringContaining('column future in table Load_Balancer'),
    })
  })

  it.each<[string, () => Promise<unknown>]>([
    ['there is no such socket', () => connectNorthbound(['unix:/nowhere/db.sock'])],
    ['nobody listens there', () => connectNorthbound(['tcp:127.0.0.1:1'])],
    ['only OVN_Northbound', () => connectNorthbound(servers.unix, { database: 'OVN_Southbound' })],
    ['TLS needs a certificate', () => connectNorthbound(servers.ssl)],
    [
      'the authority that was given did not sign',
      () => connectNorthbound(servers.ssl, { tls: { ...certificates(), ca: certificates().cert } }),
    ],
    [
      'refuses the certificate',
      () =>
        connectNorthbound(servers.ssl, {
          tls: { ca: certificates().ca } as ReturnType<typeof certificates>,
        }),
    ],
    ['no PEM text', () => connectNorthbound(servers.ssl, { tls: { ...certificates(), cert: 'x' } })],
    [
      'whether it wants tcp: or ssl:',
      () => connectNorthbound(asKind('ssl', servers.tcp), { tls: certificates() }),
    ],
    ['whether it wants tcp: or ssl:', () => connectNorthbound(asKind('tcp', servers.ssl))],
    ['unix:/a/b (there is no such socket', () => connectNorthbound(['unix:/a/a', 'unix:/a/b'])],
  ])('that cannot be used is refused: %s', async (message, connect) => {
    await expect(connect()).rejects.toMatchObject({
      name: 'Refusal',
      code: 'unreachable',
      message: expect.stringContaining(message),
    })
  })

  const certificates = (): NonNullable<OvsdbServers['tls']> => servers.tls ?? { ca: '', cert: '', key: '' }
  const asKind = (kind: string, addresses: readonly string[]): string[] =>
    addresses.map((address) => address.replace(/^\w+/, kind))

  it('is used where another address is of no use', async () => {
    await using other = await connectNorthbound(['unix:/nowhere/db.sock', ...servers.tcp])
    expect(other.state.address).toBe(servers.tcp[0])
  })

  it('lets the process end after close', async () => {
    const url = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href)
    const script = `
      const { connectNorthbound } = await import(${url('../../../../lab/ovn/ovsdbClient.ts')})
      const database = await connectNorthbound(${JSON.stringify(servers.unix)})
      database.lock('of a process')
      await database.close()
      process.on('exit', () => console.log(database.state.connected))`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script])
    expect(stdout.trim()).toBe('false')
  })

  it('is not asked any more after close', async () => {
    const other = await connectNorthbound(servers.unix)
    const asked = other.transact([insertNamed('closed')])
    const closed = other.close()
    await expect(asked).rejects.toMatchObject({ code: 'unreachable' })
    await closed
    await expect(other.transact([insertNamed('closed')])).rejects.toMatchObject({ code: 'unreachable' })
  })
})
