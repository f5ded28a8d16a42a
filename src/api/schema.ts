import { z } from 'zod'
import { nearest } from '../model/nearest.ts'
import { invalid, type Refusal } from '../model/refusal.ts'

type Issue = z.core.$ZodIssue
type RawIssue = z.core.$ZodRawIssue

/**
 * Checks a value by a schema of the model and says what is wrong in one sentence a field.
 *
 * Field names match in any case, as in Go; what no field is named is refused with the names there are.
 */
export function readBySchema<T>(schema: z.ZodType<T>, value: unknown): { value: T } | { error: Refusal } {
  const result = schema.safeParse(foldNames(schema, value), { error: (issue) => sentence(issue) })
  if (result.success) return { value: result.data }
  return { error: invalid(result.error.issues.map((issue) => located(schema, issue)).join('; ')) }
}

/** The value with its field names as the schema writes them; an unknown name stays, for the schema to refuse. */
function foldNames(schema: z.ZodType, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const fields = fieldsOf(schema)
  const names = new Map(Object.keys(fields).map((name) => [name.toLowerCase(), name]))
  return Object.fromEntries(
    // fromEntries defines its keys, so that "__proto__" is a field like any other.
    Object.entries(value).map(([name, item]): [string, unknown] => {
      const known = names.get(name.toLowerCase())
      const field = known === undefined ? undefined : fields[known]
      return known === undefined || field === undefined ? [name, item] : [known, foldNames(field, item)]
    }),
  )
}

/** The fields of the object schema within optional, nullable and defaulted ones; none where there is no object. */
function fieldsOf(schema: z.ZodType): Record<string, z.ZodType> {
  let inner: unknown = schema
  while (inner instanceof z.ZodOptional || inner instanceof z.ZodNullable || inner instanceof z.ZodDefault)
    inner = inner.unwrap()
  return inner instanceof z.ZodObject ? inner.shape : {}
}

function located(schema: z.ZodType, issue: Issue): string {
  const path = issue.path.join('.')
  if (issue.code === 'unrecognized_keys') {
    let at: z.ZodType = schema
    for (const key of issue.path) at = fieldsOf(at)[String(key)] ?? at
    const allowed = Object.keys(fieldsOf(at))
    const inside = path === '' ? '' : ` in ${path}`
    return issue.keys
      .map((key) => {
        const meant = nearest(key.toLowerCase(), allowed)
        const hint = meant === null ? '' : ` (did you mean "${meant}"?)`
        return `unknown field "${shortened(key)}"${inside}${hint}: ${allowed.length === 0 ? 'none is allowed' : `allowed are ${allowed.join(', ')}`}`
      })
      .join('; ')
  }
  const last = String(issue.path.at(-1) ?? '')
  if (last === '') return issue.message
  // The model's own messages begin with the name of the field.
  return issue.message.startsWith(`${last} `)
    ? `${path}${issue.message.slice(last.length)}`
    : `${path} ${issue.message}`
}

/** Zod's issues in our words, to follow the name of the field. */
function sentence(issue: RawIssue): string | undefined {
  const unit = 'origin' in issue && issue.origin === 'string' ? ' characters' : ''
  const be = unit === '' ? 'be' : 'have'
  if (issue.code === 'invalid_type') {
    if (issue.expected === 'int') return 'must be a whole number'
    return `must be ${withArticle(issue.expected)}, not ${kindOf(issue.input)}`
  }
  if (issue.code === 'too_small') return `must ${be} at least ${issue.minimum}${unit}`
  if (issue.code === 'too_big') return `must ${be} at most ${issue.maximum}${unit}`
  return issue.code === 'invalid_value' ? `must be one of ${issue.values.join(', ')}` : undefined
}

function withArticle(type: string): string {
  return /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`
}

function kindOf(value: unknown): string {
  if (value === undefined) return 'absent'
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  return withArticle(typeof value)
}

/** A client's own text, cut so that an answer stays readable. */
function shortened(text: string): string {
  return text.length > 64 ? `${text.slice(0, 64)}…` : text
}
