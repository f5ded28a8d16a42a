import { usage } from './exit.ts'

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** Milliseconds of a time such as `500ms`, `2s`, `1.5s` or `1m`. @throws CommandError that names the flag */
export function parseMs(flag: string, text: string): number {
  const [, count = '', unit = ''] = /^(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h)$/.exec(text) ?? []
  const ms = Number(count) * (unitMs[unit] ?? NaN)
  if (count === '' || ms > 2 ** 31 - 1)
    throw usage(`${flag} cannot be "${text}": it takes a time such as 500ms, 2s or 1m`)
  return Math.round(ms)
}
