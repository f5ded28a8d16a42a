import type { CheckResult, Pace } from './check.ts'

/**
 * Health of one backend as GORB counts it: a window of the last results, a status, and whether weight is being regained.
 * Small, because there are 100,000 of them: a backend without a failure in its window holds no window, only its length.
 */
export interface Health {
  readonly up: boolean
  /** Results in a row that speak against `up`. */
  readonly against: number
  /** Results in the window. */
  readonly length: number
  /** Bit i: the result i checks ago was a failure. null: none was. */
  readonly failures: Uint32Array | null
  /** Was Down, and a failure is still in the window: the weight follows health. */
  readonly restoring: boolean
  /** Whole seconds, as GORB adds them up: fractions between two results are lost. */
  readonly uptime: number
  /** Milliseconds since the epoch of the last result; 0: none yet. */
  readonly at: number
}

export interface Thresholds {
  /** Successes in a row that turn Down into Up. */
  readonly rise: number
  /** Failures in a row that turn Up into Down. */
  readonly fall: number
  /** Results that health is the mean of. */
  readonly window: number
}

const maxWindow = 1000

const unchecked: Health = Object.freeze({
  up: true,
  against: 0,
  length: 0,
  failures: null,
  restoring: false,
  uptime: 0,
  at: 0,
})

/** Before any result: Up, health 0, full weight. */
export function initialHealth(): Health {
  return unchecked
}

/** The health after one more result at `now` (milliseconds since the epoch). */
export function observe(
  health: Health,
  { up: success }: Pick<CheckResult, 'up'>,
  now: number,
  limits: Thresholds,
): Health {
  const against = success === health.up ? 0 : health.against + 1
  const turned = against >= (health.up ? limits.fall : limits.rise)
  const up = turned ? success : health.up
  const failures = shiftIn(health.failures, !success, limits.window)
  return {
    up,
    against: turned ? 0 : against,
    length: Math.min(health.length + 1, limits.window),
    failures,
    restoring: !up || (health.restoring && failures !== null),
    uptime: up
      ? health.uptime + (health.at === 0 ? 0 : Math.max(0, Math.floor((now - health.at) / 1000)))
      : 0,
    at: now,
  }
}

/** GORB's metrics: status 0 Up, 1 Down; health 0..1; uptime in whole seconds. */
export function metrics(health: Health): {
  readonly status: 0 | 1
  readonly health: number
  readonly uptime: number
} {
  return { status: health.up ? 0 : 1, health: mean(health), uptime: health.uptime }
}

/**
 * The weight in force of a configured one: 0 while Down, then configured × health until no failure is left in the window.
 * Above GORB: an Up backend with a configured weight never stays at 0. `configured` may change at any time.
 */
export function effectiveWeight(configured: number, health: Health): number {
  if (!health.up) return 0
  if (!health.restoring || configured <= 0) return configured
  return Math.max(1, Math.trunc(configured * mean(health)))
}

/**
 * The weights in force of all backends of a service, in their order.
 *
 * @param zeroToOne fb-zero-to-one: where every backend that has a weight is Down, each of them gets 1
 */
export function effectiveWeights(
  backends: readonly { readonly configured: number; readonly health: Health }[],
  zeroToOne: boolean,
): number[] {
  const allDown = zeroToOne && backends.every(({ configured, health }) => configured === 0 || !health.up)
  return backends.map(({ configured, health }) =>
    allDown ? Math.min(configured, 1) : effectiveWeight(configured, health),
  )
}

/** How fast to check: at leisure only where the configured weight is in force. */
export function pace(health: Health, configured: number): Pace {
  if (!health.up) return 'down'
  return effectiveWeight(configured, health) < configured ? 'recovering' : 'normal'
}

/** Compact text for the store. */
export function encodeHealth({ failures, ...rest }: Health): string {
  return JSON.stringify({
    ...rest,
    failures: failures === null ? '' : [...failures].map((word) => word.toString(16)).join('.'),
  })
}

/** What `encodeHealth` wrote. Anything else is a backend that was never checked. */
export function decodeHealth(text: string): Health {
  let row: unknown
  try {
    row = JSON.parse(text)
  } catch {
    return unchecked
  }
  if (typeof row !== 'object' || row === null) return unchecked
  const { up, against, length, failures, restoring, uptime, at } = row as Record<string, unknown>
  if (typeof up !== 'boolean' || typeof restoring !== 'boolean' || typeof failures !== 'string')
    return unchecked
  if (!isCount(against) || !isCount(length) || length > maxWindow || !isCount(uptime)) return unchecked
  if (typeof at !== 'number' || !(at >= 0 && at < Infinity)) return unchecked
  const words = failures === '' ? [] : failures.split('.')
  if (words.length > wordsOf(maxWindow) || !words.every((word) => /^[0-9a-f]{1,8}$/.test(word)))
    return unchecked
  const window = Uint32Array.from(words, (word) => Number.parseInt(word, 16))
  const kept = keepNewest(window, length)
  if (!up && !restoring) return unchecked
  const failed = count(kept) > 0
  return {
    up,
    against,
    length,
    failures: failed ? kept : null,
    restoring: !up || (restoring && failed),
    uptime,
    at,
  }
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

const wordsOf = (bits: number): number => Math.ceil(bits / 32)

/** 1 − sum / length, in GORB's own order of operations, so that its roundings are ours. */
function mean({ length, failures }: Health): number {
  return length === 0 ? 0 : 1 - count(failures) / length
}

function shiftIn(failures: Uint32Array | null, failed: boolean, window: number): Uint32Array | null {
  if (failures === null && !failed) return null
  const next = new Uint32Array(wordsOf(window))
  let carry = failed ? 1 : 0
  for (let i = 0; i < next.length; i++) {
    const word = failures?.[i] ?? 0
    next[i] = (word << 1) | carry
    carry = word >>> 31
  }
  const kept = keepNewest(next, window)
  return kept.some((word) => word !== 0) ? kept : null
}

/** Clears all but the newest `length` bits, in place. */
function keepNewest(words: Uint32Array, length: number): Uint32Array {
  for (let i = 0; i < words.length; i++) {
    const bits = length - i * 32
    if (bits < 32) words[i] = bits <= 0 ? 0 : (words[i] ?? 0) & (2 ** bits - 1)
  }
  return words
}

function count(words: Uint32Array | null): number {
  let total = 0
  if (words !== null) for (const word of words) total += ones(word)
  return total
}

/** Bits set in 32 (Warren, Hacker's Delight §5-1). */
function ones(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555)
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333)
  bits = (bits + (bits >>> 4)) & 0x0f0f0f0f
  return Math.imul(bits, 0x01010101) >>> 24
}
