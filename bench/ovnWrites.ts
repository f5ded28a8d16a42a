/**
 * How long a write takes until OVN has it (accepted), until the last of its flows is in the last chassis' switch (flows) and
 * until OVN tells that (applied): by REST through `torb serve`, and the same row written by a plain OVSDB client, in turn, on a
 * real OVN with as many load balancers. What the plain client waits for is OVN's, the rest Torb's.
 *
 *     node bench/ovnWrites.ts [--runs N] [--release NAME]
 *
 * NAME is a release of Debian whose OVN is taken, such as trixie; this machine's by default.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startOvn, type Chassis, type OvnLab } from '../lab/ovn/ovn.ts'
import { OvnRelease } from '../lab/ovn/release.ts'
import { connectOvsdb } from '../src/planes/ovn/ovsdb/client.ts'
import type { Operation, Ovsdb } from '../src/planes/ovn/ovsdb/ovsdb.ts'
import { quantile, startDaemon, type RunningDaemon } from '../test/rig.ts'

const { values } = parseArgs({
  options: { runs: { type: 'string', default: '100' }, release: { type: 'string' } },
})
const runs = Number(values.runs)
const services = [200, 1000] as const
const backends = ['10.8.1.1', '10.8.1.2'] as const
const attach = { switches: ['inside'] }

const tables = {
  NB_Global: { required: { nb_cfg: 'integer', sb_cfg: 'integer', hv_cfg: 'integer' } },
  Logical_Switch: { required: { name: 'string' } },
  Load_Balancer: { required: { name: 'string' } },
} as const

/** Milliseconds from the write to each. */
interface Times {
  readonly accepted: number
  /** northd has written the southbound database. */
  readonly northd: number
  readonly flows: number
  readonly applied: number
}

/** When the flows of a chassis changed last, as its switch tells a monitor (ovs-ofctl(8), `watch:`). */
class FlowMonitor implements Disposable {
  /** Of performance.now. */
  changed = 0
  readonly #process

  private constructor({ directory }: Chassis) {
    const bridge = `unix:${join(directory, 'br-int.mgmt')}`
    this.#process = spawn('ovs-ofctl', ['monitor', bridge, 'watch:!initial,!actions'], {
      env: { ...process.env, OVS_RUNDIR: directory },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#process.stderr.on('data', () => (this.changed = performance.now()))
  }

  static async start(chassis: Chassis): Promise<FlowMonitor> {
    const monitor = new FlowMonitor(chassis)
    // The answer to the request, which is empty.
    await once(monitor.#process.stdout, 'data')
    return monitor
  }

  [Symbol.dispose](): void {
    this.#process.kill()
  }
}

const timed = async (work: () => Promise<unknown>): Promise<number> => {
  const start = performance.now()
  await work()
  return performance.now() - start
}

/** Writes what Torb writes, and nothing besides. */
class Plain {
  readonly #database: Ovsdb<typeof tables>
  readonly #flows: readonly FlowMonitor[]

  constructor(database: Ovsdb<typeof tables>, flows: readonly FlowMonitor[]) {
    this.#database = database
    this.#flows = flows
  }

  /** When the last flow changed, of performance.now: call it once all is settled. */
  get changed(): number {
    return Math.max(...this.#flows.map(({ changed }) => changed))
  }

  async write(operations: readonly Operation[]): Promise<Times> {
    const start = performance.now()
    const results = await this.#database.transact([
      ...operations,
      { op: 'mutate', table: 'NB_Global', where: [], mutations: [['nb_cfg', '+=', 1]] },
      { op: 'select', table: 'NB_Global', where: [], columns: ['nb_cfg'] },
    ])
    const accepted = performance.now() - start
    const number = Number(results.at(-1)?.rows?.[0]?.['nb_cfg'])
    const [northd, applied] = await Promise.all(
      (['sb_cfg', 'hv_cfg'] as const).map(async (column) => {
        await this.#reached(column, number)
        return performance.now() - start
      }),
    )
    return { accepted, northd: northd ?? 0, flows: this.changed - start, applied: applied ?? 0 }
  }

  create(name: string, vip: string): Promise<Times> {
    const row = [...this.#database.rows('Logical_Switch').values()].find(({ name }) => name === 'inside')
    return this.write([
      {
        op: 'insert',
        table: 'Load_Balancer',
        uuidName: 'made',
        row: { name, protocol: 'tcp', vips: { [vip]: listed(1) }, options: { reject: 'true' } },
      },
      {
        op: 'mutate',
        table: 'Logical_Switch',
        where: { uuid: row?.uuid ?? '' },
        mutations: [['load_balancer', 'insert', [{ named: 'made' }]]],
      },
    ])
  }

  reweigh(name: string, vip: string, weight: number): Promise<Times> {
    return this.write([
      {
        op: 'update',
        table: 'Load_Balancer',
        where: this.#row(name),
        row: { vips: { [vip]: listed(weight) } },
      },
    ])
  }

  /** All that is written is in force, so that nothing of it counts for the next one. */
  async settled(): Promise<void> {
    await this.write([])
  }

  async remove(name: string): Promise<void> {
    const { uuid } = this.#row(name)
    const where = [['load_balancer', 'includes', [uuid]]] as const
    const mutations = [['load_balancer', 'delete', [uuid]]] as const
    await this.write([
      { op: 'mutate', table: 'Logical_Switch', where, mutations },
      { op: 'delete', table: 'Load_Balancer', where: { uuid } },
    ])
  }

  #row(name: string): { readonly uuid: string } {
    const rows = [...this.#database.rows('Load_Balancer').values()]
    return { uuid: rows.find((row) => row.name === name)?.uuid ?? '' }
  }

  async #reached(column: 'sb_cfg' | 'hv_cfg', number: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const look = (): void => {
      const [global] = this.#database.rows('NB_Global').values()
      if ((global?.[column] ?? 0) >= number) resolve()
    }
    const end = this.#database.subscribe(look)
    look()
    await promise
    end()
  }
}

/** The list of two backends with weights `weight` and 1, as Torb writes it. */
const listed = (weight: number): string =>
  [...Array<string>(weight).fill(backends[0]), backends[1]].map((address) => `${address}:80`).join(',')

const vipOf = (i: number): string => `10.9.${i >> 8}.${i & 255}`

/** Makes services from one number up to another, all in force at the end. */
async function fill(torb: RunningDaemon, plain: Plain, from: number, to: number): Promise<void> {
  const numbers = Array.from({ length: to - from }, (_, i) => from + i)
  for (let at = 0; at < numbers.length; at += 50)
    await Promise.all(numbers.slice(at, at + 50).map((i) => create(torb, i, '')))
  await plain.settled()
}

/** @param query of the last write: a service is in effect when that is */
async function create(torb: RunningDaemon, i: number, query: string): Promise<void> {
  const made = backends.map((host, n) => [`b${n}`, { host, port: 80, weight: 1, pulse: { type: 'none' } }])
  const body = { host: vipOf(i), port: 80, attach, backends: Object.fromEntries(made) as object }
  await torb.must('PUT', `/service/s${i}${query}`, body)
}

interface Samples {
  readonly accepted: number[]
  /** Of the writes of `applied`. */
  readonly flows: number[]
  readonly applied: number[]
  readonly plain: Times[]
}

const nothing = (): Samples => ({ accepted: [], flows: [], applied: [], plain: [] })
const now = '?wait=applied&timeout=30s'

async function reweighing(torb: RunningDaemon, plain: Plain, count: number): Promise<Samples> {
  const samples = nothing()
  const weights = new Map<string, number>()
  /** Another service each time; 1 and 3 in turn. */
  const next = (name: string): { readonly weight: number } => {
    const weight = weights.get(name) === 3 ? 1 : 3
    weights.set(name, weight)
    return { weight }
  }
  for (let run = 0; run < runs; run++) {
    const name = `s${(run * 37) % count}`
    const patch = (query: string) => torb.must('PATCH', `/service/${name}/b0${query}`, next(name))
    samples.accepted.push(await timed(() => patch('')))
    await plain.settled()
    const start = performance.now()
    samples.applied.push(await timed(() => patch(now)))
    samples.flows.push(plain.changed - start)
    await plain.settled()
    samples.plain.push(await plain.reweigh('plain', `${vipOf(60_000)}:80`, next('plain').weight))
  }
  return samples
}

async function creating(torb: RunningDaemon, plain: Plain, count: number): Promise<Samples> {
  const samples = nothing()
  for (let run = 0; run < runs / 2; run++) {
    for (const query of ['', now]) {
      const start = performance.now()
      const took = await timed(() => create(torb, count, query))
      if (query === now) samples.flows.push(plain.changed - start)
      samples[query === now ? 'applied' : 'accepted'].push(took)
      await torb.must('DELETE', `/service/s${count}`)
      await plain.settled()
    }
    samples.plain.push(await plain.create('other', `${vipOf(60_001)}:80`))
    await plain.remove('other')
  }
  return samples
}

function row(
  what: string,
  chassis: number,
  count: number,
  { accepted, flows, applied, plain }: Samples,
): string {
  const both = (values: readonly number[]): string =>
    `${quantile(values, 0.5).toFixed(1)} / ${quantile(values, 0.99).toFixed(1)}`
  const of = (key: keyof Times): readonly number[] => plain.map((times) => times[key])
  const more = quantile(applied, 0.5) - quantile(of('applied'), 0.5)
  const own = (['accepted', 'northd', 'flows', 'applied'] as const).map((key) => both(of(key)))
  const cells = [...[accepted, flows, applied].map(both), ...own]
  return `| ${[what, count, chassis, ...cells, more.toFixed(1)].join(' | ')} |`
}

async function measure(lab: OvnLab, chassis: 1 | 2): Promise<void> {
  await lab.nbctl(
    'ls-add',
    'inside',
    ...backends.flatMap((address, n) => [
      ...`-- lsp-add inside server${n} -- lsp-set-addresses server${n}`.split(' '),
      `0a:00:00:03:00:0${n} ${address}`,
    ]),
  )
  for (const at of [1, 2] as const)
    if (at <= chassis) await lab.port(at, 'inside', `vm${at}`, { addresses: [`10.8.0.${at}/16`] })
  const database = await connectOvsdb({
    database: 'OVN_Northbound',
    addresses: [lab.nbAddress],
    tables,
    leaderOnly: false,
    log: { info: () => undefined, warn: () => undefined },
  })
  await using torb = await startDaemon({
    args: ['--plane', 'ovn', '--ovn-nb', lab.nbAddress, '--ovn-sb', lab.sbAddress],
  })
  const monitors: FlowMonitor[] = []
  try {
    for (const one of lab.chassis) monitors.push(await FlowMonitor.start(one))
    const plain = new Plain(database, monitors)
    await plain.create('plain', `${vipOf(60_000)}:80`)
    let made = 0
    for (const count of services) {
      await fill(torb, plain, made, count)
      made = count
      console.log(row('weight of a backend', chassis, count, await reweighing(torb, plain, count)))
      console.log(row('service with two backends', chassis, count, await creating(torb, plain, count)))
    }
  } finally {
    for (const monitor of monitors) monitor[Symbol.dispose]()
    await database.close()
  }
}

/** This bench with the OVN of another release. */
async function elsewhere(name: string): Promise<void> {
  using release = new OvnRelease(name)
  for (const program of ['ovn-northd', 'ovs-vswitchd'])
    console.log((await release.run(program, '--version')).split('\n', 1)[0])
  console.log(await release.run('node', 'bench/ovnWrites.ts', `--runs=${runs}`))
}

async function here(): Promise<void> {
  console.log(
    '| ms, p50 / p99 | services | chassis | accepted | flows | applied | plain: accepted | northd done | flows | applied | Torb, p50 |',
  )
  console.log('|---|---|---|---|---|---|---|---|---|---|---|')
  for (const chassis of [1, 2] as const) {
    using lab = await startOvn({ chassis })
    await measure(lab, chassis)
  }
}

await (values.release === undefined ? here() : elsewhere(values.release))
