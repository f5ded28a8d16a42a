import { nearest } from '../model/nearest.ts'

/**
 * Flags in the syntax of Go's package flag, which GORB's users type: one or two dashes, `-flag value` or `-flag=value`,
 * booleans only as `-flag` or `-flag=true`, `--` ends them. Beyond Go, flags may follow operands.
 */
export type FlagTable = Readonly<Record<string, Flag>>

export interface Flag {
  readonly kind: 'boolean' | 'string' | 'integer' | 'list'
  readonly about: string
  /** A second, short name. */
  readonly alias?: string
  /** What the help calls its value. */
  readonly value?: string
  readonly default?: string | number | boolean
  readonly choices?: readonly string[]
  readonly min?: number
  readonly max?: number
}

type ValueOf<F extends Flag> = F['kind'] extends 'boolean'
  ? boolean
  : F['kind'] extends 'integer'
    ? number
    : F['kind'] extends 'list'
      ? readonly string[]
      : string

/** The values by the names of the table; undefined where a flag without default was not given. */
export type Values<T extends FlagTable> = {
  readonly [K in keyof T]: T[K] extends { readonly default: string | number | boolean }
    ? ValueOf<T[K]>
    : ValueOf<T[K]> | undefined
}

export type Parsed<T extends FlagTable> =
  | { readonly kind: 'run'; readonly flags: Values<T>; readonly operands: readonly string[] }
  | { readonly kind: 'help' }
  | { readonly kind: 'error'; readonly message: string }

/** strconv.ParseBool */
const booleans = new Map(
  ['1', 't', 'T', 'TRUE', 'true', 'True', '0', 'f', 'F', 'FALSE', 'false', 'False'].map((text, i) => [
    text,
    i < 6,
  ]),
)

/**
 * @param absent flags that somebody may expect, by name, and the sentence that says why they are not there
 * @example parseFlags(['-f', '-i', 'eth0'], { flush: { kind: 'boolean', alias: 'f', about: '' }, … })
 */
export function parseFlags<T extends FlagTable>(
  args: readonly string[],
  table: T,
  absent: Readonly<Record<string, string>> = {},
): Parsed<T> {
  const names = new Map<string, string>()
  for (const [name, { alias }] of Object.entries(table)) {
    names.set(name, name)
    if (alias !== undefined) names.set(alias, name)
  }
  const values: Record<string, string | number | boolean | readonly string[] | undefined> = {}
  for (const [name, flag] of Object.entries(table)) values[name] = flag.default
  const operands: string[] = []

  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? ''
    if (arg === '--') {
      operands.push(...args.slice(i + 1))
      break
    }
    // A lone dash is an operand: standard input.
    if (!arg.startsWith('-') || arg === '-') {
      operands.push(arg)
      continue
    }
    const [, given = '', , attached] = /^--?([^-=][^=]*)(=([^]*))?$/.exec(arg) ?? []
    if (given === '') return { kind: 'error', message: `"${arg}" is not a flag: write -name or -name=value` }
    const name = names.get(given)
    if (name === undefined) {
      if (given === 'h' || given === 'help') return { kind: 'help' }
      const reason = Object.hasOwn(absent, given) ? `no flag ${dashed(given)}: ${absent[given]}` : undefined
      return { kind: 'error', message: reason ?? unknownFlag(given, names.keys()) }
    }
    const flag = table[name] as Flag
    let text = attached
    if (text === undefined) {
      if (flag.kind === 'boolean') text = 'true'
      else if (i + 1 < args.length) text = args[++i] ?? ''
      else
        return {
          kind: 'error',
          message: `${dashed(given)} needs a value: ${dashed(given)} ${valueName(flag)}`,
        }
    }
    const read = readValue(flag, text)
    if (read.ok)
      values[name] = flag.kind === 'list' ? [...((values[name] as string[]) ?? []), text] : read.value
    else return { kind: 'error', message: `${dashed(given)} cannot be "${text}": it takes ${read.wants}` }
  }
  return { kind: 'run', flags: values as Values<T>, operands }
}

/** `-l` or `--listen`. */
export function dashed(name: string): string {
  return name.length === 1 ? `-${name}` : `--${name}`
}

/** What the help writes for a flag's value; '' for a boolean. */
export function valueName(flag: Flag): string {
  if (flag.kind === 'boolean') return ''
  return flag.value ?? flag.choices?.join('|') ?? (flag.kind === 'integer' ? 'N' : 'TEXT')
}

function unknownFlag(given: string, known: Iterable<string>): string {
  const close =
    given.length === 1
      ? null
      : nearest(
          given,
          [...known].filter((name) => name.length > 1),
        )
  return close === null
    ? `unknown flag ${dashed(given)}: --help lists those there are`
    : `unknown flag ${dashed(given)}: did you mean ${dashed(close)}?`
}

type Read =
  | { readonly ok: true; readonly value: string | number | boolean }
  | { readonly ok: false; readonly wants: string }

function readValue(flag: Flag, text: string): Read {
  if (flag.kind === 'boolean') {
    const value = booleans.get(text)
    return value === undefined ? { ok: false, wants: 'true or false' } : { ok: true, value }
  }
  if (flag.kind === 'integer') {
    const { min = 0, max = Number.MAX_SAFE_INTEGER } = flag
    const value = /^-?\d{1,15}$/.test(text) ? Number(text) : NaN
    if (value >= min && value <= max) return { ok: true, value }
    return { ok: false, wants: `a whole number from ${min}${flag.max === undefined ? ' up' : ` to ${max}`}` }
  }
  if (flag.choices !== undefined && !flag.choices.includes(text)) {
    return { ok: false, wants: `one of ${flag.choices.join(', ')}` }
  }
  return { ok: true, value: text }
}
