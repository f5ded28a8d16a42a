/**
 * Weights as a list of backends: OVN knows none, but it takes a backend that is listed several times as several.
 *
 * How Open vSwitch chooses an entry is in ofproto/ofproto-dpif.c (group_setup_dp_hash_table) and ofproto-dpif-xlate.c
 * (group_best_live_bucket).
 */

/** A backend by its text in the list, and its weight. */
export type Weighted = readonly [entry: string, weight: number]

/**
 * `each`: once, whatever its weight. `proportion`: as often as it takes for its share. `table`: positions are what a hash of
 * the client chooses, so that they stay where they were.
 */
export type Spread = 'each' | 'proportion' | 'table'

export interface Layout {
  readonly list: readonly string[]
  /** Largest difference between a backend's share and its part of the weights, in percentage points. */
  readonly error: number
}

/** A list is long enough when no share is further off than this, in percentage points. */
const enough = 1

/**
 * The list for these weights; weight 0 is left out.
 *
 * @param weights no entry twice, and not more of them above 0 than slots
 * @param slots length of the list at most
 * @param previous the list as it was, which a `table` keeps where it can
 */
export function layOut(
  spread: Spread,
  weights: readonly Weighted[],
  slots: number,
  previous: readonly string[],
): Layout {
  const present = weights.filter(([, weight]) => weight > 0)
  const [first] = present
  const same = present.every(([, weight]) => weight === first?.[1])
  if (first === undefined) return { list: [], error: 0 }
  if (present.length === 1) return { list: [first[0]], error: 0 }
  if (spread === 'table') return tableOf(present, slots, previous)
  // Equal ones are listed as by hand, although Open vSwitch rounds that to sixteenths.
  return spread === 'each' || same ? once(present) : proportional(present, slots)
}

function once(weights: readonly Weighted[]): Layout {
  const equal = weights.map(([entry]): Weighted => [entry, 1])
  return arranged(
    equal,
    equal.map(() => 1),
  )
}

/** The shortest list that is good enough, else the best. */
function proportional(weights: readonly Weighted[], slots: number): Layout {
  const counts = weights.map(() => 1)
  let best = arranged(weights, counts)
  for (let length = counts.length; length < slots && best.error > enough; length++) {
    addEntry(weights, counts)
    const longer = arranged(weights, counts)
    if (longer.error < best.error - 1e-9) best = longer
  }
  return best
}

/**
 * One entry more, for whom Sainte-Laguë's method gives it to: of the divisor methods, under which nobody loses an entry when
 * another goes.
 */
function addEntry(weights: readonly Weighted[], counts: number[]): void {
  let winner = 0
  let highest = -1
  weights.forEach(([, weight], index) => {
    const quotient = weight / (2 * (counts[index] ?? 0) + 1)
    if (quotient > highest) [winner, highest] = [index, quotient]
  })
  counts[winner] = (counts[winner] ?? 0) + 1
}

/**
 * Without selection fields Open vSwitch deals its hash values, a power of two and at least 16, to the entries in turn. Those
 * that begin the list get one more where that does not come out even: the order makes up for it. Later versions deal four
 * times as many values, nearer to the parts of the list: both have to be good.
 */
function arranged(weights: readonly Weighted[], counts: readonly number[]): Layout {
  const total = weights.reduce((sum, [, weight]) => sum + weight, 0)
  const length = counts.reduce((sum, count) => sum + count, 0)
  const values = Math.max(16, 2 ** Math.ceil(Math.log2(length)))
  const rounds = Math.floor(values / length)
  const missing = weights.map(
    ([, weight], index) => (values * weight) / total - rounds * (counts[index] ?? 0),
  )
  const inFront = weights.map(() => 0)
  for (let rest = values % length; rest > 0; rest--) {
    let next = -1
    missing.forEach((lack, index) => {
      const free = (inFront[index] ?? 0) < (counts[index] ?? 0)
      if (free && (next < 0 || lack > (missing[next] ?? 0))) next = index
    })
    inFront[next] = (inFront[next] ?? 0) + 1
    missing[next] = (missing[next] ?? 0) - 1
  }
  const repeated = (times: readonly number[]): string[] =>
    weights.flatMap(([entry], index) => Array<string>(times[index] ?? 0).fill(entry))
  const errors = weights.flatMap(([, weight], index) => [
    Math.abs(missing[index] ?? 0) / values,
    Math.abs((counts[index] ?? 0) / length - weight / total),
  ])
  return {
    list: [...repeated(inFront), ...repeated(counts.map((count, index) => count - (inFront[index] ?? 0)))],
    error: Math.max(...errors) * 100,
  }
}

/**
 * With selection fields the entry wins whose position hashes highest with the client: whoever owns a position keeps its
 * clients. Only positions change owner that must, and who comes back gets those that it had.
 */
function tableOf(weights: readonly Weighted[], slots: number, previous: readonly string[]): Layout {
  const counts = weights.map(() => 1)
  while (counts.reduce((sum, count) => sum + count) < slots) addEntry(weights, counts)
  const lacking = new Map(weights.map(([entry], index) => [entry, counts[index] ?? 0]))
  const table: (string | null)[] = Array<null>(slots).fill(null)
  const claims = (owners: readonly (readonly [entry: string, position: number])[]): void => {
    const byLiking = owners.map(([entry, position]) => ({ entry, position, liking: liking(entry, position) }))
    for (const { entry, position } of byLiking.sort((a, b) => b.liking - a.liking)) {
      const left = lacking.get(entry) ?? 0
      if (left === 0 || table[position] !== null) continue
      table[position] = entry
      lacking.set(entry, left - 1)
    }
  }
  claims(previous.slice(0, slots).map((entry, position) => [entry, position]))
  claims(weights.flatMap(([entry]) => table.map((_, position) => [entry, position] as const)))
  const total = weights.reduce((sum, [, weight]) => sum + weight, 0)
  const errors = weights.map(([, weight], index) => Math.abs((counts[index] ?? 0) / slots - weight / total))
  return { list: table.flatMap((entry) => entry ?? []), error: Math.max(...errors) * 100 }
}

/** How much an entry would like a position: FNV-1a of both, mixed as in MurmurHash3. */
function liking(entry: string, position: number): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < entry.length; i++) hash = Math.imul(hash ^ entry.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ position, 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
