import type { WireFunction, WireFunctionInFull, WireFunctionList } from '../api/wireFunction.ts'
import type { WireRejected, WireSource } from '../api/wireSource.ts'
import { timeText } from './planesView.ts'
import { shortNumber } from './serviceTable.ts'
import { paint, printable, table, type Cell, type Column, type Style } from './table.ts'

type Instance = WireFunctionInFull['instances'][number]

const columns = [
  { title: 'FUNCTION' },
  { title: 'INSTANCE' },
  { title: 'STATUS' },
  { title: 'WEIGHT', align: 'right' },
  { title: 'ACTIVE', align: 'right', gap: 1 },
  { title: 'REQUESTS', align: 'right', gap: 1 },
  { title: 'FAILED', align: 'right', gap: 1 },
  { title: 'P50', align: 'right', gap: 1 },
  { title: 'P99', align: 'right', gap: 1 },
  { title: 'REASON' },
] as const
const sourceColumns = [
  { title: 'SOURCE' },
  { title: 'ZONE' },
  { title: 'STATE' },
  { title: 'AGE', align: 'right' },
  { title: 'FUNCTIONS', align: 'right' },
  { title: 'REJECTED', align: 'right' },
  { title: 'MESSAGE' },
] as const
const claimColumns = [
  { title: 'SOURCE' },
  { title: 'ZONE' },
  { title: 'DECIDES' },
  { title: 'INSTANCES' },
] as const
const rejectedColumns = [
  { title: 'SOURCE' },
  { title: 'KEY' },
  { title: 'SINCE' },
  { title: 'REASON' },
] as const

/** Functions, each with its instances below it, and their sources. */
export function renderFunctions(
  { gateway, sources, functions }: WireFunctionList,
  colour: boolean,
): string[] {
  const rows = functions.flatMap(functionRows)
  return [
    ...(rows.length === 0 ? ['no functions'] : functionTable(rows, colour)),
    ...below(sourceColumns, sources.flatMap(sourceRows), colour),
    ...(gateway === null ? ['', 'no gateway runs in this Torb: functions are only kept'] : []),
  ]
}

/** One function, all who have it, and what of it cannot be used. */
export function renderFunction(found: WireFunction, colour: boolean): string[] {
  const claims = found.sources.map(({ source, zone, decides, options }) => [
    source,
    zone,
    decides ? { text: 'yes', style: 'green' as const } : 'no',
    options.ips.map((text, index) => `${text}=${options.weights[index] ?? 0}`).join(' '),
  ])
  return [
    ...functionTable(functionRows(found), colour),
    ...below(claimColumns, claims, colour),
    ...below(rejectedColumns, found.rejected.map(rejectedCells), colour),
  ]
}

export function renderRejected(found: readonly WireRejected[], colour: boolean): string[] {
  return found.length === 0
    ? ['no key is rejected']
    : table(rejectedColumns, found.map(rejectedCells), colour)
}

function below(columns: readonly Column[], rows: readonly Cell[][], colour: boolean): string[] {
  return rows.length === 0 ? [] : ['', ...table(columns, rows, colour)]
}

function functionTable(rows: readonly Cell[][], colour: boolean): string[] {
  const isReasoned = rows.some((row) => row.at(-1) !== '')
  return table(isReasoned ? columns : columns.slice(0, -1), rows, colour)
}

function functionRows(found: WireFunctionInFull): Cell[][] {
  const { name, source, zone, options, feedback, instances, statistics } = found
  const sum = (value: (of: NonNullable<Instance['statistics']>) => number): string =>
    statistics === null
      ? ''
      : shortNumber(instances.reduce((all, { statistics }) => all + (statistics ? value(statistics) : 0), 0))
  return [
    [
      { text: name, style: 'bold' },
      `${options.method} ${zone === '' ? source : `${source}/${zone}`}${feedback ? ' feedback' : ''}`,
      '',
      '',
      '',
      sum(({ requests, retries }) => requests + retries),
      sum(({ failures }) => failures),
      '',
      '',
      unservedText(statistics),
    ],
    ...instances.map((instance, index) => instanceCells(instance, options.weights[index] ?? 0)),
  ]
}

/** What came to no instance. */
function unservedText(statistics: WireFunctionInFull['statistics']): string {
  const parts = Object.entries(statistics ?? {}).filter(([, count]) => count > 0)
  return parts.map(([what, count]) => `${shortNumber(count)} ${what}`).join(', ')
}

function instanceCells(instance: Instance, configured: number): Cell[] {
  const { weight, health, address, statistics } = instance
  const [status, style] = statusOf(instance)
  const time = statistics?.response_ms
  return [
    '',
    `  ${instance.instance}`,
    { text: status, style },
    weight === configured ? String(weight) : `${weight}/${configured}`,
    ...(statistics === null
      ? ['', '', '']
      : [
          shortNumber(statistics.active),
          shortNumber(statistics.requests + statistics.retries),
          shortNumber(statistics.failures),
        ]),
    milliseconds(time?.p50),
    milliseconds(time?.p99),
    address === '' ? 'its name does not resolve' : (health?.reason ?? ''),
  ]
}

function statusOf({ address, health, statistics }: Instance): readonly [text: string, style: Style] {
  if (address === '') return ['Unknown', 'red']
  if (health?.up === false) return ['Down', 'red']
  if (statistics?.ejected === true) return ['Ejected', 'yellow']
  if (health !== null && health.share < 1) return ['Rising', 'yellow']
  return health === null ? ['-', 'plain'] : ['Up', 'green']
}

const milliseconds = (value: number | undefined): string =>
  value === undefined ? '' : value < 99.95 ? value.toFixed(1) : shortNumber(value)

/** One row a zone; a source without zones has one. */
function sourceRows({ source, state, message, age, functions, rejected, zones }: WireSource): Cell[][] {
  const cells = (
    zone: string,
    of: Pick<WireSource, 'state' | 'message' | 'age'>,
    counts: readonly Cell[],
  ): Cell[] => [
    { text: source, style: 'bold' },
    zone,
    { text: of.state, style: of.state === 'current' ? 'green' : 'yellow' },
    of.age === null ? '-' : ageText(of.age),
    ...counts,
    of.message,
  ]
  const counts = [
    String(functions),
    { text: String(rejected), style: rejected === 0 ? 'plain' : 'red' },
  ] as const
  if (zones.length === 0) return [cells('', { state, message, age }, counts)]
  return zones.map((zone, index) => cells(zone.zone, zone, index === 0 ? counts : ['', '']))
}

/** The worst first. */
const states: readonly WireSource['state'][] = ['stale', 'starting', 'held', 'current']

/** How many sources are not as their origin has them, and the worst of these, in one line; a zone counts as one. */
export function sourcesLine(sources: readonly WireSource[], colour: boolean): string {
  const followed = sources.flatMap(({ source, state, message, age, zones }) =>
    (zones.length === 0 ? [{ zone: '', state, message, age }] : zones).map((of) => ({
      name: of.zone === '' ? source : `${source}/${of.zone}`,
      state: of.state,
      message: of.message,
      age: of.age ?? Number.MAX_VALUE,
    })),
  )
  const [worst, ...others] = followed
    .filter(({ state }) => state !== 'current')
    .toSorted((a, b) => states.indexOf(a.state) - states.indexOf(b.state) || b.age - a.age)
  const rejected = sources.reduce((sum, source) => sum + source.rejected, 0)
  const keys = rejected === 0 ? '' : `, ${rejected === 1 ? '1 key' : `${rejected} keys`} rejected`
  const style = rejected > 0 ? 'red' : worst === undefined ? 'plain' : 'yellow'
  const line = (text: string): string => (colour ? paint(style, printable(text)) : printable(text))
  if (worst === undefined) {
    const who = followed.length === 1 ? `${followed[0]?.name} is` : `all ${followed.length} are`
    return line(`sources: ${who} current${keys}`)
  }
  const { name, state, age, message } = worst
  const known = age === Number.MAX_VALUE ? '' : `, as of ${ageText(age)} ago`
  const which = others.length === 0 ? '' : 'the worst: '
  const why = message === '' ? '' : `: ${message}`
  return line(
    `sources: ${others.length + 1} of ${followed.length} not current${keys}; ${which}${name} ${state}${known}${why}`,
  )
}

function rejectedCells({ source, key, since, reason }: WireRejected): Cell[] {
  return [source, key, timeText(since), { text: reason, style: 'red' }]
}

/** `12 s`, `3 min`, `5 h` */
export function ageText(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`
}
