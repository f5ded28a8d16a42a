import { availableParallelism } from 'node:os'
import type { WireFunctionList } from '../api/wireFunction.ts'
import type { WireRejected } from '../api/wireSource.ts'
import { exit, type CommandError } from './exit.ts'
import { note, ok, problem, type Finding } from './finding.ts'
import { ageText } from './functionsView.ts'
import type { Rest } from './rest.ts'

/** What a running Torb says of its functions. */
export interface GatewayFacts {
  /** Where it was asked. */
  readonly api: string
  /** Cores of this machine: a gateway on the ring has a Worker for each. */
  readonly cores: number
  /** null: nobody answered, or the answer was refused. */
  readonly running: { readonly list: WireFunctionList; readonly rejected: readonly WireRejected[] } | null
  /** Why there is no answer; null where it answered, or none runs and none has to. */
  readonly failure: { readonly level: 'note' | 'problem'; readonly message: string } | null
}

/** Nobody is there, or not any more; others, such as a certificate that is not believed, are told. */
const gone = new Set(['ECONNREFUSED', 'ECONNRESET'])

/** Asks the Torb of this API, if one runs. @param mustRun that none does is told too */
export async function readGatewayFacts(rest: Rest, mustRun: boolean): Promise<GatewayFacts> {
  const facts = { api: rest.base, cores: availableParallelism() }
  try {
    const list = (await rest.request('GET', '/functions?full')) as WireFunctionList
    const rejected = (await rest.request('GET', '/functions?rejected')) as readonly WireRejected[]
    return { ...facts, running: { list, rejected }, failure: null }
  } catch (error) {
    const { code, message, cause } = error as CommandError
    const reason = (cause as NodeJS.ErrnoException | undefined)?.code ?? ''
    if (!mustRun && gone.has(reason)) return { ...facts, running: null, failure: null }
    const level = mustRun && code === exit.unavailable ? 'problem' : 'note'
    return { ...facts, running: null, failure: { level, message } }
  }
}

type Function = WireFunctionList['functions'][number]
type Instance = Function['instances'][number]

/** Names in one line at most. */
const mostNames = 5

/** How it stands with functions and their gateway. @param ring whether this machine lets programs have one */
export function gatewayFindings({ api, cores, running, failure }: GatewayFacts, ring: boolean): Finding[] {
  if (running === null) {
    if (failure !== null)
      return [
        {
          level: failure.level,
          subject: 'gateway',
          fact: `the Torb at ${api} could not be asked`,
          cure: failure.message,
        },
      ]
    const how = ring
      ? `${cores} Workers, one a core, on io_uring`
      : 'one Worker on node:net, at about twice the CPU'
    return [ok('gateway', `no Torb answers at ${api}; a function gateway here would have ${how}`)]
  }
  const { list, rejected } = running
  return [
    ...listenerFindings(list, api),
    ...list.sources.flatMap(sourceFindings),
    ...rejectedFindings(rejected),
    ...(list.gateway === null ? [] : functionFindings(list.functions)),
  ]
}

function listenerFindings({ gateway, functions }: WireFunctionList, api: string): Finding[] {
  if (gateway === null) {
    if (functions.length === 0) return [ok('gateway', `the Torb at ${api} runs none and has no functions`)]
    const fact = `the Torb at ${api} keeps ${count(functions, 'function')} and runs no gateway`
    return [note('gateway', fact, 'start it with --gateway [ADDR]:PORT')]
  }
  const { port, transport, portable_reason: reason, workers } = gateway
  const fact = `listens on port ${port}, ${workers === 1 ? 'one Worker' : `${workers} Workers`}, on `
  if (transport === 'ring') return [ok('gateway', `${fact}io_uring`)]
  const cause = `${fact}node:net, at about twice the CPU of io_uring`
  return [note('gateway', cause, reason)]
}

function sourceFindings({
  source,
  state,
  message,
  age,
  functions,
  zones,
}: WireFunctionList['sources'][number]) {
  const held = zones.length === 0 ? [{ zone: '', state, message, age, endpoint: '', revision: 0 }] : zones
  return held.map((of): Finding => {
    const where = of.zone === '' ? source : `${source}, zone ${of.zone}`
    const at = of.endpoint === '' ? '' : ` at ${of.endpoint}, revision ${of.revision}`
    const known = of.age === null ? 'never loaded' : `as of ${ageText(of.age)} ago`
    const fact = `${where}: ${of.state}${at}, ${known}; ${functions} functions of ${source} in all`
    if (of.state === 'current') return ok('source', fact)
    if (of.state === 'held')
      return note('source', fact, of.message === '' ? 'see "torb functions confirm"' : of.message)
    const stays = of.age === null ? '' : 'what was known of it stays in force; '
    return problem('source', fact, `${stays}${of.message === '' ? 'it has not answered yet' : of.message}`)
  })
}

function rejectedFindings(rejected: readonly WireRejected[]): Finding[] {
  const [first] = rejected
  if (first === undefined) return []
  const more =
    rejected.length === 1 ? '' : ` and ${rejected.length - 1} more (see "torb functions --rejected")`
  return [
    problem(
      'rejected keys',
      `${first.key} of ${first.source}: ${first.reason}${more}`,
      'mend the value there; what its function was before stays in force',
    ),
  ]
}

/** Functions that have nobody to ask, and instances that are left out. */
function functionFindings(functions: readonly Function[]): Finding[] {
  const withOut = functions.map((of) => ({
    ...of,
    out: of.instances.flatMap((instance) => whyOut(of, instance)),
  }))
  const idle = withOut.filter(({ instances, out }) => out.length === instances.length)
  const all = withOut.flatMap(({ name, out }) => out.map((reason) => ({ name, reason })))
  const busy = functions.filter(({ statistics }) => (statistics?.waiting ?? 0) > 0)
  const unknown = functions.filter(({ statistics }) => statistics === null)
  return [
    ok(
      'functions',
      `${count(functions, 'function')} with ${count(
        functions.flatMap(({ instances }) => instances),
        'instance',
      )}`,
    ),
    ...(idle.length === 0
      ? []
      : [
          problem(
            'functions',
            `no usable instance: ${listed(idle.map(({ name, out: [why] }) => `${name} (${why ?? 'it has none'})`))}`,
            'start an instance, or give others by "torb functions put"; see "torb explain /function/NAME"',
          ),
        ]),
    ...(unknown.length === 0
      ? []
      : [
          problem(
            'functions',
            `the gateway has no room for ${listed(unknown.map(({ name }) => name))}`,
            'it holds 16,384 functions, and as many different instances: remove some',
          ),
        ]),
    ...(all.length === 0
      ? []
      : [
          note(
            'instances',
            `${all.length} left out: ${listed(all.map(({ name, reason }) => `${reason}, of ${name}`))}`,
            'see "torb functions" for their failures and response times',
          ),
        ]),
    ...(busy.length === 0
      ? []
      : [
          note(
            'queues',
            `requests wait, as all instances are full: ${listed(busy.map(({ name, statistics }) => `${name} (${statistics?.waiting ?? 0})`))}`,
            'raise limits.in_flight, or give the function more instances',
          ),
        ]),
  ]
}

/** One reason, or none where requests come to it; that it was given no weight is meant so. */
function whyOut({ options }: Function, { instance, address, health, statistics }: Instance): string[] {
  if (address === '') return [`the name of ${instance} does not resolve`]
  if (health?.up === false) return [`${instance} is down: ${health.reason}`]
  return statistics?.ejected === true && options['ejection'] !== null
    ? [`${instance} is ejected after failures in a row`]
    : []
}

const count = (of: readonly unknown[], what: string): string =>
  of.length === 1 ? `1 ${what}` : `${of.length} ${what}s`

const listed = (texts: readonly string[]): string =>
  texts.slice(0, mostNames).join('; ') +
  (texts.length > mostNames ? `; and ${texts.length - mostNames} more` : '')
