import { allot, inWholeUnits, sum } from './allot.ts'

/**
 * Weights by feedback: a pure controller that moves the weights of one function's instances toward equal response time.
 * docs/gateway-feedback.md has the formula and why it is stable.
 */
export interface FeedbackOptions {
  /** A weight changes by at most this part of itself in a step. */
  readonly maxStep: number
  /** An instance keeps at least this part of its configured weight. */
  readonly floor: number
  /** How much of a difference (of logarithms of response times) a step answers. */
  readonly gain: number
  /** How much a new measurement counts beside the earlier ones, up to 1. */
  readonly smoothing: number
  /** Relative differences below this are no difference. */
  readonly deadBand: number
  /** Requests that make a measurement; fewer are kept for the next step. */
  readonly minRequests: number
  /** A failed request counts as one that took so many times as long as the function's mean. */
  readonly errorPenalty: number
  /** The part of its way back to the configured weight that an instance goes in each step. */
  readonly restore: number
}

export const feedbackDefaults: FeedbackOptions = {
  maxStep: 0.1,
  floor: 0.1,
  gain: 0.5,
  smoothing: 0.5,
  deadBand: 0.05,
  minRequests: 20,
  errorPenalty: 10,
  restore: 0.02,
}

/** An instance with its weight as the other sources say. */
export interface ConfiguredInstance {
  readonly instance: string
  readonly weight: number
}

/** What an instance did since the last step. */
export interface Observation {
  readonly instance: string
  readonly answered: number
  readonly failed: number
  /** Sum of the response times of what was answered. */
  readonly milliseconds: number
}

/** What the controller remembers of a function; `new Map()` at first. */
export type FeedbackState = ReadonlyMap<string, Memory>

interface Memory {
  /** Its share of all weights, as a part of its configured share. */
  readonly factor: number
  /** Observed, but too little to measure by. */
  readonly pending: Observation
  /** Smoothed logarithm of the response time; null before the first measurement. */
  readonly level: number | null
  /** Halved when the difference turns, grows back while it stays. */
  readonly damping: number
  /** Of the last difference that was answered: -1 faster, 1 slower, 0 none yet. */
  readonly side: number
  /** In the units of an overlay. */
  readonly weight: number
}

export interface FeedbackDecision {
  readonly instance: string
  readonly from: number
  readonly to: number
  /** Response time, failures included as the penalty says; null: not measured in this step. */
  readonly milliseconds: number | null
  /** What it is compared with: the mean (of logarithms) over the instances by their shares; null: none was measured. */
  readonly reference: number | null
  /** balance: others moved, or it returns to its configured weight. */
  readonly reason: 'slower' | 'faster' | 'failing' | 'balance'
}

export interface FeedbackStep {
  readonly state: FeedbackState
  /** In the order of the instances, whole numbers with the sum `overlayUnits`; null: the configured weights are right. */
  readonly weights: readonly number[] | null
  readonly decisions: readonly FeedbackDecision[]
}

/** Fine enough for steps of a tenth, coarse enough that a period of weighted round robin stays short. */
export function overlayUnits(instances: number): number {
  return Math.max(100, 8 * instances)
}

/** Response times below this are not told apart. */
const leastMilliseconds = 0.05
const leastDamping = 1 / 16
const dampingGrowth = 1.2
/** Standard errors of the mean of so many response times, were they spread exponentially, that pass as chance. */
const chance = 1.5

interface Measured {
  readonly memory: Memory
  readonly share: number
  /** Configured share. */
  readonly base: number
  /** Observed since the last measurement. */
  readonly requests: number
  /** Nobody asked it since the last step. */
  readonly idle: boolean
  /** null: too few requests. */
  readonly level: number | null
  readonly cost: number | null
  readonly failing: boolean
}

/** The state of a function whose weights are those of an earlier run: it goes on from there. */
export function resumed(
  configured: readonly ConfiguredInstance[],
  weights: readonly number[],
): FeedbackState {
  const active = oncePerInstance(configured)
  const given = new Map(
    oncePerInstance(configured.map(({ instance }, n) => ({ instance, weight: weights[n] ?? 0 }))).map(
      ({ instance, weight }) => [instance, weight],
    ),
  )
  if (active.length === 0 || active.some(({ instance }) => !given.has(instance))) return new Map()
  const inForce = active.map(({ instance }) => given.get(instance) ?? 0)
  const units = inWholeUnits(inForce, overlayUnits(active.length))
  const scale = sum(active.map(({ weight }) => weight)) / sum(inForce)
  return new Map(
    active.map(({ instance, weight }, n) => {
      const factor = ((inForce[n] ?? 0) * scale) / weight
      const memory = { factor, pending: nothing(instance), level: null, damping: 1, side: 0 }
      return [instance, { ...memory, weight: units[n] ?? 0 }]
    }),
  )
}

/** One step: what was observed since the last one into new weights. Instances without configured weight stay without. */
export function step(
  state: FeedbackState,
  configured: readonly ConfiguredInstance[],
  observations: readonly Observation[],
  options: FeedbackOptions,
): FeedbackStep {
  const active = oncePerInstance(configured)
  if (active.length === 0) return { state: new Map(), weights: null, decisions: [] }
  const measured = measure(state, active, observations, options)
  // An instance that is measured in this step is compared with what is known of the others, also from earlier steps.
  const known = measured
    .map(({ level, memory, share }) => ({ level: level ?? memory.level, share }))
    .filter(({ level }) => level !== null)
  const knownShare = sum(known.map(({ share }) => share))
  const reference = sum(known.map(({ level, share }) => (level ?? 0) * share)) / knownShare

  const moves = measured.map((one) => move(one, reference, options))
  const shares = allot(
    measured.map(({ share, base }, n) => ({
      desired: share * Math.exp(moves[n]?.exponent ?? 0),
      least: Math.min(share, Math.max(options.floor * base, share * (1 - options.maxStep))),
      most: share * (1 + options.maxStep),
    })),
    1,
  )
  const units = inWholeUnits(shares, overlayUnits(active.length))
  const asConfigured = inWholeUnits(
    measured.map(({ base }) => base),
    overlayUnits(active.length),
  )

  const next = new Map<string, Memory>()
  const decisions: FeedbackDecision[] = []
  for (const [n, { instance }] of active.entries()) {
    const { memory, base, level, cost, failing } = measured[n] as Measured
    const { difference, damping, side } = moves[n] as Move
    const weight = units[n] ?? 0
    const pending = cost === null ? memory.pending : nothing(instance)
    const factor = (shares[n] ?? 0) / base
    next.set(instance, { factor, pending, level: level ?? memory.level, damping, side, weight })
    if (weight === memory.weight) continue
    const slow = failing ? 'failing' : 'slower'
    const reason = difference > 0 ? slow : difference < 0 ? 'faster' : 'balance'
    const figures = { milliseconds: cost, reference: known.length === 0 ? null : Math.exp(reference) }
    decisions.push({ instance, from: memory.weight, to: weight, ...figures, reason })
  }
  const moved = units.some((weight, n) => weight !== asConfigured[n])
  return { state: next, weights: moved ? inPlace(configured, next) : null, decisions }
}

/** What is listed twice is one instance: its first place gets the weight of all. */
function inPlace(configured: readonly ConfiguredInstance[], memories: FeedbackState): number[] {
  const weights = new Map([...memories].map(([instance, { weight }]) => [instance, weight]))
  return configured.map(({ instance }) => {
    const weight = weights.get(instance) ?? 0
    weights.delete(instance)
    return weight
  })
}

/** Those with a weight; what is listed twice is one instance with the sum. */
function oncePerInstance(configured: readonly ConfiguredInstance[]): ConfiguredInstance[] {
  const weights = new Map<string, number>()
  for (const { instance, weight } of configured) weights.set(instance, (weights.get(instance) ?? 0) + weight)
  return [...weights].map(([instance, weight]) => ({ instance, weight })).filter(({ weight }) => weight > 0)
}

function nothing(instance: string): Observation {
  return { instance, answered: 0, failed: 0, milliseconds: 0 }
}

function measure(
  state: FeedbackState,
  active: readonly ConfiguredInstance[],
  observations: readonly Observation[],
  { minRequests, errorPenalty, smoothing }: FeedbackOptions,
): Measured[] {
  const bases = active.map(({ weight }) => weight)
  const allBases = sum(bases)
  const units = inWholeUnits(bases, overlayUnits(active.length))
  const fresh = active.map(({ instance }, n): Memory => {
    const weight = units[n] ?? 0
    return { factor: 1, pending: nothing(instance), level: null, damping: 1, side: 0, weight }
  })
  const memories = fresh.map((memory) => {
    const known = state.get(memory.pending.instance) ?? memory
    const pending = observations
      .filter(({ instance }) => instance === memory.pending.instance)
      .reduce(together, known.pending)
    return { ...known, pending }
  })
  // Of an instance that came or left, the others' shares of the whole change in proportion.
  const parts = memories.map(({ factor }, n) => (factor * (bases[n] ?? 0)) / allBases)
  const whole = sum(parts)

  const answered = sum(memories.map(({ pending }) => pending.answered))
  const mean = sum(memories.map(({ pending }) => pending.milliseconds)) / answered
  return memories.map((memory, n): Measured => {
    const { pending, level } = memory
    const requests = countOf(pending)
    const idle = requests === countOf(state.get(pending.instance)?.pending)
    const place = { idle, memory, share: (parts[n] ?? 0) / whole, base: (bases[n] ?? 0) / allBases, requests }
    // Without any answer there is nothing to compare with.
    if (requests < minRequests || answered === 0) return { ...place, level: null, cost: null, failing: false }
    const lost = pending.failed * errorPenalty * mean
    const cost = Math.max(leastMilliseconds, (pending.milliseconds + lost) / requests)
    const now = Math.log(cost)
    const smooth = level === null ? now : level + smoothing * (now - level)
    return { ...place, level: smooth, cost, failing: lost > pending.milliseconds }
  })
}

const countOf = (seen: Observation | undefined): number => (seen?.answered ?? 0) + (seen?.failed ?? 0)

function together(before: Observation, { answered, failed, milliseconds }: Observation): Observation {
  return {
    instance: before.instance,
    answered: before.answered + answered,
    failed: before.failed + failed,
    milliseconds: before.milliseconds + milliseconds,
  }
}

interface Move {
  /** The share is to be multiplied by e to this power. */
  readonly exponent: number
  readonly difference: number
  readonly damping: number
  readonly side: number
}

function move(
  { memory, share, base, requests, idle, level }: Measured,
  reference: number,
  options: FeedbackOptions,
): Move {
  // While it is being measured it stays, so that both pulls act equally often.
  const back = level !== null || idle ? options.restore * Math.log(base / share) : 0
  const apart = level === null ? 0 : level - reference
  const threshold = Math.max(options.deadBand, chance / Math.sqrt(requests))
  const difference = Math.sign(apart) * Math.max(0, Math.abs(apart) - threshold)
  if (difference === 0) return { exponent: back, difference, damping: memory.damping, side: memory.side }
  const side = Math.sign(difference)
  const damping =
    memory.side === -side
      ? Math.max(leastDamping, memory.damping / 2)
      : Math.min(1, memory.damping * dampingGrowth)
  return { exponent: back - options.gain * damping * difference, difference, damping, side }
}
