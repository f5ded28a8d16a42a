/**
 * What the OVSDB client costs, with a real ovsdb-server over its unix socket: one transaction that creates a load balancer
 * and attaches it, one after the other and many at once, and the time until a replica of 10,000 rows is complete.
 *
 *     node bench/ovsdb.ts
 */
import { connectNorthbound } from '../lab/ovn/ovsdbClient.ts'
import { ovnSchemas, OvsdbServers } from '../lab/ovn/ovsdbServers.ts'
import type { Operation } from '../src/planes/ovn/ovsdb/ovsdb.ts'

const rows = 10_000
const runs = 1000
const atOnce = 100

const median = (times: readonly number[]): number => times.toSorted((a, b) => a - b)[times.length >> 1] ?? 0
const p99 = (times: readonly number[]): number =>
  times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? 0
const timed = async (work: () => Promise<unknown>): Promise<number> => {
  const start = performance.now()
  await work()
  return performance.now() - start
}

await using servers = await OvsdbServers.start({ schema: ovnSchemas.northbound })
await using database = await connectNorthbound(servers.unix)
const [made] = await database.transact([{ op: 'insert', table: 'Logical_Switch', row: { name: 'switch' } }])
const logicalSwitch = { uuid: made?.uuid ?? '' }

const balancer = (i: number): Operation => ({
  op: 'insert',
  table: 'Load_Balancer',
  uuidName: `lb${i}`,
  row: {
    name: `service-${i}`,
    protocol: 'tcp',
    vips: { [`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}:80`]: '192.168.0.1:8080,192.168.0.2:8080' },
    selection_fields: ['ip_src', 'ip_dst'],
    external_ids: { 'torb-owner': 'torb', 'torb-service': `service-${i}` },
  },
})
const createAndAttach = (i: number): Promise<unknown> =>
  database.transact([
    balancer(i),
    {
      op: 'mutate',
      table: 'Logical_Switch',
      where: logicalSwitch,
      mutations: [['load_balancer', 'insert', [{ named: `lb${i}` }]]],
    },
  ])

const times: number[] = []
for (let i = 0; i < runs; i++) times.push(await timed(() => createAndAttach(i)))
console.log(
  `create and attach, one after the other: p50 ${median(times).toFixed(2)} ms, p99 ${p99(times).toFixed(2)} ms (${runs} runs)`,
)
const many = await timed(async () => {
  for (let i = runs; i < 2 * runs; i += atOnce)
    await Promise.all(Array.from({ length: atOnce }, (_, j) => createAndAttach(i + j)))
})
console.log(`create and attach, ${atOnce} at once: ${((runs / many) * 1000).toFixed(0)} a second`)

for (let i = 2 * runs; i < rows; i += runs)
  await database.transact(Array.from({ length: runs }, (_, j) => balancer(i + j)))
const loads: number[] = []
for (let i = 0; i < 11; i++) {
  loads.push(
    await timed(async () => {
      await using other = await connectNorthbound(servers.unix)
      if (other.rows('Load_Balancer').size !== rows) throw new Error('the replica is not complete')
    }),
  )
}
console.log(`replica of ${rows} rows, from connecting to complete: median ${median(loads).toFixed(0)} ms`)
