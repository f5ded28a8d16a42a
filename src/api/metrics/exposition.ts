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
