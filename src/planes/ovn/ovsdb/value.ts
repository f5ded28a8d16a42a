import { ProtocolError } from './framing.ts'
import type { Atom, ColumnInput, NamedUuid } from './ovsdb.ts'
import type { BaseType, ColumnType } from './schema.ts'

/** A column's value as rows hold it: scalar, optional (null: empty), set, map. Sets are sorted. */
export type Value = Atom | null | readonly Atom[] | ReadonlyMap<string, string>

const defaults = {
  string: '',
  integer: 0,
  real: 0,
  boolean: false,
  uuid: '00000000-0000-0000-0000-000000000000',
} as const

/** Of a transaction, a row or a position in the history: none. */
export const zeroUuid: string = defaults.uuid

/** What a column has where a row leaves it out (RFC 7047, section 5.2.1). */
export function defaultOf({ key, value, min, max }: ColumnType): Value {
  if (value !== null) return new Map(min === 0 ? [] : [[String(defaults[key]), String(defaults[value])]])
  if (max > 1) return min === 0 ? [] : [defaults[key]]
  return min === 0 ? null : defaults[key]
}

/** RFC 7047's `<value>` in TypeScript's terms. @throws ProtocolError */
export function decodeValue(type: ColumnType, json: unknown): Value {
  if (type.value !== null) return decodeMap(type.key, type.value, json)
  const atoms = elements(json).map((element) => decodeAtom(type.key, element))
  if (type.max > 1) return atoms.sort(compare)
  const [atom] = atoms
  if (atoms.length > 1 || (atom === undefined && type.min > 0))
    throw new ProtocolError(`${text(json)} stands where one ${type.key} belongs`)
  return atom ?? null
}

/**
 * The value that `update2` and `update3` tell by what differs (ovsdb-server(7), 4.1.14): of a set what is only in one of
 * the two, of a map pairs to set, or to remove where they are there with this very value; of anything else the new one.
 */
export function applyDifference(type: ColumnType, before: Value, json: unknown): Value {
  const difference = decodeValue(type, json)
  if (type.max <= 1) return difference
  if (before instanceof Map && difference instanceof Map) return changedMap(before, difference)
  const members = new Set(before as readonly Atom[])
  for (const atom of difference as readonly Atom[]) if (!members.delete(atom)) members.add(atom)
  return [...members].sort(compare)
}

function changedMap(
  before: ReadonlyMap<string, string>,
  difference: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> {
  const after = new Map(before)
  for (const [key, value] of difference) {
    if (after.get(key) === value) after.delete(key)
    else after.set(key, value)
  }
  return after
}

export function sameValue(a: Value, b: Value): boolean {
  if (a instanceof Map && b instanceof Map)
    return a.size === b.size && [...a].every(([key, value]) => b.get(key) === value)
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((atom, i) => atom === b[i])
  return a === b
}

/** A column's new value as RFC 7047 writes it. An array for a map are keys of it, as a mutation may delete. */
export function encodeValue(type: ColumnType, input: ColumnInput): unknown {
  if (input === null) return ['set', []]
  if (Array.isArray(input)) {
    const atoms = (input as readonly (Atom | NamedUuid)[]).map((atom) => encodeAtom(type.key, atom))
    // A uuid is an array itself, told from a set by its first element.
    return atoms.length === 1 ? atoms[0] : ['set', atoms]
  }
  if (type.value !== null && typeof input === 'object') {
    const { key, value } = type
    const pairs = input instanceof Map ? [...(input as ReadonlyMap<string, string>)] : Object.entries(input)
    return ['map', pairs.map(([k, v]) => [encodeAtom(key, k), encodeAtom(value, v as string)])]
  }
  return encodeAtom(type.key, input as Atom | NamedUuid)
}

function encodeAtom(type: BaseType, input: Atom | NamedUuid): unknown {
  if (typeof input === 'object') return ['named-uuid', input.named]
  if (type === 'uuid') return ['uuid', input]
  // Of maps, whose keys and values are texts here whatever the schema has.
  if (typeof input === 'string' && (type === 'integer' || type === 'real')) return Number(input)
  if (typeof input === 'string' && type === 'boolean') return input === 'true'
  return input
}

function decodeMap(key: BaseType, value: BaseType, json: unknown): ReadonlyMap<string, string> {
  if (!isTagged(json, 'map') || !Array.isArray(json[1]))
    throw new ProtocolError(`${text(json)} stands where a map belongs`)
  return new Map(
    (json[1] as readonly unknown[]).map((pair) => {
      if (!Array.isArray(pair) || pair.length !== 2)
        throw new ProtocolError(`${text(pair)} is no pair of a map`)
      return [String(decodeAtom(key, pair[0])), String(decodeAtom(value, pair[1]))]
    }),
  )
}

/** Of a set, which is written without its brackets where it has one element. */
function elements(json: unknown): readonly unknown[] {
  return isTagged(json, 'set') && Array.isArray(json[1]) ? (json[1] as unknown[]) : [json]
}

function decodeAtom(type: BaseType, json: unknown): Atom {
  switch (type) {
    case 'uuid':
      if (isTagged(json, 'uuid') && typeof json[1] === 'string') return json[1]
      break
    case 'string':
    case 'boolean':
      if (typeof json === type) return json as Atom
      break
    case 'integer':
    case 'real':
      if (typeof json === 'number') return json
      break
  }
  throw new ProtocolError(`${text(json)} stands where one ${type} belongs`)
}

const isTagged = (json: unknown, tag: string): json is readonly [string, unknown] =>
  Array.isArray(json) && json.length === 2 && json[0] === tag

function compare(a: Atom, b: Atom): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}

const text = (json: unknown): string => JSON.stringify(json)?.slice(0, 100) ?? 'nothing'
