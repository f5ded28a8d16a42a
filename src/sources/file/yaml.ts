import { isAlias, isMap, isPair, isScalar, isSeq, LineCounter, parseDocument, type Document } from 'yaml'
import { maxDepth, SyntaxFault, tooDeep, type Parsed, type Place } from './place.ts'

/** Anchors may be used this often, counted with all that they hold: enough for any fleet, too few for a bomb. */
const maxAliasCount = 100_000

/** YAML 1.2 (core schema) with the places of its values. Keys are always text. */
export function parseYaml(text: string): Parsed {
  try {
    const document = parseDocument(text, {
      prettyErrors: false,
      stringKeys: true,
      lineCounter: new LineCounter(),
    })
    const faults = [...document.errors, ...document.warnings].map(({ pos, message }) => ({
      offset: pos[0],
      message,
    }))
    if (faults.length > 0) return { ok: false, faults }
    const place = placeOf(document, document.contents, 0, 0, new Map())
    return { ok: true, value: (document.toJS({ maxAliasCount }) as unknown) ?? {}, place }
  } catch (error) {
    if (error instanceof SyntaxFault) return { ok: false, faults: [error] }
    // The parser recurses over nested nodes.
    if (error instanceof RangeError) return { ok: false, faults: [{ offset: 0, message: tooDeep }] }
    if (error instanceof ReferenceError) return { ok: false, faults: [{ offset: 0, message: error.message }] }
    throw error
  }
}

/** @param seen what an anchor holds is located once, however often it is used */
function placeOf(
  document: Document,
  node: unknown,
  key: number,
  depth: number,
  seen: Map<unknown, Map<string, Place>>,
): Place {
  const value = offsetOf(node) ?? key
  if (depth > maxDepth) throw new SyntaxFault(value, tooDeep)
  const target = isAlias(node) ? node.resolve(document) : node
  const known = seen.get(target)
  if (known !== undefined) return { key, value, children: known }
  const children = new Map<string, Place>()
  if (isMap(target) || isSeq(target)) {
    seen.set(target, children)
    target.items.forEach((item, index) => {
      if (isPair(item)) {
        const name = isScalar(item.key) ? String(item.key.value) : String(item.key)
        children.set(name, placeOf(document, item.value, offsetOf(item.key) ?? value, depth + 1, seen))
      } else {
        children.set(String(index), placeOf(document, item, offsetOf(item) ?? value, depth + 1, seen))
      }
    })
  }
  return { key, value, children }
}

function offsetOf(node: unknown): number | null {
  const range = (node as { range?: readonly number[] | null } | null)?.range
  return range?.[0] ?? null
}
