import { setImmediate as nextTurn } from 'node:timers/promises'

/** What Go's encoder escapes in strings besides JSON's own: it keeps JSON safe inside HTML and JavaScript. */
const escaped = /[<>&\u2028\u2029]/g

/** JSON as GORB writes it (Go's json.MarshalIndent): one tab a level, no newline at the end, `<>&` as \u003c and so on. */
export function goJson(value: unknown): string {
  return JSON.stringify(value, null, '\t').replace(
    escaped,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** The same one level deeper. */
export const indented = (text: string): string => text.replaceAll('\n', '\n\t')

/** Items between two turns of everything else: some 100 objects, counted by `weight`. */
const turn = 100

/** A JSON array, an item a piece, so that a large one neither holds up other requests nor fills memory. */
export async function* goJsonArray(
  items: Iterable<{ readonly value: unknown; readonly weight: number }>,
): AsyncGenerator<string> {
  let before = '[\n\t'
  let written = 0
  for (const { value, weight } of items) {
    yield before + indented(goJson(value))
    before = ',\n\t'
    written += weight
    if (written < turn) continue
    written = 0
    await nextTurn()
  }
  yield before.startsWith('[') ? '[]' : '\n]'
}
