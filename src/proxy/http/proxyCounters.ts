/** What a proxy counts, in the order of its array. */
export const counterNames = [
  'clients',
  'requests',
  'refused',
  'completed',
  'failed',
  'abandoned',
  'connects',
  'connectFailures',
  'reused',
  'stale',
  'retries',
  'timeouts',
  'upgrades',
  'requestBytes',
  'responseBytes',
] as const

export type CounterName = (typeof counterNames)[number]

/** Buckets of the latency histogram: four to each doubling, in microseconds, up to 2^31. */
export const latencyBuckets = 120

/** The bucket of a duration. */
export function latencyBucket(milliseconds: number): number {
  const micros = Math.min(Math.max(milliseconds * 1000, 0), 0x7fffffff) | 0
  if (micros < 4) return micros
  const exponent = 31 - Math.clz32(micros)
  return 4 * (exponent - 1) + ((micros >> (exponent - 2)) & 3)
}

/** The least duration, in milliseconds, that falls into a bucket. */
export function latencyFloor(bucket: number): number {
  if (bucket < 4) return bucket / 1000
  const exponent = (bucket >> 2) + 1
  return ((4 + (bucket & 3)) * 2 ** (exponent - 2)) / 1000
}

/** Numbers that other threads may read while the proxy writes them: one writer, so nothing is locked. */
export class ProxyCounters {
  readonly values: Float64Array
  readonly latency: Float64Array

  constructor(memory = new SharedArrayBuffer(8 * (counterNames.length + latencyBuckets))) {
    this.values = new Float64Array(memory, 0, counterNames.length)
    this.latency = new Float64Array(memory, 8 * counterNames.length, latencyBuckets)
  }

  add(counter: number, by: number): void {
    this.values[counter] = (this.values[counter] as number) + by
  }

  took(milliseconds: number): void {
    const bucket = latencyBucket(milliseconds)
    this.latency[bucket] = (this.latency[bucket] as number) + 1
  }

  read(): Record<CounterName, number> {
    const entries = counterNames.map((name, index) => [name, this.values[index] ?? 0] as const)
    return Object.fromEntries(entries) as Record<CounterName, number>
  }
}

/** Index of a counter, for constants at the top of a file. */
export const counter = (name: CounterName): number => counterNames.indexOf(name)
