import type { z } from 'zod'
import { fieldsIn, fieldNames, issueText, unknownFieldText, valuesIn } from '../model/issues.ts'
import { invalid, type Refusal } from '../model/refusal.ts'

type Issue = z.core.$ZodIssue

/**
 * Checks a value by a schema of the model and says what is wrong in one sentence a field.
 *
 * Field names match in any case, as in Go; what no field is named is refused with the names there are.
 */
export function readBySchema<T>(schema: z.ZodType<T>, value: unknown): { value: T } | { error: Refusal } {
  const result = schema.safeParse(foldNames(schema, value), { error: issueText })
  if (result.success) return { value: result.data }
  // A number beyond what JavaScript holds exactly is too large twice: the field's own bound comes last.
  const { issues } = result.error
  const sentences = new Map(
    issues.map((issue) => [`${issue.code} ${issue.path.join('.')}`, located(schema, issue)]),
  )
  return { error: invalid([...sentences.values()].join('; ')) }
}

/** The value with its field names as the schema writes them; an unknown name stays, for the schema to refuse. */
function foldNames(schema: z.ZodType, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const values = valuesIn(schema)
  if (values !== null)
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, foldNames(values, item)]))
  const fields = fieldsIn(schema)
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

function located(schema: z.ZodType, issue: Issue): string {
  const path = issue.path.join('.')
  if (issue.code === 'unrecognized_keys') {
    const inside = path === '' ? '' : `${path}: `
    const allowed = fieldNames(schema, issue.path)
    return issue.keys.map((key) => inside + unknownFieldText(key, allowed)).join('; ')
  }
  if (issue.code === 'invalid_key') return `${path}: ${issue.issues.map(({ message }) => message).join(', ')}`
  const last = String(issue.path.at(-1) ?? '')
  if (last === '') return issue.message
  // The model's own messages begin with the name of the field.
  return issue.message.startsWith(`${last} `)
    ? `${path}${issue.message.slice(last.length)}`
    : `${path} ${issue.message}`
}
