/** Upper bounds of the buckets of response times, in milliseconds; a last one has the rest. */
export const latencyBoundsMs = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000] as const

/** What is counted of each instance of each function. */
const columns = [
  'requests',
  'informational',
  'successful',
  'redirected',
  'clientErrors',
  'serverErrors',
  'failures',
  'retries',
  'requestBytes',
  'responseBytes',
  'milliseconds',
] as const
const width = columns.length + latencyBoundsMs.length + 1

/** Of each function besides: what did not come to an instance. */
const functionColumns = ['overloaded', 'expired', 'unavailable', 'loops'] as const

export type MemberCounters = Readonly<Record<(typeof columns)[number], number>> & {
  /** Responses by `latencyBoundsMs`, and the rest. */
  readonly latency: readonly number[]
}
export type FunctionCounters = Readonly<Record<(typeof functionColumns)[number], number>>

const column = Object.fromEntries(columns.map((name, index) => [name, index])) as Record<
  (typeof columns)[number],
  number
>

/** The counters of one Worker: it alone writes, others read, so nothing is locked. */
export class Statistics {
  readonly memory: SharedArrayBuffer
  readonly #members: Float64Array
  readonly #functions: Float64Array

  constructor(members: number, functions: number, memory?: SharedArrayBuffer) {
    this.memory =
      memory ??
      new SharedArrayBuffer(
        Float64Array.BYTES_PER_ELEMENT * (members * width + functions * functionColumns.length),
      )
    this.#members = new Float64Array(this.memory, 0, members * width)
    this.#functions = new Float64Array(this.memory, this.#members.byteLength)
  }

  requested(member: number): void {
    this.#add(member, column.requests, 1)
  }

  retried(member: number): void {
    this.#add(member, column.retries, 1)
  }

  failed(member: number): void {
    this.#add(member, column.failures, 1)
  }

  responded(member: number, status: number, milliseconds: number): void {
    const kind = Math.min(Math.max(Math.trunc(status / 100), 1), 5)
    this.#add(member, column.informational + kind - 1, 1)
    this.#add(member, column.milliseconds, milliseconds)
    let bucket = 0
    while (bucket < latencyBoundsMs.length && milliseconds > latencyBoundsMs[bucket]!) bucket++
    this.#add(member, columns.length + bucket, 1)
  }

  passed(member: number, requestBytes: number, responseBytes: number): void {
    this.#add(member, column.requestBytes, requestBytes)
    this.#add(member, column.responseBytes, responseBytes)
  }

  missed(fn: number, why: (typeof functionColumns)[number]): void {
    this.#functions[fn * functionColumns.length + functionColumns.indexOf(why)]! += 1
  }

  resetMember(member: number): void {
    this.#members.fill(0, member * width, (member + 1) * width)
  }

  resetFunction(fn: number): void {
    this.#functions.fill(0, fn * functionColumns.length, (fn + 1) * functionColumns.length)
  }

  member(member: number): MemberCounters {
    const part = this.#members.subarray(member * width, (member + 1) * width)
    const counts = Object.fromEntries(columns.map((name, index) => [name, part[index] ?? 0]))
    return { ...counts, latency: [...part.subarray(columns.length)] } as unknown as MemberCounters
  }

  function(fn: number): FunctionCounters {
    const at = fn * functionColumns.length
    return Object.fromEntries(
      functionColumns.map((name, index) => [name, this.#functions[at + index] ?? 0]),
    ) as FunctionCounters
  }

  #add(member: number, column: number, by: number): void {
    this.#members[member * width + column]! += by
  }
}

/** The sum of the counters of all Workers. */
export function sumMembers(parts: readonly MemberCounters[]): MemberCounters {
  const counts = Object.fromEntries(
    columns.map((name) => [name, parts.reduce((sum, part) => sum + part[name], 0)]),
  )
  const latency = [...latencyBoundsMs, Infinity].map((_, bucket) =>
    parts.reduce((sum, part) => sum + (part.latency[bucket] ?? 0), 0),
  )
  return { ...counts, latency } as unknown as MemberCounters
}

export function sumFunctions(parts: readonly FunctionCounters[]): FunctionCounters {
  return Object.fromEntries(
    functionColumns.map((name) => [name, parts.reduce((sum, part) => sum + part[name], 0)]),
  ) as FunctionCounters
}
