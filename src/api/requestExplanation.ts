import type { FunctionState } from '../gateway/gateway.ts'
import { cleanTarget, readTarget, type Target } from '../gateway/target.ts'
import type { InstanceHealth } from '../control/functionHealth.ts'
import type { FunctionClaim, PublishedFunction } from '../control/functions.ts'
import type { GatewayRules } from './functionFacts.ts'

/** A request as a gateway sees it. */
export interface AskedRequest {
  /** Path and query. */
  readonly target: string
  /** Gateways that it has passed already. */
  readonly passed: number
}

/** How it stands with a function now. */
export interface Situation {
  readonly published: PublishedFunction
  /** All who have it; the first decides. */
  readonly claims: readonly FunctionClaim[]
  /** In force, one for each of `spec.ips`. */
  readonly weights: readonly number[]
  readonly health: (instance: string) => InstanceHealth | null
  /** null: the gateway does not have it, for want of room. */
  readonly state: FunctionState | null
}

export interface ExplainedInstance {
  readonly instance: string
  readonly gateway: boolean
  readonly weight: number
  readonly configured: number
  readonly active: number
  /** Of such requests, 0 to 1, in the long run; by hash: of keys. */
  readonly share: number
  /** Why it gets none now; '' where it may get this one. */
  readonly out: string
}

export interface RequestExplanation {
  readonly function: string | null
  /** What the gateway answers by itself; null: an instance answers. */
  readonly status: number | null
  /** What an instance is asked for; '' where none is. Another gateway gets the target unchanged. */
  readonly path: string
  readonly instances: readonly ExplainedInstance[]
  readonly steps: readonly string[]
}

/**
 * Where a request would go, and why, by the rules of `GatewayPolicy` and `select` (src/gateway). Nothing moves by asking.
 *
 * @param known functions that the gateway has
 * @param rejected why what a source has of the function cannot be used; '' where there is nothing
 */
export function explainRequest(
  { target, passed }: AskedRequest,
  rules: GatewayRules,
  known: number,
  find: (name: string) => Situation | null,
  rejected: (name: string) => string,
): RequestExplanation {
  const steps: string[] = []
  const bytes = Buffer.from(target)
  const read: Target = { kind: 'invalid', nameAt: 0, nameEnd: 0 }
  readTarget(bytes, 0, bytes.length, read)
  const name = read.kind === 'function' ? bytes.toString('utf8', read.nameAt, read.nameEnd) : ''
  const answered = (status: number, ...reasons: readonly string[]): RequestExplanation => ({
    function: null,
    status,
    path: '',
    instances: [],
    steps: [...steps, ...reasons],
  })
  if (rules.dummy && known === 0)
    return answered(200, 'No function is known yet, and until then this gateway answers by itself (dummy).')
  if (read.kind === 'moved')
    return answered(301, `The path is not clean: the client is sent to ${cleanTarget(target)}.`)
  if (read.kind !== 'function') return answered(404, 'The path is not /function/NAME.')
  const found = find(name)
  if (found === null) {
    const reason = rejected(name)
    return answered(
      404,
      `There is no function "${name}" in ${rules.zones.length === 0 ? 'this Torb' : `zone ${rules.zones.join(', ')}`}; names are compared byte by byte.`,
      ...(reason === '' ? [] : [`What a source has of it cannot be used: ${reason}.`]),
    )
  }
  steps.push(...matched(name, found))
  if (found.state === null)
    return { ...answered(404, 'The gateway has no room for this function; its log says so.'), function: name }
  const rest = bytes.toString('utf8', read.nameEnd)
  return chosen(name, rest.startsWith('/') ? rest : `/${rest}`, found, found.state, passed, rules, steps)
}

function matched(name: string, { published, claims }: Situation): string[] {
  const { owner, zone, spec } = published
  const others = claims.slice(1).map(({ owner, zone }) => placeText(owner, zone))
  return [
    `Function "${name}" takes it, as ${placeText(owner, zone)} has it; method ${spec.method ?? 'wrr'}.`,
    ...(others.length === 0 ? [] : [`It is also in ${others.join(', ')}, which stands below that.`]),
  ]
}

const placeText = (owner: string, zone: string): string =>
  ({ rest: 'REST', file: 'the file', etcd: `etcd (zone ${zone})` })[owner] ?? owner

function chosen(
  name: string,
  path: string,
  found: Situation,
  state: FunctionState,
  passed: number,
  rules: GatewayRules,
  steps: string[],
): RequestExplanation {
  const { spec } = found.published
  const counted = believed(passed, rules, steps)
  const hasGateways = state.instances.some(({ isGateway }) => isGateway)
  const isLocal = counted > 0 && counted >= rules.hopLimit
  if (hasGateways)
    steps.push(
      isLocal
        ? `It has passed ${counted} of at most ${rules.hopLimit} gateways: no further one is asked.`
        : `Other gateways may be asked too: it has passed ${counted} of at most ${rules.hopLimit}.`,
    )
  const members = membersOf(found, state, isLocal)
  const standing = members.filter(({ out }) => out === '')
  // Where all are ejected they are better than nothing.
  const asked = standing.length > 0 ? standing : members.filter(({ out }) => out === ejected)
  const free = asked.filter(({ full }) => full === '')
  const taking = spec.method === 'least-request' ? leastLoaded(free) : free
  const sum = taking.reduce((sum, { turns }) => sum + turns, 0)
  const instances = members.map((member): ExplainedInstance => {
    const { instance, gateway, weight, configured, active, out, full, turns } = member
    const takes = taking.includes(member)
    const why = out !== '' ? out : full !== '' ? full : 'it has more requests for its weight than others'
    const share = takes ? (spec.method === 'least-request' ? 1 / taking.length : turns / sum) : 0
    return { instance, gateway, weight, configured, active, share, out: takes ? '' : why }
  })
  steps.push(...instances.map((instance, index) => instanceText(instance, found, index)))
  const end = { function: name, path: '', instances, steps }
  if (taking.length > 0) {
    if (standing.length === 0) steps.push('All that are left are ejected: they are asked all the same.')
    steps.push(...taken(path, instances, found))
    return { ...end, status: null, path }
  }
  if (asked.length > 0) return { ...end, status: waits(found, state, steps) }
  if (members.every(({ out }) => out === onlyInstances)) {
    const isLoop = members.length > 0
    steps.push(
      isLoop
        ? 'Only gateways have this function: a zone points back, or the list lacks an instance.'
        : 'It has no instances.',
    )
    return { ...end, status: isLoop ? 508 : 503 }
  }
  steps.push('No instance is left whose name resolves.')
  return { ...end, status: 502 }
}

/** Gateways passed as far as this one believes it. */
function believed(passed: number, { vouched }: GatewayRules, steps: string[]): number {
  if (passed === 0 || vouched === 'signed') return passed
  if (vouched === 'unsigned') return 1
  steps.push(
    'Nobody vouches here for gateways that a request has passed (no --hop-key-file, no --hop-unsigned): it counts as a client’s, unless it comes back to this very gateway.',
  )
  return 0
}

const ejected = 'ejected for a while, after failures in a row'
const onlyInstances = 'it is a gateway, and the request goes to instances only'

interface Member extends Omit<ExplainedInstance, 'share'> {
  /** Turns in the order, for its share. */
  readonly turns: number
  /** That it has as many requests as it may; '' where it has not. */
  readonly full: string
}

function membersOf(
  { published, weights, health }: Situation,
  state: FunctionState,
  isLocal: boolean,
): Member[] {
  const { spec, instances } = published
  const states = new Map(state.instances.map((of) => [of.instance, of]))
  const isEligible = (text: string): boolean => !(isLocal && states.get(text)?.isGateway === true)
  const isEven = !instances.some(({ text }, index) => isEligible(text) && (weights[index] ?? 0) > 0)
  const most = spec.limits?.in_flight ?? 0
  return instances.map(({ text, address }, index): Member => {
    const of = states.get(text)
    const [weight, active] = [weights[index] ?? 0, of?.active ?? 0]
    const why = (): string => {
      if (!isEligible(text)) return onlyInstances
      if (address === '') return 'its name does not resolve'
      const checked = health(text)
      if (!isEven && weight === 0)
        return checked?.isUp === false ? `it is down: ${checked.reason}` : 'its weight is 0'
      return spec.ejection !== null && of?.isEjected === true ? ejected : ''
    }
    return {
      instance: text,
      gateway: of?.isGateway ?? false,
      weight,
      configured: spec.weights[index] ?? 0,
      active,
      turns: isEven ? 1 : weight,
      out: why(),
      full: most > 0 && active >= most ? `full, with ${active} of at most ${most} requests` : '',
    }
  })
}

/** Those with the fewest requests for their weight, were they chosen; of equals it is the one whose turn it is. */
function leastLoaded(members: readonly Member[]): Member[] {
  const load = ({ active, turns }: Member): number => (active + 1) / turns
  const least = Math.min(...members.map(load))
  return members.filter((member) => load(member) === least)
}

function instanceText(shown: ExplainedInstance, { published, health }: Situation, index: number): string {
  const { instance, gateway, weight, configured, active, share, out } = shown
  const { address, port } = published.instances[index]!
  const checked = health(instance)
  const moved = [
    ...(published.overlay === null ? [] : ['by feedback']),
    ...(checked !== null && checked.share < 1 ? [`by its pulse, ${Math.round(checked.share * 100)} %`] : []),
  ]
  const weightText =
    weight === configured
      ? `weight ${weight}`
      : `weight ${weight} of ${configured} configured${moved.length === 0 ? '' : ` (${moved.join(', ')})`}`
  const where = address === '' || instance.includes(address) ? '' : ` at ${address} port ${port}`
  const end =
    out !== ''
      ? `out: ${out}`
      : `takes ${percent(share)}${checked?.isUp === false ? ', though it is down: all are' : ''}`
  return `${gateway ? 'Gateway' : 'Instance'} ${instance}${where}, ${weightText}, ${active} requests now: ${end}.`
}

export const percent = (share: number): string => `${Math.round(share * 1000) / 10} %`

/** What is sent, and how the choice is made. */
function taken(path: string, instances: readonly ExplainedInstance[], { published }: Situation): string[] {
  const { spec } = published
  const taking = instances.filter(({ out }) => out === '')
  const choice = {
    wrr: 'By turns, in the order of the list.',
    'least-request':
      'The one with the fewest requests under way for its weight; of equals the one whose turn it is.',
    hash: `By ${spec.hash_header === undefined ? "the client's address" : `the field ${spec.hash_header}, else the client's address`}: the same goes to the same.`,
  }[spec.method ?? 'wrr']
  return [
    ...(taking.length > 1 ? [choice] : []),
    ...(taking.some(({ gateway }) => !gateway)
      ? [`An instance is asked for ${path}, with its own name as Host.`]
      : []),
    ...(taking.some(({ gateway }) => gateway)
      ? ['A gateway gets path and query unchanged, since it chooses anew.']
      : []),
    ...(spec.retries !== 0 && taking.length > 1
      ? ['Where an instance fails and it does no harm, another one is tried.']
      : []),
  ]
}

/** @returns 503 where it finds the queue full; null: it waits */
function waits({ published }: Situation, { waiting }: FunctionState, steps: string[]): number | null {
  const { queue = 0, wait = '1s' } = published.spec.limits ?? {}
  if (queue === 0) steps.push('All are full, and there is no queue ("limits": {"queue": …}).')
  else if (waiting >= queue) steps.push(`All are full, and so is the queue: ${waiting} of ${queue} wait.`)
  else {
    steps.push(
      `All are full: it waits for at most ${wait}, behind ${waiting} others in a queue of ${queue}; then 503.`,
    )
    return null
  }
  return 503
}
