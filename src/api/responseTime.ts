import { latencyBoundsMs, type MemberCounters } from '../gateway/statistics.ts'

/** Mean and quantiles of what was counted in buckets, in milliseconds; null where nothing was. */
export function responseTime({
  latency,
  milliseconds,
}: Pick<MemberCounters, 'latency' | 'milliseconds'>): { mean: number; p50: number; p99: number } | null {
  const count = latency.reduce((sum, bucket) => sum + bucket, 0)
  if (count === 0) return null
  return {
    mean: rounded(milliseconds / count),
    p50: rounded(quantile(latency, count * 0.5)),
    p99: rounded(quantile(latency, count * 0.99)),
  }
}

/** Where the `rank`th of all lies, were those of a bucket spread evenly; of the last bucket its lower bound is known only. */
function quantile(latency: readonly number[], rank: number): number {
  let below = 0
  let floor = 0
  for (const [bucket, bound] of latencyBoundsMs.entries()) {
    const here = latency[bucket] ?? 0
    if (here > 0 && below + here >= rank) return floor + ((bound - floor) * (rank - below)) / here
    below += here
    floor = bound
  }
  return floor
}

const rounded = (value: number): number => Math.round(value * 1000) / 1000
