/** The Prometheus text format 0.0.4. Numbers and labels come from its callers; a family is written in one piece. */
export type MetricType = 'counter' | 'gauge' | 'histogram'

export const expositionType = 'text/plain; version=0.0.4; charset=utf-8'

const special = /[\\"\n]/g

/** `{name="value",…}`; the same text serves all families with these labels. */
export function labels(pairs: Readonly<Record<string, string | number>>): string {
  return `{${labelPairs(pairs)}}`
}

/** The same without braces, to go before further labels. */
export function labelPairs(pairs: Readonly<Record<string, string | number>>): string {
  let text = ''
  for (const name in pairs) {
    const value = String(pairs[name])
    text += `${text === '' ? '' : ','}${name}="${special.test(value) ? value.replace(special, escaped) : value}"`
    special.lastIndex = 0
  }
  return text
}

function escaped(character: string): string {
  return character === '\n' ? '\\n' : `\\${character}`
}

/** Go's and Prometheus's spelling of a number. */
export function numeral(value: number): string {
  if (value === Infinity) return '+Inf'
  return value === -Infinity ? '-Inf' : String(value)
}

/** Rows between two yields: a fraction of a millisecond. */
export const stride = 128

/** Calls for each row, with a yield every so often. */
export function* each<T>(rows: readonly T[], write: (row: T) => void): Generator<void> {
  for (let at = 0; at < rows.length; at += stride) {
    for (const row of rows.slice(at, at + stride)) write(row)
    yield
  }
}

export class Exposition {
  #text = ''

  /** Begins a family; the samples that follow are its. */
  family(name: string, type: MetricType, help: string): void {
    this.#text += `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`
  }

  /** @param labelText made by `labels`, or '' */
  sample(name: string, labelText: string, value: number): void {
    this.#text += `${name}${labelText} ${numeral(value)}\n`
  }

  /**
   * The samples of a histogram.
   *
   * @param pairs made by `labelPairs`
   * @param bounds texts of the label `le`
   * @param buckets each counted for itself; Prometheus wants all up to the bound
   */
  histogram(
    name: string,
    pairs: string,
    bounds: readonly string[],
    buckets: readonly number[],
    count: number,
    sum: number,
  ): void {
    let below = 0
    bounds.forEach((bound, index) => {
      below += buckets[index] ?? 0
      this.sample(`${name}_bucket`, `{${pairs},le="${bound}"}`, below)
    })
    this.sample(`${name}_bucket`, `{${pairs},le="+Inf"}`, count)
    this.sample(`${name}_sum`, `{${pairs}}`, sum)
    this.sample(`${name}_count`, `{${pairs}}`, count)
  }

  /** A family of one sample without labels. */
  single(name: string, type: MetricType, help: string, value: number): void {
    this.family(name, type, help)
    this.sample(name, '', value)
  }

  /** Characters not taken yet. */
  get length(): number {
    return this.#text.length
  }

  /** What was written since the last call. */
  take(): string {
    const text = this.#text
    this.#text = ''
    return text
  }
}
