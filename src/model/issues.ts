import { z } from 'zod'
import { nearest } from './nearest.ts'

/** Zod's issues in our words, to follow the name of the field; undefined where the schema has a text of its own. */
export function issueText(issue: z.core.$ZodRawIssue): string | undefined {
  const unit = 'origin' in issue && issue.origin === 'string' ? ' characters' : ''
  const be = unit === '' ? 'be' : 'have'
  if (issue.code === 'invalid_type') {
    if (issue.expected === 'int') return 'must be a whole number'
    const expected = issue.expected === 'record' ? 'object' : issue.expected
    return `must be ${withArticle(expected)}, not ${kindOf(issue.input)}`
  }
  if (issue.code === 'too_small' && unit !== '' && issue.minimum === 1) return 'must not be empty'
  if (issue.code === 'too_small') return `must ${be} at least ${issue.minimum}${unit}`
  if (issue.code === 'too_big') return `must ${be} at most ${issue.maximum}${unit}`
  return issue.code === 'invalid_value' ? `must be one of ${issue.values.join(', ')}` : undefined
}

/** More than so many names help nobody who meant one of them. */
const manyNames = 30

/** What an unknown field is told: the name that was probably meant, and those that are allowed. */
export function unknownFieldText(key: string, allowed: readonly string[]): string {
  const meant = nearest(key.toLowerCase(), allowed)
  const hint = meant === null ? '' : ` (did you mean "${meant}"?)`
  const shown = key.length > 64 ? `${key.slice(0, 64)}…` : key
  if (meant !== null && allowed.length > manyNames) return `unknown field "${shown}"${hint}`
  return `unknown field "${shown}"${hint}: ${allowed.length === 0 ? 'none is allowed' : `allowed are ${allowed.join(', ')}`}`
}

/** The names of the fields at a path of a schema; none where there is no object. */
export function fieldNames(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let at: unknown = schema
  for (const step of path) at = valuesIn(at) ?? fieldsIn(at)[String(step)]
  return Object.keys(fieldsIn(at))
}

/** The fields of the object schema within optional, nullable and defaulted ones; none where there is no object. */
export function fieldsIn(schema: unknown): Record<string, z.ZodType> {
  const inner = unwrapped(schema)
  return inner instanceof z.ZodObject ? inner.shape : {}
}

/** What each value of a record is to be; null where there is no record. */
export function valuesIn(schema: unknown): z.ZodType | null {
  const inner = unwrapped(schema)
  return inner instanceof z.ZodRecord ? (inner.valueType as z.ZodType) : null
}

function unwrapped(schema: unknown): unknown {
  let inner = schema
  while (inner instanceof z.ZodOptional || inner instanceof z.ZodNullable || inner instanceof z.ZodDefault)
    inner = inner.unwrap()
  return inner
}

const withArticle = (type: string): string => (/^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`)

function kindOf(value: unknown): string {
  if (value === undefined) return 'absent'
  if (value === null) return 'null'
  return Array.isArray(value) ? 'an array' : withArticle(typeof value)
}
