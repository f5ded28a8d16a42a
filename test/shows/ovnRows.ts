import { connectOvsdb } from '../../src/planes/ovn/ovsdb/client.ts'

const tables = {
  Load_Balancer: {
    required: { name: 'string', vips: 'map', external_ids: 'map', health_check: 'set' },
  },
  Load_Balancer_Health_Check: { required: { vip: 'string' } },
  Logical_Switch: { required: { name: 'string', load_balancer: 'set' } },
} as const

/** A service as its row is to be: the virtual address with port, and by endpoint the weights in force and as configured. */
export interface WantedRow {
  readonly vip: string
  readonly weights: ReadonlyMap<string, number>
  readonly configured: ReadonlyMap<string, number>
}

/**
 * What of a northbound database, where only Torb has load balancers, is not as it should be; empty: all is.
 *
 * @param attachedTo the switch that each service is attached to
 */
export async function wrongRows(
  addresses: readonly string[],
  attachedTo: string,
  wanted: ReadonlyMap<string, WantedRow>,
): Promise<readonly string[]> {
  const log = { info: () => undefined, warn: () => undefined }
  const database = await connectOvsdb({
    database: 'OVN_Northbound',
    addresses,
    tables,
    leaderOnly: true,
    log,
  })
  try {
    const wrong: string[] = []
    const checks = database.rows('Load_Balancer_Health_Check')
    const unreferenced = new Set(checks.keys())
    const main = new Map<string, string>()
    const watching = new Set<string>()
    for (const row of database.rows('Load_Balancer').values()) {
      const id = row.external_ids.get('torb-service') ?? ''
      const service = wanted.get(id)
      if (service === undefined || row.external_ids.get('torb-owner') !== 'torb') {
        wrong.push(`row ${row.name} (torb-service "${id}") is nobody's`)
        continue
      }
      const isWatch = row.external_ids.has('torb-watch')
      if (isWatch ? watching.has(id) : main.has(id)) wrong.push(`service ${id} has two rows`)
      if (isWatch) watching.add(id)
      else main.set(id, row.uuid)
      if (!isWatch) wrong.push(...wrongRow(id, service, row))
      for (const uuid of row.health_check) {
        if (!unreferenced.delete(String(uuid))) wrong.push(`a health check of ${id} is another row's too`)
        const vip = checks.get(String(uuid))?.vip
        if (vip !== service.vip) wrong.push(`a health check of ${id} is of ${vip}`)
      }
    }
    for (const uuid of unreferenced) wrong.push(`health check ${checks.get(uuid)?.vip} is no row's`)
    for (const id of wanted.keys()) if (!main.has(id)) wrong.push(`service ${id} has no row`)
    const attached = [...database.rows('Logical_Switch').values()].flatMap(({ name, load_balancer }) =>
      load_balancer.map((uuid) => `${name} ${String(uuid)}`),
    )
    const should = [...main.values()].map((uuid) => `${attachedTo} ${uuid}`)
    for (const one of attached) if (!should.includes(one)) wrong.push(`attached and nobody's: ${one}`)
    for (const one of should) if (!attached.includes(one)) wrong.push(`not attached: ${one}`)
    return wrong
  } finally {
    await database.close()
  }
}

function wrongRow(
  id: string,
  { vip, weights, configured }: WantedRow,
  row: {
    readonly name: string
    readonly vips: ReadonlyMap<string, string>
    readonly external_ids: ReadonlyMap<string, string>
  },
): string[] {
  const wrong: string[] = []
  if (row.name !== id) wrong.push(`the row of ${id} has the name ${row.name}`)
  const read = (key: string): unknown => JSON.parse(row.external_ids.get(key) ?? '{}')
  const { backends = {} } = read('torb-spec') as {
    readonly backends?: Readonly<Record<string, { readonly maxWeight: number }>>
  }
  for (const [kind, have, should] of [
    ['in force', Object.entries(read('torb-backends') as Record<string, number>), weights],
    [
      'configured',
      Object.entries(backends).map(([at, { maxWeight }]) => [at, maxWeight] as const),
      configured,
    ],
  ] as const)
    if (sorted(have) !== sorted(should))
      wrong.push(`${id} has the weights ${sorted(have)} for ${sorted(should)} ${kind}`)
  if ([...row.vips.keys()].join() !== vip)
    wrong.push(`${id} has the address ${[...row.vips.keys()].join()} for ${vip}`)
  const listed = new Set((row.vips.get(vip) ?? '').split(',').filter((entry) => entry !== ''))
  for (const [entry, weight] of weights)
    if (weight > 0 && !listed.has(entry)) wrong.push(`${id} does not list ${entry}`)
  for (const entry of listed) if (!weights.has(entry)) wrong.push(`${id} lists ${entry}, which it has not`)
  return wrong
}

const sorted = (entries: Iterable<readonly [string, number]>): string =>
  JSON.stringify([...entries].toSorted(([a], [b]) => (a < b ? -1 : 1)))
