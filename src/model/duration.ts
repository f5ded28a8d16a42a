import { invalid, message } from './refusal.ts'

const unitMs: Readonly<Record<string, number>> = {
  s: 1000,
  sec: 1000,
  seconds: 1000,
  m: 60_000,
  min: 60_000,
  minutes: 60_000,
  h: 3_600_000,
  hours: 3_600_000,
}

/** GORB clamps counts above a 32-bit integer instead of refusing them. */
const maxCount = 2 ** 31 - 1

/** Whether `parseInterval` takes it. */
export function isInterval(text: string): boolean {
  try {
    return parseInterval(text) > 0
  } catch {
    return false
  }
}

/**
 * GORB's interval grammar: optional sign, digits, unit; blanks around it are trimmed, none inside; any case.
 *
 * @returns milliseconds, above 0
 * @throws Refusal `invalid` with GORB's text
 */
export function parseInterval(text: string): number {
  const parts = /^([+-]?)(\d+)([a-z]+)$/.exec(text.trim().toLowerCase())
  const unit = unitMs[parts?.[3] ?? '']
  if (parts === null || unit === undefined) throw invalid(message.intervalInvalid)
  const count = Math.min(Number(parts[2]), maxCount)
  if (parts[1] === '-' || count === 0) throw invalid(message.intervalNotPositive)
  return count * unit
}
